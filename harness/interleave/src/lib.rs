//! Runs several real, separately started, unmodified programs one shared-memory access at a time, so
//! that every schedule can be explored, replayed and shown.
//!
//! A fault that needs one process to stop between two instructions of another is met once in a
//! million runs, and never while somebody looks. Here the processes run under ptrace with the
//! segment mapped where every access faults. Each access stops its process before it happens, and
//! goes on when the schedule says so. So one can ask: does *any* schedule with at most two
//! interruptions go wrong? And if so, be shown which.
//!
//! ```
//! use interleave::{Budget, Lab, Memory, Program, Search, Verdict, explore};
//!
//! // Two programs on a segment of zeros. These do not even look at it; yours will.
//! let name = format!("/interleave-example-{}", std::process::id());
//! let prepare = |path: &std::path::Path| std::fs::write(path, [0; 4096]);
//! let check = |ending: &interleave::Ending| match ending.outputs[1].as_slice() {
//!     b"hello\n" => Ok(()),
//!     other => Err(format!("the second one prints {other:?}")),
//! };
//! let programs = [Program::new("/bin/true"), Program::new("/bin/cat").input("hello\n")];
//! let lab = Lab::new(&name, programs, &prepare, &check);
//! let search = Search::Bounded { preemptions: 2 };
//! match explore(&lab, search, Memory::Sc, Budget::default()) {
//!     Ok(report) => {
//!         assert_eq!(report.verdict, Verdict::Pass, "{}", report.timeline);
//!         // "all 1 schedules with at most 2 interruptions of these programs on this input"
//!         println!("{}", report.coverage);
//!     }
//!     Err(why) => println!("not run: {why}"),
//! }
//! std::fs::remove_file(format!("/dev/shm{name}")).ok();
//! ```
//!
//! The layers, each of which is tested alone: `decode` (what an instruction wants, and a copy of it
//! that gets it elsewhere), `tracee` (one process under ptrace), [`request`] (the line between who
//! has the processes and who decides), [`engine`] (runs them, by a model of memory), `search`,
//! `shrink`, `happens_before`, `dwarf`, [`timeline`]. How it works is told in
//! `docs/interleaving.md`.

#![cfg_attr(
    not(all(target_os = "linux", target_arch = "x86_64")),
    expect(dead_code, reason = "nothing is explored here, and all else is tested")
)]
#![cfg_attr(
    not(any(test, all(target_os = "linux", target_arch = "x86_64"))),
    expect(unused_imports, reason = "as above")
)]

pub mod bytes;
pub mod engine;
pub mod event;
mod explore;
mod happens_before;
mod lab;
mod memory;
mod play;
mod report;
pub mod request;
mod schedule;
mod search;
mod shrink;
pub mod timeline;
mod unsupported;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod decode;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod dwarf;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod probe;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod processes;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod tracee;

#[cfg(test)]
mod fake;

pub use explore::explore;
pub use happens_before::Race;
pub use lab::{Budget, Check, Confine, Exit, Lab, Prepare, Program, Search};
pub use memory::Memory;
pub use play::{Move, Player};
pub use report::{Coverage, CrashPoint, Report, Verdict, Waits};
pub use request::Ending;
pub use schedule::{BadSchedule, MOST_PROCESSES, Schedule, letter};
pub use unsupported::Unsupported;
