//! The place in which all programs of one grading run.
//!
//! A process enters its cell right after it has been started, before it has threads. In the upper
//! tier it is then the first process of a world of its own: no other process can signal it, and when
//! it ends, however it ends, the kernel ends all others with it and takes their memory back. In the
//! lower tier it becomes a user of its own, and [`sweep`] clears up behind it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{
    ForkResult, Gid, Pid, Uid, fork, getgid, getuid, setgroups, setresgid, setresuid,
};
use serde::{Deserialize, Serialize};

use crate::confinement::no_privileges;
use crate::defence::Defence;
use crate::mounts;
use crate::tier::Tier;

/// What a cell is like.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cell {
    /// How much of it there is to be.
    pub tier: Tier,
    /// The user to become; nothing where we have no right to, or it is not wanted.
    pub user: Option<u32>,
    /// Bytes that `/dev/shm` holds.
    pub shm_bytes: u64,
    /// Files that `/dev/shm` holds.
    pub shm_files: u64,
    /// Bytes that `/tmp` holds.
    pub tmp_bytes: u64,
    /// Files and folders to be seen, on top of the system's, each at its own path.
    pub read: Vec<PathBuf>,
    /// Folders that may be written, each at its own path.
    pub write: Vec<PathBuf>,
    /// Defences that are left out, to show what they are there for.
    pub without: Vec<Defence>,
}

/// Why there is no cell: which operation, and what the system said.
#[derive(Debug)]
pub struct Refused {
    /// The operation, as a clause.
    pub what: String,
    /// What the system said.
    pub why: io::Error,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl std::error::Error for Refused {}

/// Names the operation that failed.
pub(crate) trait Named<T> {
    fn named(self, what: impl Into<String>) -> Result<T, Refused>;
}

impl<T, E: Into<io::Error>> Named<T> for Result<T, E> {
    fn named(self, what: impl Into<String>) -> Result<T, Refused> {
        self.map_err(|why| Refused { what: what.into(), why: why.into() })
    }
}

impl Cell {
    /// Enters the cell. It returns in the process that lives in it, which in the upper tier is a new
    /// one; the old one waits for its end and ends in the same way.
    ///
    /// The calling process must have one thread only.
    ///
    /// # Errors
    ///
    /// Which operation was refused. The process is good for nothing then but to say so.
    pub fn enter(&self) -> Result<(), Refused> {
        die_with_parent();
        if self.tier == Tier::T2 {
            self.leave_the_machine()?;
        }
        // No terminal can be typed on from here. It fails only for who leads a session already.
        let _ = nix::unistd::setsid();
        self.become_nobody()?;
        // Orphans of those we start become ours, so that none gets out of sight.
        set(libc::PR_SET_CHILD_SUBREAPER, 1).named("collecting orphans")?;
        let open = libc::c_int::from(!self.has(Defence::NotDumpable));
        set(libc::PR_SET_DUMPABLE, open).named("closing our memory to others")?;
        Ok(())
    }

    fn has(&self, defence: Defence) -> bool {
        !self.without.contains(&defence)
    }

    /// Makes the namespaces and the file system, and goes on as their first process.
    fn leave_the_machine(&self) -> Result<(), Refused> {
        let (uid, gid) = (getuid(), getgid());
        let mut flags = CloneFlags::CLONE_NEWUTS;
        for (defence, flag) in [
            (Defence::MountNamespace, CloneFlags::CLONE_NEWNS),
            (Defence::PidNamespace, CloneFlags::CLONE_NEWPID),
            (Defence::IpcNamespace, CloneFlags::CLONE_NEWIPC),
            (Defence::NetworkNamespace, CloneFlags::CLONE_NEWNET),
        ] {
            if self.has(defence) {
                flags |= flag;
            }
        }
        // The superuser needs no namespace of users: it becomes an ordinary one instead. Mapped into
        // one it would stay the superuser, for whom there is no limit on processes.
        if !uid.is_root() {
            flags |= CloneFlags::CLONE_NEWUSER;
        }
        unshare(flags).named("namespaces of our own")?;
        if !uid.is_root() {
            fs::write("/proc/self/setgroups", "deny").named("a map of groups")?;
            fs::write("/proc/self/uid_map", format!("{uid} {uid} 1")).named("a map of users")?;
            fs::write("/proc/self/gid_map", format!("{gid} {gid} 1")).named("a map of groups")?;
        }
        // SAFETY: there is one thread only, so that the child may do what it likes.
        match unsafe { fork() }.named("the first process of a cell")? {
            ForkResult::Parent { child } => end_as(child),
            ForkResult::Child => die_with_parent(),
        }
        if self.has(Defence::MountNamespace) {
            mounts::make(self, self.has(Defence::PrivateShm), self.has(Defence::PidNamespace))?;
        }
        Ok(())
    }

    fn become_nobody(&self) -> Result<(), Refused> {
        if let Some(user) = self.user
            && self.has(Defence::UserSplit)
        {
            let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
            setgroups(&[]).named("giving up groups")?;
            setresgid(gid, gid, gid).named("becoming another group")?;
            setresuid(uid, uid, uid).named("becoming another user")?;
            // Becoming another user takes this back.
            die_with_parent();
        }
        // Those we start could not be watched if they had more than we have; so all or nobody.
        if self.tier > Tier::T0 && self.has(Defence::UserSplit) {
            no_privileges().named("giving up privileges")?;
        }
        Ok(())
    }
}

/// Should our parent end, however it ends, so do we.
fn die_with_parent() {
    let _ = set(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
}

fn set(option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: these options take one integer and touch no memory.
    let done = unsafe { libc::prctl(option, value as libc::c_ulong, 0, 0, 0) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Waits for the inner process, and ends as it did.
fn end_as(child: Pid) -> ! {
    // Descriptors that somebody waits for the end of are the inner process's alone.
    // SAFETY: close_range takes three integers; nobody uses a descriptor of this process any more.
    unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) };
    let code = loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => break code,
            Ok(WaitStatus::Signaled(_, signal, _)) => break 128 + signal as i32,
            Err(Errno::EINTR) | Ok(_) => {}
            Err(_) => break 127,
        }
    };
    // SAFETY: _exit takes an integer. Nothing of ours may run at the end, least of all twice.
    unsafe { libc::_exit(code) }
}

/// Ends every process of the user `user` and removes what it owns in the folders that everybody may
/// write. For a user of a cell only; the caller is the superuser.
///
/// # Errors
///
/// When a process of that user cannot be ended.
pub fn sweep(user: u32) -> io::Result<()> {
    // Each round ends all there are at that moment; who forks faster meets its limit.
    for _ in 0..1000 {
        if !has_processes(user) {
            remove_files_of(user);
            return Ok(());
        }
        // SAFETY: the child makes system calls on integers only, and ends without running anything of
        // ours.
        match unsafe { fork() }? {
            ForkResult::Child => end_all_of(user),
            ForkResult::Parent { child } => waitpid(child, None)?,
        };
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Err(io::Error::other(format!("processes of the user {user} cannot be ended")))
}

/// Whether any process of the user is alive. One that only waits to be waited for is not.
fn has_processes(user: u32) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.map(|entry| entry.path()).any(|path| {
        let status = fs::read_to_string(path.join("status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()).unwrap_or("").to_owned()
        };
        field("Uid:") == user.to_string() && !["Z", "X"].contains(&field("State:").as_str())
    })
}

/// Runs in the child: becomes the user, and kills all it may but itself.
#[expect(clippy::multiple_unsafe_ops_per_block, reason = "a list of system calls")]
fn end_all_of(user: u32) -> ! {
    // SAFETY: system calls on integers. The raw calls, since libc's would tell other threads, which
    // this process has not.
    unsafe {
        let none = std::ptr::null::<libc::gid_t>();
        let became = libc::syscall(libc::SYS_setgroups, 0, none) == 0
            && libc::syscall(libc::SYS_setresgid, user, user, user) == 0
            && libc::syscall(libc::SYS_setresuid, user, user, user) == 0;
        if became {
            libc::kill(-1, libc::SIGKILL);
        }
        libc::_exit(0);
    }
}

/// Removes what the user owns in folders for everybody. Links are removed, never followed.
fn remove_files_of(user: u32) {
    use std::os::unix::fs::MetadataExt;
    for folder in ["/dev/shm", "/tmp", "/var/tmp", "/dev/mqueue"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let owned = entry.path().symlink_metadata().is_ok_and(|meta| meta.uid() == user);
            if owned {
                remove(&entry.path());
            }
        }
    }
}

fn remove(path: &Path) {
    let is_folder = path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
    let _ = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}
