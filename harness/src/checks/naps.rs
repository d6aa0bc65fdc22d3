//! How a program that polls sleeps: whether it does, and for how long at a time.

use std::time::{Duration, Instant};

use crate::procfs::{self, Doing, Task};
use crate::scene::{Actor, Scene};

/// One sleep this long breaks the rule of 250 ms whatever else the machine does: the kernel says
/// that it sleeps, not that it has no processor.
pub(super) const LONG_NAP: Duration = Duration::from_millis(500);

/// A sleep that is being watched, with the number of sleeps before it and its begin.
#[derive(Default)]
pub(super) struct Nap(Option<(u64, Instant)>);

/// A sleep that is too long.
pub(super) struct TooLong;

impl Nap {
    /// Takes one more look, as [`look`] gives it.
    pub(super) fn watch(&mut self, asleep: bool, sleeps: u64) -> Result<(), TooLong> {
        match self.0 {
            Some((number, since)) if asleep && number == sleeps => {
                if since.elapsed() > LONG_NAP {
                    Err(TooLong)
                } else {
                    Ok(())
                }
            }
            _ => {
                self.0 = asleep.then(|| (sleeps, Instant::now()));
                Ok(())
            }
        }
    }
}

/// Whether every thread sleeps because it wants to, and how often all of them have gone to sleep so
/// far. Who is kept waiting by a slow disk does not sleep in this sense, nor who waits for our pipes.
pub(super) fn look(scene: &Scene, actor: Actor) -> (bool, u64) {
    let tasks = procfs::tasks(scene.pid(actor));
    let ours = |doing| matches!(doing, Doing::Reading { descriptor: 0 } | Doing::Writing);
    let asleep = |task: &Task| task.asleep && !ours(task.doing);
    let all = !tasks.is_empty() && tasks.iter().all(asleep);
    (all, procfs::sleeps(&tasks))
}
