//! What a process is about to do, and who can make it do so: the line between the engine, which
//! decides, and a backend, which has the processes.

use crate::{Exit, Unsupported};

/// What an access does to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It loads.
    Read,
    /// It stores.
    Write,
    /// It loads and stores, and others may come between: `inc [m]` without a `lock`.
    Update,
    /// It loads and stores, and nobody comes between.
    Locked,
}

/// A place in a program's code, the same in every run: the module and the offset in its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Which module, as numbered by the backend.
    pub module: u32,
    /// The offset in the module's file.
    pub offset: u64,
}

/// Where a request comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// The instruction.
    pub place: Place,
    /// The callers' return addresses, innermost first; only when the backend was asked for them.
    pub callers: Vec<Place>,
}

/// A word that processes sleep on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    /// In the segment, at this offset.
    Shared(usize),
    /// In the memory of one process; nobody else can wake it.
    Private {
        /// The process.
        process: usize,
        /// The address in it.
        address: u64,
        /// What it holds at the time of the call.
        value: u32,
    },
}

/// A futex call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Futex {
    /// Sleep if the word still holds this.
    Wait {
        /// The value.
        expected: u32,
        /// Only wake-ups that share a bit count.
        bits: u32,
        /// Whether it ends by itself.
        timed: bool,
    },
    /// Wake at most so many sleepers.
    Wake {
        /// How many.
        most: u32,
        /// Only sleepers that share a bit.
        bits: u32,
    },
    /// Wake some sleepers and let the others sleep on another word.
    Requeue {
        /// How many to wake.
        wake: u32,
        /// How many to move.
        moved: u32,
        /// The other word.
        to: Word,
        /// Only if the word still holds this.
        expected: Option<u32>,
    },
}

/// What about the object, not about its bytes, a call looks at or changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aspect {
    /// Its length.
    Length,
    /// Its name.
    Name,
}

/// The next thing a process will do that others can notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// An instruction touches the segment. Answer with [`Reply::Bytes`].
    Access {
        /// The first byte.
        offset: usize,
        /// How many.
        size: usize,
        /// What it does to them.
        kind: Kind,
    },
    /// A fence, or a locked instruction on private memory. Answer with [`Reply::Go`].
    Fence,
    /// A futex call. Answer with [`Reply::Return`].
    Futex {
        /// The word.
        word: Word,
        /// The call.
        call: Futex,
    },
    /// A system call whose buffer lies in the segment. Answer with [`Reply::Bytes`].
    Call {
        /// Its name.
        name: &'static str,
        /// The first byte of the buffer.
        offset: usize,
        /// Its length.
        size: usize,
        /// Whether the system writes into it.
        writes: bool,
    },
    /// A system call on the object itself. Answer with [`Reply::Go`].
    Object {
        /// Its name.
        name: &'static str,
        /// What it is about.
        aspect: Aspect,
        /// Whether it changes that.
        changes: bool,
    },
    /// It gives way to others, or sleeps for so many nanoseconds. Answer with [`Reply::Return`].
    Yield {
        /// For how long it sleeps.
        nanoseconds: u64,
    },
    /// It has ended, and nothing more comes.
    Ended(Exit),
}

/// The answer to a request: the process then runs to its next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// What the instruction or the call finds in memory.
    Bytes(Vec<u8>),
    /// What a call returns.
    Return(i64),
    /// Just go on.
    Go,
}

/// The state of things when a run is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// What the segment holds; `None` if nobody has its name.
    pub bytes: Option<Vec<u8>>,
    /// How each process ended; `None` if it was still alive.
    pub exits: Vec<Option<Exit>>,
    /// What each wrote to standard output.
    pub outputs: Vec<Vec<u8>>,
    /// What each wrote to standard error.
    pub errors: Vec<Vec<u8>>,
}

/// Who has the processes. The real one drives them by ptrace; tests use one that needs no process.
pub trait Backend {
    /// How many processes there are.
    fn processes(&self) -> usize;

    /// Ends what is left of the last run, and brings fresh processes to their first request.
    fn start(&mut self) -> Result<(), Unsupported>;

    /// What this process is about to do.
    fn request(&self, process: usize) -> &Request;

    /// Where in its code it is about to do it.
    fn site(&self, process: usize) -> &Site;

    /// Answers the request, and runs the process to its next one. Returns what an instruction or a
    /// call left in the memory it was given.
    fn resume(&mut self, process: usize, reply: Reply) -> Result<Vec<u8>, Unsupported>;

    /// Ends a process at once, as `kill -9` does.
    fn kill(&mut self, process: usize);

    /// Virtual time passes.
    fn pass(&mut self, nanoseconds: u64);

    /// Reads the segment's bytes at `offset`; less than asked for at its end.
    fn load(&self, offset: usize, bytes: &mut [u8]) -> usize;

    /// Changes the segment's bytes at `offset`.
    fn store(&mut self, offset: usize, bytes: &[u8]);

    /// Looks at what is left when a run is over.
    fn ending(&mut self) -> Ending;

    /// Words of the segment that a robust mutex must be told about, since this process is dead:
    /// offset and new value.
    fn orphaned(&mut self, _process: usize) -> Vec<(usize, u32)> {
        Vec::new()
    }

    /// What the source says about an access: see [`Ordering`].
    fn ordering(&mut self, _place: Place, _locked: bool) -> Ordering {
        Ordering::SeqCst
    }

    /// How many instructions could not be done the precise way so far.
    fn imprecise(&self) -> usize {
        0
    }
}

/// How an access is ordered, as its source says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ordering {
    /// An ordinary access, or a volatile one.
    Plain,
    /// Atomic, and nothing more.
    Relaxed,
    /// A load that sees what came before the store it reads from.
    Acquire,
    /// A store that publishes what came before it.
    Release,
    /// Both.
    AcqRel,
    /// Both, in one order that all agree on. Also what is assumed where the source is not known.
    SeqCst,
}

impl Ordering {
    /// Whether a load of this ordering acquires.
    pub fn acquires(self) -> bool {
        matches!(self, Ordering::Acquire | Ordering::AcqRel | Ordering::SeqCst)
    }

    /// Whether a store of this ordering releases.
    pub fn releases(self) -> bool {
        matches!(self, Ordering::Release | Ordering::AcqRel | Ordering::SeqCst)
    }

    /// Whether it is an atomic access at all.
    pub fn is_atomic(self) -> bool {
        self != Ordering::Plain
    }
}
