//! The file system of a cell: what a program needs at its usual path, read-only, and nothing else.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{chdir, pivot_root};

use crate::cell::{Cell, Named, Refused};
use crate::paths;

/// Where the new root is put together. Any folder would do: what is in it is opened beforehand.
const ROOT: &str = "/tmp";

const NOTHING: Option<&str> = None;

/// Something to be seen inside.
struct Seen {
    path: PathBuf,
    file: std::os::fd::OwnedFd,
    is_folder: bool,
    writable: bool,
}

/// Makes the file system of the cell and moves into it.
pub(crate) fn make(cell: &Cell, private_shm: bool, own_processes: bool) -> Result<(), Refused> {
    let system = paths::of_the_system();
    let devices = paths::DEVICES.map(PathBuf::from);
    let read = system.iter().chain(&cell.read).map(|path| (path, false));
    let write = cell.write.iter().chain(&devices).map(|path| (path, true));
    // Opened now: the root is about to cover a folder in which some of them are.
    let all: Vec<Seen> = read.chain(write).filter_map(seen).collect();
    let shm = (!private_shm).then(|| seen((&PathBuf::from("/dev/shm"), true))).flatten();
    let whole = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(NOTHING, "/", NOTHING, whole, NOTHING).named("mounts of our own")?;
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let options = Some("size=1m,nr_inodes=1k,mode=755");
    mount(Some("tmpfs"), ROOT, Some("tmpfs"), quiet, options).named("an empty root")?;
    let folder = |name: &str| -> Result<PathBuf, Refused> {
        let path = inside(Path::new(name));
        fs::create_dir_all(&path).named(format!("the folder {name}"))?;
        Ok(path)
    };
    let sized = |name: &str, flags: MsFlags, options: String| -> Result<(), Refused> {
        let path = folder(name)?;
        mount(Some("tmpfs"), &path, Some("tmpfs"), flags, Some(options.as_str())).named(name)
    };
    match &shm {
        Some(shared) => bind(shared)?,
        None => {
            let Cell { shm_bytes, shm_files, .. } = cell;
            let options = format!("size={shm_bytes},nr_inodes={shm_files},mode=1777");
            sized("/dev/shm", quiet | MsFlags::MS_NOEXEC, options)?;
        }
    }
    sized("/tmp", quiet, format!("size={},nr_inodes=4k,mode=1777", cell.tmp_bytes))?;
    // Only now: some of them may be below those folders.
    for file in &all {
        bind(file)?;
    }
    let processes = folder("/proc")?;
    if own_processes {
        let flags = quiet | MsFlags::MS_NOEXEC;
        mount(Some("proc"), &processes, Some("proc"), flags, NOTHING).named("/proc of our own")?;
    } else {
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some("/proc"), &processes, NOTHING, flags, NOTHING).named("/proc")?;
    }
    let old = folder("/old")?;
    pivot_root(ROOT, &old).named("another root")?;
    chdir("/").named("the new root")?;
    umount2("/old", MntFlags::MNT_DETACH).named("letting go of the machine's files")?;
    let _ = fs::remove_dir("/old");
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | quiet;
    mount(NOTHING, "/", NOTHING, flags, NOTHING).named("a root that stays as it is")
}

fn inside(path: &Path) -> PathBuf {
    Path::new(ROOT).join(path.strip_prefix("/").unwrap_or(path))
}

/// Opens what is to be seen; nothing if it is not there.
fn seen((path, writable): (&PathBuf, bool)) -> Option<Seen> {
    let file = open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    Some(Seen { path: path.clone(), file, is_folder: path.is_dir(), writable })
}

fn bind(seen: &Seen) -> Result<(), Refused> {
    let told = || format!("showing {}", seen.path.display());
    let target = inside(&seen.path);
    if seen.is_folder {
        fs::create_dir_all(&target).named(told())?;
    } else {
        target.parent().map_or(Ok(()), fs::create_dir_all).named(told())?;
        if !target.exists() {
            File::create(&target).named(told())?;
        }
    }
    let source = format!("/proc/self/fd/{}", seen.file.as_raw_fd());
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(source.as_str()), &target, NOTHING, flags, NOTHING).named(told())?;
    let is_device = seen.path.starts_with("/dev");
    if seen.writable && is_device {
        return Ok(());
    }
    let mut flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    if !seen.writable {
        flags |= MsFlags::MS_RDONLY;
    }
    // What the machine has taken away from a mount may not be given back by us.
    let now = statvfs(&target).map_err(|_: Errno| std::io::Error::last_os_error()).named(told())?;
    if now.flags().contains(FsFlags::ST_NOEXEC) {
        flags |= MsFlags::MS_NOEXEC;
    }
    for (kept, flag) in [
        (libc::ST_NOATIME, MsFlags::MS_NOATIME),
        (libc::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (libc::ST_RELATIME, MsFlags::MS_RELATIME),
    ] {
        if now.flags().bits() & kept != 0 {
            flags |= flag;
        }
    }
    mount(NOTHING, &target, NOTHING, flags, NOTHING).named(told())
}
