//! The command lines of the four programs.
//!
//! They are here and not beside each `main` because they are by far the largest part of a program to
//! compile, and the same however a lab is solved: so they are compiled once, and a changed line of
//! yours is built in a third of the time.

pub mod bounded_buffer;
pub mod race_condition;
pub mod raw_segment;
pub mod unbounded_buffer;
