//! What `cargo lab` returns to whoever started it.

/// The exit codes, the same for every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// All that was asked for holds.
    Passed = 0,
    /// A submission has failed, was not started, or does not compile.
    Failed = 1,
    /// The command line or the files that were named are at fault; the message says how.
    Usage = 2,
    /// The grader or the machine is at fault, never the student.
    Broken = 3,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> std::process::ExitCode {
        std::process::ExitCode::from(code as u8)
    }
}

/// An error with the exit code it ends in.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: ExitCode,
    /// What, where, why, and what to do.
    pub error: anyhow::Error,
}

/// Says whose fault an error is.
pub trait Blame<T> {
    /// The user named something that cannot be: exit 2.
    ///
    /// # Errors
    ///
    /// The error, with its exit code.
    fn usage(self) -> Result<T, Failure>;

    /// The machine or the grader failed: exit 3.
    ///
    /// # Errors
    ///
    /// The error, with its exit code.
    fn broken(self) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> Blame<T> for Result<T, E> {
    fn usage(self) -> Result<T, Failure> {
        self.map_err(|error| Failure { code: ExitCode::Usage, error: error.into() })
    }

    fn broken(self) -> Result<T, Failure> {
        self.map_err(|error| Failure { code: ExitCode::Broken, error: error.into() })
    }
}
