//! How a program that polls sleeps: whether it does, and for how long at a time.

use std::time::{Duration, Instant};

use crate::procfs::{self, Doing, Task};
use crate::scene::{Actor, Scene};

/// One sleep this long breaks the rule of 250 ms whatever else the machine does: the kernel says
/// that it sleeps, not that it has no processor.
pub(super) const LONG_NAP: Duration = Duration::from_millis(500);

/// One look at a program that polls.
pub(super) struct Look {
    /// Right before the look: what was seen may be long ago by the time it is thought about.
    begin: Instant,
    /// Whether every thread sleeps because it wants to.
    pub(super) asleep: bool,
    /// How often all of them have gone to sleep so far.
    pub(super) sleeps: u64,
}

/// A sleep that is being watched, with the number of sleeps before it, and when it had begun.
#[derive(Default)]
pub(super) struct Nap(Option<(u64, Instant)>);

/// A sleep that is too long.
pub(super) struct TooLong;

impl Nap {
    /// Takes one more look.
    pub(super) fn watch(&mut self, look: &Look) -> Result<(), TooLong> {
        match self.0 {
            Some((number, since)) if look.asleep && number == look.sleeps => {
                let long = look.begin.saturating_duration_since(since) > LONG_NAP;
                if long { Err(TooLong) } else { Ok(()) }
            }
            _ => {
                self.0 = look.asleep.then(|| (look.sleeps, Instant::now()));
                Ok(())
            }
        }
    }
}

/// Looks at a program. Who is kept waiting by a slow disk does not sleep in this sense, nor who waits for
/// our pipes.
pub(super) fn look(scene: &Scene, actor: Actor) -> Look {
    let begin = Instant::now();
    let tasks = procfs::tasks(scene.pid(actor));
    let ours = |doing| matches!(doing, Doing::Reading { descriptor: 0 } | Doing::Writing);
    let asleep = |task: &Task| task.asleep && !ours(task.doing);
    let asleep = !tasks.is_empty() && tasks.iter().all(asleep);
    Look { begin, asleep, sleeps: procfs::sleeps(&tasks) }
}
