//! What a check says: it passed, it failed for a stated cause, or it could not be judged.
//!
//! Three things are kept apart: what happened (`process::Exit`, `scene::Event`), what it means
//! (here), and how it is told (`report`).

use crate::diagnosis::Diagnosis;

/// What a check function returns. `Err` carries why the check stopped short of a pass, so that the
/// first deviation ends the check: what comes after it is a consequence.
pub type Outcome<T = ()> = Result<T, Stop>;

/// Why a check did not pass.
#[derive(Debug)]
pub enum Stop {
    /// The submission is wrong, for this cause.
    Fail(Box<Diagnosis>),
    /// A `todo!` of the starter was reached; its text.
    NotStarted(String),
    /// This machine or this build cannot decide it, for this reason. Costs no points.
    NotChecked(String),
    /// The grader or the machine failed. Never the student's fault.
    Broken(String),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Stop {
        Stop::Broken(error.to_string())
    }
}

impl From<nix::errno::Errno> for Stop {
    fn from(error: nix::errno::Errno) -> Stop {
        Stop::Broken(error.to_string())
    }
}

impl From<Diagnosis> for Stop {
    fn from(diagnosis: Diagnosis) -> Stop {
        Stop::Fail(Box::new(diagnosis))
    }
}
