//! What is explored, and how far.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::play::Player;
use crate::request::Ending;
use crate::schedule::Schedule;

/// Prepares the segment before a run, given the path of its name in `/dev/shm`.
pub type Prepare<'a> = &'a dyn Fn(&Path) -> io::Result<()>;

/// Judges what a run has left, if every process ended well.
pub type Check<'a> = &'a dyn Fn(&Ending) -> Result<(), String>;

/// Runs in each new process just before its program: makes system calls and nothing else.
pub type Confine<'a> = &'a dyn Fn() -> io::Result<()>;

/// Some processes on one segment, and what must come of it.
pub struct Lab<'a> {
    /// The segment's name, with its slash. It is the caller's: who made it removes it.
    pub name: String,
    /// The programs, at most eight. Each is run once; the first is called A.
    pub programs: Vec<Program>,
    /// Prepares the segment. Called before a run, and must do the same each time.
    pub prepare: Prepare<'a>,
    /// Judges a run.
    pub check: Check<'a>,
    /// Structures of the first program's source that describe the segment, and where they begin.
    pub layout: Vec<(String, usize)>,
    /// Pieces of the segment that no structure describes: name, offset and length in bytes.
    pub named: Vec<(String, usize, usize)>,
    /// Runs are forks of processes that stand at their first access, which is some five times
    /// faster. Not for programs that create the segment themselves: there it is not done.
    pub fork_server: bool,
    /// The source uses acquire or release fences, which leave no trace in the code: then relaxed
    /// accesses are taken to be ordered. Found out by itself where the source is at hand.
    pub hidden_fences: bool,
    /// What each process gives up before it runs its program.
    pub confine: Option<Confine<'a>>,
}

impl<'a> Lab<'a> {
    /// Programs on a segment, with a fork server.
    pub fn new(
        name: impl Into<String>,
        programs: impl IntoIterator<Item = Program>,
        prepare: Prepare<'a>,
        check: Check<'a>,
    ) -> Lab<'a> {
        Lab {
            name: name.into(),
            programs: programs.into_iter().collect(),
            prepare,
            check,
            layout: Vec::new(),
            named: Vec::new(),
            fork_server: true,
            hidden_fences: false,
            confine: None,
        }
    }

    /// The structure of this name lies at `offset` of the segment: its fields are shown by name.
    /// Where several have the name, modules tell them apart, as in `layout::Header`.
    #[must_use]
    pub fn layout(mut self, structure: &str, offset: usize) -> Lab<'a> {
        self.layout.push((structure.to_owned(), offset));
        self
    }

    /// The `len` bytes at `offset` of the segment are called this, unless a structure says more.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>, offset: usize, len: usize) -> Lab<'a> {
        self.named.push((name.into(), offset, len));
        self
    }

    /// Every process does this just before it runs its program, and is not run where it fails. It
    /// borrows our memory at that moment, so this may make system calls and nothing else.
    #[must_use]
    pub fn confined(mut self, confine: Confine<'a>) -> Lab<'a> {
        self.confine = Some(confine);
        self
    }

    /// Starts every process anew for every run.
    #[must_use]
    pub fn without_fork_server(mut self) -> Lab<'a> {
        self.fork_server = false;
        self
    }
}

/// One program and what it is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The file.
    pub path: PathBuf,
    /// The words after its name on the command line.
    pub arguments: Vec<OsString>,
    /// What it reads from standard input.
    pub input: Vec<u8>,
    /// All of its environment.
    pub environment: Vec<(OsString, OsString)>,
}

impl Program {
    /// A program without arguments, with nothing to read and an empty environment.
    ///
    /// ```
    /// let producer = interleave::Program::new("/bin/cat").argument("-").input("one\ntwo\n");
    /// assert_eq!(producer.input, b"one\ntwo\n");
    /// ```
    pub fn new(path: impl Into<PathBuf>) -> Program {
        Program {
            path: path.into(),
            arguments: Vec::new(),
            input: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// One word more.
    #[must_use]
    pub fn argument(mut self, word: impl Into<OsString>) -> Program {
        self.arguments.push(word.into());
        self
    }

    /// What it reads.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Program {
        self.input = bytes.into();
        self
    }

    /// One variable more.
    #[must_use]
    pub fn variable(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Program {
        self.environment.push((key.into(), value.into()));
        self
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// It returned this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
    /// It computed without end and without touching the segment, until the kernel ended it.
    Endless,
}

/// Which schedules are tried, and in which order.
pub enum Search<'a> {
    /// All with no interruption, then all with one, and so on up to this many.
    Bounded {
        /// The most interruptions.
        preemptions: usize,
    },
    /// Random priorities with `depth - 1` changes.
    Pct {
        /// How many ordered events a fault needs.
        depth: usize,
        /// Where the chance comes from.
        seed: u64,
    },
    /// Every decision by chance.
    Walk {
        /// Where the chance comes from.
        seed: u64,
    },
    /// A process is killed before each of its steps.
    Crash {
        /// Its number; A is 0.
        victim: usize,
    },
    /// One schedule.
    Replay(Schedule),
    /// Somebody else decides.
    Play(&'a mut dyn Player),
}

/// How far a search goes. It counts schedules and never seconds, so that what comes of it does not
/// depend on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The most schedules.
    pub schedules: usize,
    /// The most decisions in one of them.
    pub steps: usize,
}

impl Default for Budget {
    /// 2000 schedules of at most 5000 decisions.
    fn default() -> Budget {
        Budget { schedules: 2000, steps: 5000 }
    }
}
