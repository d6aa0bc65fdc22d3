//! Lab 3, the bounded buffer: a ring of slots in a segment, shared by any number of producers and
//! consumers. Three semaphores that live in the segment itself decide who waits and who goes on.
//!
//! You write [`semaphore`] and [`buffer`]. [`layout`] and [`robust`] are given.

pub mod buffer;
pub mod layout;
pub mod robust;
pub mod semaphore;
