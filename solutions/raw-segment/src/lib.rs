//! The reference solution of the lab raw-segment: the student's files, solved, over the lab's own
//! layout.

#[path = "../../../labs/raw-segment/src/layout.rs"]
pub mod layout;
pub mod segment;
pub mod table;
