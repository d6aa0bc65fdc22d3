//! Lab 1: a table of strings in a raw shared-memory segment. The task is in README.md.

pub mod layout;
pub mod segment;
pub mod table;
