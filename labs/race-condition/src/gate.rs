//! A gate between the read and the write of an operation. A race that happens once in a thousand
//! runs teaches nothing; with a gate, somebody decides when each worker goes on, and the schedule
//! that loses an update is played like a move in chess.

use labkit::LabError;

use crate::layout::Shop;

/// What stands between the two halves of an operation.
pub trait Gate {
    /// Called by the operation between its halves. Returns when the worker may go on.
    fn between(&self) -> Result<(), LabError>;
}

/// A gate that stands open: life as it is, where the kernel alone decides who goes on.
#[derive(Debug, Clone, Copy)]
pub struct Open;

impl Gate for Open {
    fn between(&self) -> Result<(), LabError> {
        Ok(())
    }
}

/// A gate that lets one worker through for each post of `go`, and says on `arrived` that somebody
/// stands before it.
#[derive(Clone, Copy)]
pub struct Controlled<'a>(pub &'a Shop);

impl Gate for Controlled<'_> {
    fn between(&self) -> Result<(), LabError> {
        self.0.arrived.post()?;
        self.0.go.wait()
    }
}
