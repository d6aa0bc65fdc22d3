//! What a check is run with: the student's program, the peer's, and the words of the lab.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use sandbox::{Confinement, Policy};

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
    /// The program's memory orderings.
    pub orderings: Lazy,
    /// What was handed in, by path; nothing where it was a program.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// How the student's programs are kept in; nothing where they run with our own rights.
    pub confined: Option<Confined>,
    /// A check that passes whatever it sees: how the corpus is shown to notice a blunt check.
    pub blunt: Option<String>,
}

/// How the student's programs are kept in.
pub struct Confined {
    /// What each of them may do, for who must make it ready in another process.
    pub policy: Policy,
    /// The same, ready.
    pub confinement: Arc<Confinement>,
}

/// What works out the orderings.
type Work = Box<dyn FnOnce() -> Result<Orderings, String> + Send>;

/// The memory orderings of a program, worked out when they are first asked for, or before that in
/// the background.
#[derive(Default)]
pub struct Lazy {
    work: Mutex<Option<Work>>,
    thread: Mutex<Option<JoinHandle<Result<Orderings, String>>>>,
    done: OnceLock<Result<Orderings, String>>,
}

impl Lazy {
    /// Remembers how to work them out.
    pub fn new(work: impl FnOnce() -> Result<Orderings, String> + Send + 'static) -> Lazy {
        let lazy = Lazy::default();
        *lock(&lazy.work) = Some(Box::new(work));
        lazy
    }

    /// Starts in the background: it takes the compiler a second, in which scenes can be played.
    pub fn begin(&self) {
        if let Some(work) = take(&self.work) {
            *lock(&self.thread) = Some(std::thread::spawn(work));
        }
    }

    fn get(&self) -> &Result<Orderings, String> {
        self.done.get_or_init(|| match (take(&self.thread), take(&self.work)) {
            (Some(thread), _) => thread
                .join()
                .unwrap_or_else(|_| Err("reading the compiler's output failed".to_owned())),
            (None, Some(work)) => work(),
            (None, None) => Err("the program was not built from Rust here".to_owned()),
        })
    }
}

/// Waits for the thread: it works in a folder that is about to be used again or removed.
impl Drop for Lazy {
    fn drop(&mut self) {
        if let Some(thread) = take(&self.thread) {
            let _ = thread.join();
        }
    }
}

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    lock(slot).take()
}

fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bench {
    /// What each of the student's programs gives up before it runs.
    pub fn confinement(&self) -> Option<Arc<Confinement>> {
        self.confined.as_ref().map(|confined| Arc::clone(&confined.confinement))
    }

    /// The memory orderings the source wrote, as the compiler understood them.
    ///
    /// # Errors
    ///
    /// `NotChecked` where there is no such output, as for a program in another language.
    pub fn orderings(&self) -> Outcome<&Orderings> {
        let result = self.orderings.get();
        result.as_ref().map_err(|why| Stop::NotChecked(why.clone()))
    }
}
