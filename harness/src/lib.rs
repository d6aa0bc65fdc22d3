//! Builds, runs and judges the labs. `docs/architecture.md` is the map.

pub mod bench;
pub mod check;
pub mod checks;
pub mod cleanup;
pub mod cli;
pub mod commands;
pub mod compile;
pub mod course;
pub mod diagnosis;
pub mod exit_code;
pub mod grading;
pub mod machine;
pub mod object;
pub mod orderings;
pub mod overlay;
pub mod peer;
pub mod process;
pub mod procfs;
pub mod progress;
pub mod record;
pub mod report;
pub mod scene;
pub mod submission;
pub mod verdict;
pub mod watch;
