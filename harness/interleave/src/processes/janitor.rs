//! Removes the segment's name should we be killed. A signal that cannot be caught leaves nobody of us
//! to do it, so a process of its own waits for our end.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pipe2, write};

use crate::Unsupported;

/// The process that waits. Dropping this sends it away, and the name stays: it is the caller's.
pub(super) struct Janitor {
    pid: Pid,
    /// Nobody else has this end: when it closes without a word, we are dead.
    word: OwnedFd,
}

impl Janitor {
    pub(super) fn new(path: &Path) -> Result<Janitor, Unsupported> {
        let path = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| Unsupported::Start("a name with a zero in it".to_owned()))?;
        let (listen, word) = pipe2(OFlag::O_CLOEXEC).map_err(Unsupported::system("pipe2"))?;
        // SAFETY: the child makes system calls on what was made before, and nothing else: it neither
        // allocates nor takes a lock.
        match unsafe { fork() }.map_err(Unsupported::system("fork"))? {
            ForkResult::Child => wait_and_remove(listen.as_raw_fd(), &path),
            ForkResult::Parent { child } => Ok(Janitor { pid: child, word }),
        }
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        let _ = write(&self.word, b".");
        let _ = waitpid(self.pid, None);
    }
}

/// Runs in the child.
#[expect(clippy::multiple_unsafe_ops_per_block, reason = "a list of system calls")]
fn wait_and_remove(listen: i32, path: &CString) -> ! {
    let mut word = 0_u8;
    // SAFETY: system calls on integers, on one byte of our stack, and on a path that lives as long as
    // we do. A session of our own keeps away what is sent to our parent's group; without descriptors
    // we hold nothing open that somebody waits for the end of.
    unsafe {
        libc::setsid();
        libc::dup2(listen, 0);
        libc::syscall(libc::SYS_close_range, 1, u32::MAX, 0);
        loop {
            let read = libc::read(0, (&raw mut word).cast(), 1);
            if read == 0 {
                libc::unlink(path.as_ptr());
            }
            if read >= 0 || *libc::__errno_location() != libc::EINTR {
                libc::_exit(0);
            }
        }
    }
}
