//! Explores real processes. Without ptrace, or on another processor, every test says so and ends.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod awkward;
mod bugs;
mod correct;
mod labs;
mod repeat;
mod stage;
