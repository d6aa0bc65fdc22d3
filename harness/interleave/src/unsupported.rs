//! Why a lab was not explored. Said instead of a guess.

use std::fmt;

/// What stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// There is no ptrace as on Linux, or another processor than x86-64.
    Platform,
    /// A program starts a thread.
    Threads,
    /// A program starts another process.
    Forks,
    /// A program replaces itself by another one.
    Exec,
    /// A program makes a system call that cannot be explored.
    Call(String),
    /// A program sleeps in a system call of which nobody knows when it ends.
    Blocks(String),
    /// A program uses an instruction on the segment that cannot be redirected.
    Instruction(String),
    /// A program or the segment cannot be had.
    Start(String),
    /// The same schedule went differently the second time.
    NotRepeatable,
    /// There are no processes, or more than eight.
    Processes(usize),
    /// The system refuses something.
    System(String),
}

impl Unsupported {
    /// For `map_err`: the system refused this.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    pub(crate) fn system(what: &'static str) -> impl FnOnce(nix::errno::Errno) -> Unsupported {
        move |errno| Unsupported::System(format!("{what}: {errno}"))
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unsupported::Platform => {
                write!(f, "schedules can be controlled on Linux with an x86-64 processor only")
            }
            Unsupported::Threads => write!(f, "the program starts a thread"),
            Unsupported::Forks => write!(f, "the program starts another process"),
            Unsupported::Exec => write!(f, "the program replaces itself by another one"),
            Unsupported::Call(call) => write!(f, "the program calls {call}"),
            Unsupported::Blocks(call) => write!(f, "the program sleeps in {call}"),
            Unsupported::Instruction(name) => write!(f, "the program uses {name}"),
            Unsupported::Start(why) => write!(f, "the processes cannot be started: {why}"),
            Unsupported::NotRepeatable => {
                write!(f, "the program does not do the same when it is run the same way again")
            }
            Unsupported::Processes(count) => {
                write!(f, "{count} processes cannot be explored; one to eight can")
            }
            Unsupported::System(why) => write!(f, "the system does not allow it: {why}"),
        }
    }
}

impl std::error::Error for Unsupported {}
