//! Everything a lab program can fail with, and the exit code that tells it to the shell.

use std::io;

use nix::errno::Errno;

/// Why an operation on a segment did not happen.
///
/// Whoever refuses changes nothing: after an error the segment is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// `create` found the name taken. Exit code 10.
    #[error("the name exists already; destroy it first or choose another")]
    Exists,
    /// Nobody has made this name. Exit code 11.
    #[error("no object has this name; create it first")]
    Missing,
    /// The object's mode does not allow it. Exit code 12.
    #[error("the object belongs to somebody else, or its mode does not allow this")]
    Denied,
    /// The bytes are not what the layout says. Exit code 13.
    #[error("this is not the segment it should be: {0}; was it made by another program?")]
    WrongFormat(&'static str),
    /// The object is there, but its creator did not finish it. Exit code 14.
    #[error("the object exists but never became READY; its creator may be dead: destroy it")]
    NotReady,
    /// The length or capacity asked for cannot hold the lab's structures. Exit code 15.
    #[error("too small to hold the structure; ask for more")]
    TooSmall,
    /// The message does not fit. Exit code 16.
    #[error("the message is longer than the room there is for it")]
    TooLong,
    /// Every place is taken. Exit code 17.
    #[error("every place is taken")]
    Full,
    /// An offset or index outside what exists. Exit code 18.
    #[error("outside the segment, misaligned, or an index that does not exist")]
    OutOfRange,
    /// Any other refusal of the kernel. Exit code 20.
    #[error("the system refused: {0}")]
    Os(Errno),
    /// Reading stdin or writing stdout failed. Exit code 20.
    #[error("input or output failed: {0}")]
    Io(#[from] io::Error),
    /// The buffer was closed; nobody produces into it any more. Exit code 21.
    #[error("the buffer is closed; destroy it and create a new one")]
    Closed,
}

impl LabError {
    /// The exit code a program ends with; README of every lab lists them.
    pub fn exit_code(&self) -> u8 {
        match self {
            LabError::Exists => 10,
            LabError::Missing => 11,
            LabError::Denied => 12,
            LabError::WrongFormat(_) => 13,
            LabError::NotReady => 14,
            LabError::TooSmall => 15,
            LabError::TooLong => 16,
            LabError::Full => 17,
            LabError::OutOfRange => 18,
            LabError::Os(_) | LabError::Io(_) => 20,
            LabError::Closed => 21,
        }
    }
}

/// The three refusals that have a meaning of their own get it; the others keep the kernel's word.
impl From<Errno> for LabError {
    fn from(errno: Errno) -> LabError {
        match errno {
            Errno::EEXIST => LabError::Exists,
            Errno::ENOENT => LabError::Missing,
            Errno::EACCES | Errno::EPERM => LabError::Denied,
            other => LabError::Os(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_refusals_become_exit_codes() {
        let code = |errno: Errno| LabError::from(errno).exit_code();
        assert_eq!(code(Errno::EEXIST), 10);
        assert_eq!(code(Errno::ENOENT), 11);
        assert_eq!(code(Errno::EACCES), 12);
        assert_eq!(code(Errno::EFBIG), 20);
    }
}
