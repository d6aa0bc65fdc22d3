//! Given to every lab, and nothing in it is a task: names, the prefix of every segment, messages on
//! stdin and stdout, exit codes.
//!
//! The one idea to take along is [`Shared`]: a type may live in a segment only if it stays valid
//! whatever the other process stores into it.

pub mod commands;
mod error;
mod message;
mod name;
mod operation;
mod patience;
mod prefix;
mod program;
#[cfg(feature = "segment")]
mod segment;
mod shared;

pub use error::LabError;
pub use message::{Framing, Messages, messages};
pub use name::{Name, NameError};
pub use operation::Operations;
pub use patience::patience;
pub use prefix::{Lab, PREFIX_LEN, Prefix, VERSION, state};
pub use program::{run, say};
#[cfg(feature = "segment")]
pub use segment::Segment;
pub use shared::Shared;
