//! The reference solution of the lab unbounded-buffer: the student's file, solved, over the lab's
//! own layout.

pub mod buffer;
#[path = "../../../labs/unbounded-buffer/src/layout.rs"]
pub mod layout;
