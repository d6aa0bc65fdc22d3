//! Remembers what must not outlive us: process groups, names in `/dev/shm`, temporary folders.
//!
//! A check that is interrupted by Ctrl-C never reaches its destructors, and the memory behind a
//! name outlives every process. So groups are registered here when they come into being, names carry
//! our own prefix, and the signal handler's thread ends them all before the program exits.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::procfs;

/// Where POSIX shared memory objects appear as files on Linux.
pub const SHM_DIR: &str = "/dev/shm";

/// Marks every process of a scene in its environment; the value begins with the
/// scene's name.
pub(crate) const MARKER: &str = "SHMLAB_SCENE";

/// What every name of ours begins with, so that no other name is ever touched.
const PREFIX: &str = "shmlab-";

#[derive(Default)]
struct Registry {
    groups: BTreeSet<i32>,
    folders: BTreeSet<PathBuf>,
}

/// Whether this process lives in a cell: then every child that nobody waits for is a student's.
static IN_A_CELL: AtomicBool = AtomicBool::new(false);

/// Whether peers and tracers are to let nobody look into them.
static CLOSE_HELPERS: AtomicBool = AtomicBool::new(false);

/// Tells them so.
const CLOSED: &str = "SHMLAB_CLOSED";

static REGISTRY: LazyLock<Mutex<Registry>> = LazyLock::new(Mutex::default);
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A name nobody has used, like `/shmlab-1a2b-3c4d5e-7`: our pid and start time, so that a later
/// run can tell whether its owner still lives, and a running number.
pub fn fresh_name() -> String {
    let number = COUNTER.fetch_add(1, Relaxed);
    let name = format!("/{}{number:x}", own_prefix());
    // Waits for ever once we are being ended.
    drop(lock());
    name
}

/// From here on, what is left behind is looked for among all children and all objects of this user:
/// in a cell there are no others.
pub(crate) fn live_in_a_cell() {
    IN_A_CELL.store(true, Relaxed);
}

/// From here on, peers and tracers close their memory to others of their user. That has its price:
/// we cannot see any more what they are doing. So it is done only where nothing else keeps a
/// student's program out.
pub(crate) fn close_our_helpers() {
    CLOSE_HELPERS.store(true, Relaxed);
}

/// Whether we cannot see what a peer is doing.
pub(crate) fn helpers_are_closed() -> bool {
    CLOSE_HELPERS.load(Relaxed)
}

/// Whether this process lives in a cell.
pub(crate) fn in_a_cell() -> bool {
    IN_A_CELL.load(Relaxed)
}

/// Lets a peer or a tracer that is about to be started know whether it is to close itself.
pub(crate) fn tell_helper(command: &mut Command) {
    if helpers_are_closed() {
        command.env(CLOSED, "1");
    }
}

/// Closes this process's memory to others of the same user, where that was told.
pub(crate) fn close_ourselves() {
    if std::env::var_os(CLOSED).is_some() {
        let _ = nix::sys::prctl::set_dumpable(false);
    }
}

/// Ends every process that a student's program has left, in a cell, and says how many there were.
/// Called when none of ours is running.
pub(crate) fn end_strays() -> usize {
    let mut found = 0;
    // Who is ended leaves its own children to us. Nobody outruns this for long: who forks without end
    // meets the limit on processes.
    for _ in 0..1000 {
        let mut children = procfs::children(Pid::this());
        if children.is_empty() {
            break;
        }
        children.retain(|&child| !procfs::ended(child));
        found += children.len();
        if Pid::this().as_raw() == 1 {
            // All there are but us, in one step: nothing here is anybody else's.
            let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
        }
        for child in children {
            let _ = kill(child, Signal::SIGKILL);
        }
        while let Ok(status) = waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                std::thread::sleep(std::time::Duration::from_millis(1));
                break;
            }
        }
    }
    found
}

/// Removes every object of this user in `/dev/shm`, in a cell, and returns the names.
pub(crate) fn remove_own_names() -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let own = nix::unistd::geteuid().as_raw();
    let mut names = names_in(Path::new(SHM_DIR));
    names.retain(|name| {
        let path = Path::new(SHM_DIR).join(name);
        path.symlink_metadata().is_ok_and(|meta| meta.uid() == own) && fs::remove_file(path).is_ok()
    });
    names
}

/// Registers the process group of a program that has just been started.
pub(crate) fn watch_group(group: Pid) {
    lock().groups.insert(group.as_raw());
}

/// Forgets a group whose leader has been reaped: its number may be another's from now on.
pub(crate) fn forget_group(group: Pid) {
    lock().groups.remove(&group.as_raw());
}

/// Registers a folder of temporary files.
pub(crate) fn watch_folder(folder: &Path) {
    lock().folders.insert(folder.to_owned());
}

/// Forgets a folder that has been removed.
pub(crate) fn forget_folder(folder: &Path) {
    lock().folders.remove(folder);
}

/// Removes the object `name` and everything whose name begins with it, also in `/tmp`.
pub(crate) fn remove_name(name: &str) {
    for path in left_where(|found| begins_with(found, name)) {
        let _ = remove(&path);
    }
}

/// Names in `/dev/shm` that begin with `name` (with its slash), named semaphores included, without
/// the slash, sorted.
pub(crate) fn names_beginning_with(name: &str) -> Vec<String> {
    names_in(Path::new(SHM_DIR)).into_iter().filter(|found| begins_with(found, name)).collect()
}

/// Makes a folder for temporary files. By its name it is found when we are being ended, and a later
/// run can tell whether its owner still lives.
pub(crate) fn fresh_folder() -> std::io::Result<TempDir> {
    // Waits for ever once we are being ended.
    let _registry = lock();
    // No running number begins with a `t`: no name of a scene's begins the name of a folder.
    tempfile::Builder::new().prefix(&format!("{}tmp-", own_prefix())).tempdir()
}

/// Kills every process of ours and removes every name and folder. Called by the
/// signal handler's thread, so nothing else of ours may be assumed to be alive or finished.
pub fn everything() {
    // Held until the end, so that no other thread takes a name or starts a scene from here on.
    let registry = std::mem::ManuallyDrop::new(lock());
    // A program that was being started when the signal came is not registered yet: it is found by
    // its mark, and what it makes meanwhile by our prefix. Twice, for the one in between.
    let ours = own_prefix();
    for _ in 0..2 {
        for &group in &registry.groups {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        for pid in procfs::with_environment(&format!("{MARKER}=/{ours}")) {
            let _ = kill(pid, Signal::SIGKILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
        for path in left_where(|name| plain(name).starts_with(&ours)) {
            let _ = remove(&path);
        }
    }
    for folder in &registry.folders {
        let _ = fs::remove_dir_all(folder);
    }
}

/// Objects, files and folders that an earlier run left behind because it was killed with -9: they
/// carry our prefix, and the process that owned them is gone. Sorted.
pub fn abandoned() -> Vec<PathBuf> {
    left_where(|name| owner(name).is_some_and(|alive| !alive))
}

/// Removes an object, a file or a folder with all that is in it.
///
/// # Errors
///
/// What the system says, for example that it belongs to another user.
pub fn remove(path: &Path) -> std::io::Result<()> {
    if path.symlink_metadata()?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// What every name of this process begins with, without the slash.
fn own_prefix() -> String {
    let pid = Pid::this();
    let started = procfs::start_time(pid).unwrap_or(0);
    format!("{PREFIX}{:x}-{started:x}-", pid.as_raw())
}

/// Objects, files and folders with such a name, sorted. Some students take a file in `/tmp` for an
/// object, and our own folders are there too.
fn left_where(wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let places = BTreeSet::from([SHM_DIR.into(), "/tmp".into(), std::env::temp_dir()]);
    let mut left = Vec::new();
    for place in places {
        let names = names_in(&place).into_iter().filter(|name| wanted(name));
        left.extend(names.map(|name| place.join(name)));
    }
    left
}

/// Whether what was found has a name that begins with `name`.
fn begins_with(found: &str, name: &str) -> bool {
    let rest = plain(found).strip_prefix(name.trim_start_matches('/'));
    // `/shmlab-1-2-1` must not claim `/shmlab-1-2-10`: what follows may not be a digit.
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_hexdigit()))
}

/// The name without what marks a named semaphore.
fn plain(name: &str) -> &str {
    name.strip_prefix("sem.").unwrap_or(name)
}

/// The names in a folder, sorted.
fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Whether the owner of the name is alive; nothing for a name that is not ours.
fn owner(name: &str) -> Option<bool> {
    let mut fields = plain(name).strip_prefix(PREFIX)?.split('-');
    let pid = i32::from_str_radix(fields.next()?, 16).ok()?;
    let started = u64::from_str_radix(fields.next()?, 16).ok()?;
    Some(procfs::start_time(Pid::from_raw(pid)) == Some(started))
}

fn lock() -> MutexGuard<'static, Registry> {
    // A panic elsewhere must not keep us from cleaning up.
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_name_is_owned_by_a_living_process() {
        let name = fresh_name();
        assert_eq!(owner(&name[1..]), Some(true));
        assert_eq!(owner("shmlab-7ffffffe-1-0"), Some(false));
        assert_eq!(owner("somebody-elses"), None);
        remove_name(&name);
    }

    #[test]
    fn a_name_claims_what_begins_with_it_and_no_other_number_and_no_folder() {
        let claims = |found| begins_with(found, "/shmlab-1-2-1");
        assert!(
            claims("shmlab-1-2-1") && claims("shmlab-1-2-1.lock") && claims("sem.shmlab-1-2-1")
        );
        assert!(
            !claims("shmlab-1-2-10") && !claims("shmlab-1-2-1f") && !claims("shmlab-1-2-tmp-1")
        );
    }

    #[test]
    fn a_file_in_tmp_goes_with_the_name() {
        let name = fresh_name();
        let [file, lock] = ["", ".lock"].map(|end| PathBuf::from(format!("/tmp{name}{end}")));
        fs::write(&file, "taken for an object").unwrap();
        fs::create_dir(&lock).unwrap();
        remove_name(&name);
        assert!(!file.exists() && !lock.exists());
    }
}
