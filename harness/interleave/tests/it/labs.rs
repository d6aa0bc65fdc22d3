//! The programs this crate is for: those of the labs, with the reference solutions, as a student
//! would build them.

mod build;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use interleave::{
    Budget, Ending, Lab, Memory, Program, Report, Search, Unsupported, Verdict, explore,
};

use crate::stage::Stage;
use build::{GRADE, program};

/// Some processes on the segment of one lab.
struct Scene {
    lab: &'static str,
    level: u8,
    /// What the segment is made by, behind its name; nothing where a process makes it.
    create: Option<&'static [&'static str]>,
    /// The words of each process, `NAME` for the segment's name, and what it reads.
    processes: &'static [(&'static str, &'static str)],
    layout: &'static [(&'static str, usize)],
    /// What each process must print.
    prints: &'static [&'static str],
}

const WORKERS: Scene = Scene {
    lab: "race-condition",
    level: GRADE,
    create: Some(&[]),
    processes: &[("worker NAME mutex", "\n"), ("worker NAME mutex", "\n")],
    layout: &[("Prefix", 0), ("Shop", 64)],
    prints: &["done 1\n", "done 1\n"],
};

const BOUNDED: Scene = Scene {
    lab: "bounded-buffer",
    level: GRADE,
    create: Some(&["1"]),
    processes: &[("producer NAME", "a\nb\n"), ("consumer NAME", "")],
    layout: &[("Prefix", 0), ("Control", 64)],
    prints: &["", "a\nb\n"],
};

const UNBOUNDED: Scene = Scene {
    lab: "unbounded-buffer",
    level: GRADE,
    create: Some(&[]),
    processes: &[("producer NAME", "a\nb\n"), ("consumer NAME", "")],
    layout: &[("Layout", 0)],
    prints: &["", "a\nb\n"],
};

const HAND_OVER: Scene = Scene {
    lab: "raw-segment",
    level: GRADE,
    create: None,
    processes: &[("create NAME 1024", ""), ("consumer NAME", "")],
    layout: &[("Layout", 0)],
    prints: &["", ""],
};

const TABLE: Scene = Scene {
    lab: "raw-segment",
    level: GRADE,
    create: Some(&["1024"]),
    processes: &[("producer NAME", "a\nb\n"), ("consumer NAME --count 2", "")],
    layout: &[("Layout", 0)],
    prints: &["", "a\nb\n"],
};

impl Scene {
    fn explore(
        &self,
        search: Search<'_>,
        memory: Memory,
        schedules: usize,
    ) -> Result<Report, Unsupported> {
        let program = program(self.lab, self.level);
        let mut stage = Stage::new(&[]);
        let path = PathBuf::from(format!("/dev/shm{}", stage.name));
        if let Some(words) = self.create {
            let made = Command::new(&program).arg("create").arg(&stage.name).args(words).status();
            assert!(made.unwrap().success(), "{} makes no segment", self.lab);
            stage.bytes = std::fs::read(&path).unwrap();
        }
        let prepare = |path: &Path| match self.create {
            Some(_) => stage.prepare(path),
            None => match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        let check = |ending: &Ending| {
            for (process, print) in self.prints.iter().enumerate() {
                let printed = String::from_utf8_lossy(&ending.outputs[process]);
                if printed != *print {
                    return Err(format!("{process} prints {printed:?}, not {print:?}"));
                }
            }
            Ok(())
        };
        let programs = self.processes.iter().map(|(words, input)| {
            let words =
                words.split(' ').map(|word| if word == "NAME" { &stage.name } else { word });
            words.fold(Program::new(&program), Program::argument).input(*input)
        });
        let mut lab = Lab::new(&stage.name, programs, &prepare, &check);
        for (structure, offset) in self.layout {
            lab = lab.layout(structure, *offset);
        }
        explore(&lab, search, memory, Budget { schedules, steps: 5000 })
    }

    fn told(&self) -> String {
        self.processes.iter().map(|(words, _)| format!("{} {words}; ", self.lab)).collect()
    }
}

/// Explores all schedules with two interruptions, under the models that hold on the processor it is
/// built for.
fn sound(scene: &Scene) {
    for memory in [Memory::Sc, Memory::Tso] {
        let report = scene.explore(Search::Bounded { preemptions: 2 }, memory, 2000);
        let report = report.unwrap_or_else(|why| panic!("{} {memory:?}: {why}", scene.told()));
        let told =
            || format!("{} {memory:?} {:?}\n{}", scene.told(), report.coverage, report.timeline);
        assert_eq!(report.verdict, Verdict::Pass, "{}", told());
        assert!(report.coverage.complete && report.coverage.longest <= 150, "{}", told());
        assert_eq!(report.coverage.imprecise, 0, "{}", told());
        assert!(report.coverage.orderings && report.races.is_empty(), "{}", told());
    }
}

#[test]
fn workers_with_a_lock() {
    sound(&WORKERS);
}

#[test]
fn a_bounded_buffer() {
    sound(&BOUNDED);
}

#[test]
fn an_unbounded_buffer() {
    sound(&UNBOUNDED);
}

#[test]
fn a_table_that_is_made_while_somebody_waits_for_it() {
    sound(&HAND_OVER);
}

#[test]
fn a_table_that_is_filled_while_somebody_reads_it() {
    sound(&TABLE);
}
