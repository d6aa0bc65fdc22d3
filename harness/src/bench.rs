//! What a check is run with: the student's program, the peer's, and the words of the lab.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::orderings::Orderings;
use crate::verdict::{Outcome, Stop};

/// How long an expected event may take. Long, because a wrong "it hangs" costs a student points and
/// a right one is seen earlier by state; time without a processor does not count.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// A submission, built and ready to be judged.
pub struct Bench {
    /// The student's program.
    pub program: PathBuf,
    /// This program, which is also the peer.
    pub peer_program: PathBuf,
    /// The words of the lab's segment by offset, in ascending order.
    pub words: &'static [(u64, &'static str)],
    /// How long an expected event may take.
    pub deadline: Duration,
    /// The program's memory orderings, found in the background.
    pub orderings: Lazy,
}

/// The memory orderings of a program, being read from the compiler's output by another thread.
#[derive(Default)]
pub struct Lazy {
    thread: std::sync::Mutex<Option<JoinHandle<Result<Orderings, String>>>>,
    done: OnceLock<Result<Orderings, String>>,
}

impl Lazy {
    /// Starts to work them out.
    pub fn start(work: impl FnOnce() -> Result<Orderings, String> + Send + 'static) -> Lazy {
        let thread = std::sync::Mutex::new(Some(std::thread::spawn(work)));
        Lazy { thread, done: OnceLock::new() }
    }
}

/// Waits for the thread: it works in a folder that is about to be used again or removed.
impl Drop for Lazy {
    fn drop(&mut self) {
        let slot = self.thread.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(thread) = slot.take() {
            let _ = thread.join();
        }
    }
}

impl Bench {
    /// The memory orderings the source wrote, as the compiler understood them.
    ///
    /// # Errors
    ///
    /// `NotChecked` where there is no such output, as for a program in another language.
    pub fn orderings(&self) -> Outcome<&Orderings> {
        let result = self.orderings.done.get_or_init(|| {
            let thread = self.orderings.thread.lock().map_or(None, |mut slot| slot.take());
            match thread.map(JoinHandle::join) {
                Some(Ok(result)) => result,
                Some(Err(_)) => Err("reading the compiler's output failed".to_owned()),
                None => Err("the program was not built from Rust here".to_owned()),
            }
        });
        result.as_ref().map_err(|why| Stop::NotChecked(why.clone()))
    }
}
