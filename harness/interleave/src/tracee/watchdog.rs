//! Sees to it that we never wait for a process that sleeps in the kernel. It looks twice a second
//! at the process that should be running; one that has slept in one system call at several looks in
//! a row is killed, and the exploration says which call it was.
//!
//! A process that computes for ever is not its business: the kernel ends that one by its limit on
//! processor time.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::libc;
use nix::unistd::Pid;

use crate::Unsupported;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// So many looks in a row a process must be asleep.
const LOOKS: u32 = 8;

/// The thread that looks. It ends when this is dropped.
pub(crate) struct Watchdog {
    shared: Arc<Mutex<Watched>>,
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Watched {
    /// The process that runs now, if any.
    running: Option<(Pid, Arc<OwnedFd>)>,
    /// Counts the times something was made to run.
    times: u64,
    /// The number of the call in which the process was found asleep and killed.
    blocked: Option<i64>,
}

/// What one process is held by. Its descriptor stays its own even when its pid has become another's.
pub(crate) struct Leash {
    pid: Pid,
    descriptor: Arc<OwnedFd>,
    shared: Arc<Mutex<Watched>>,
}

/// As long as this is there, the process is said to run.
pub(super) struct Held<'a>(&'a Leash);

impl Watchdog {
    pub(crate) fn new() -> Watchdog {
        let shared = Arc::new(Mutex::new(Watched::default()));
        let (end, ended) = channel::<()>();
        let watched = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let (mut times, mut asleep) = (0, 0);
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
                let Some((pid, descriptor)) = watched.running.clone() else {
                    asleep = 0;
                    continue;
                };
                let same = watched.times == times;
                times = watched.times;
                asleep = if same && sleeps(pid) { asleep + 1 } else { 0 };
                if asleep >= LOOKS {
                    watched.blocked = Some(call_of(pid).unwrap_or(-1));
                    kill(&descriptor);
                    asleep = 0;
                }
            }
        });
        Watchdog { shared, end: Some(end), thread: Some(thread) }
    }

    /// Takes a process on a leash. It must not have been reaped.
    pub(super) fn leash(&self, pid: Pid) -> Result<Leash, Unsupported> {
        // SAFETY: pidfd_open takes two integers and touches no memory.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
        let descriptor = nix::errno::Errno::result(descriptor)
            .map_err(Unsupported::system("pidfd_open"))? as i32;
        // SAFETY: the kernel has just made this descriptor for us; nobody else has it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Leash { pid, descriptor: Arc::new(descriptor), shared: Arc::clone(&self.shared) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Leash {
    /// Says that the process runs from now on.
    pub(super) fn running(&self) -> Held<'_> {
        let mut watched = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        watched.times += 1;
        watched.running = Some((self.pid, Arc::clone(&self.descriptor)));
        Held(self)
    }
}

impl Held<'_> {
    /// Says that the process does not run any more; the name of the call it slept in, if it was
    /// killed for that.
    pub(super) fn blocked(self) -> Option<String> {
        let mut watched = self.0.shared.lock().unwrap_or_else(PoisonError::into_inner);
        watched.running = None;
        watched.blocked.take().map(super::filter::name_of)
    }
}

/// Whether the process sleeps and waits for something (not for its turn, nor for us).
fn sleeps(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The program's name is in brackets and may itself hold brackets.
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('S'))
}

fn call_of(pid: Pid) -> Option<i64> {
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
    call.split_whitespace().next()?.parse().ok()
}

fn kill(descriptor: &OwnedFd) {
    let null = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: pidfd_send_signal with a null siginfo reads no memory; the descriptor is open.
    unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, descriptor.as_raw_fd(), libc::SIGKILL, null, 0)
    };
}
