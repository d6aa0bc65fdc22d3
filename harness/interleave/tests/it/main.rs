//! Explores real processes. On another processor nothing is explored, so there is nothing to test.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod awkward;
mod bugs;
mod correct;
mod labs;
mod repeat;
mod stage;
