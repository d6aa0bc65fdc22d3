//! Confines programs of strangers: a cell around them all, and a confinement for each of them in it.
//!
//! A [`Cell`] is what one grading happens in: where the machine allows namespaces, a small file
//! system of its own with its own sized `/dev/shm`, its own processes, no network; elsewhere a user of
//! its own. A [`Confinement`] is what each program of a student enters just before it runs: it gives
//! up all privileges, may open what a program needs and nothing else, may not make the system calls
//! that no lab needs, and has limits.
//!
//! How much of that a machine allows is found out by doing it, never by looking at versions, and has
//! a name: a [`Tier`].

mod cell;
mod confinement;
mod defence;
mod filter;
mod limits;
mod mounts;
mod paths;
mod tier;

pub use cell::{Cell, Refused, sweep};
pub use confinement::{Confinement, Policy, Purpose};
pub use defence::Defence;
pub use filter::plain_container;
pub use limits::Limits;
pub use tier::Tier;
