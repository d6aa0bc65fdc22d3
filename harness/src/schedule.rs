//! Decides who runs when two programs want to, without a debugger.
//!
//! Whoever lets go of a lock one line too early is right nearly always: the one who has waited needs
//! microseconds to wake up, and by then that line is done. On a single processor, and with the
//! kernel told that one of the two is in no hurry, the waking comes first.

use nix::libc;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::scene::{Actor, Scene};

impl Scene<'_> {
    /// Puts the programs on one processor, on which `slow` runs only while none of the others wants
    /// to: in the moment it wakes one of them it stands still, and what it has left to do comes
    /// later. It stays so until the scene is cleared. False where the system does not allow it.
    pub fn gives_way(&self, slow: Actor, to: &[Actor]) -> bool {
        let to: Vec<Pid> = to.iter().map(|&actor| self.pid(actor)).collect();
        gives_way(self.pid(slow), &to)
    }
}

/// As [`Scene::gives_way`], for any processes of ours.
pub fn gives_way(slow: Pid, to: &[Pid]) -> bool {
    let Ok(allowed) = sched_getaffinity(slow) else { return false };
    let is_allowed = |&processor: &usize| allowed.is_set(processor).unwrap_or(false);
    let Some(processor) = (0..CpuSet::count()).find(is_allowed) else { return false };
    let mut one = CpuSet::new();
    one.set(processor).is_ok()
        && to.iter().chain([&slow]).all(|&pid| sched_setaffinity(pid, &one).is_ok())
        && in_no_hurry(slow)
}

/// Lets the process run only while its processor would be idle.
fn in_no_hurry(pid: Pid) -> bool {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters live on our stack during the call, and it touches no other memory.
    unsafe { libc::sched_setscheduler(pid.as_raw(), libc::SCHED_IDLE, &raw const parameters) == 0 }
}
