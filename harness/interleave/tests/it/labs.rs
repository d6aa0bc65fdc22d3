//! The programs this crate is for: those of the labs, with the reference solutions, as a student
//! would build them.

pub(crate) mod build;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use interleave::{
    Budget, Ending, Lab, Memory, Program, Report, Search, Unsupported, Verdict, explore,
};

use crate::stage::Stage;
use build::{GRADE, program};

/// Some processes on the segment of one lab.
pub(crate) struct Scene {
    lab: &'static str,
    level: u8,
    /// What the segment is made by, behind its name; nothing where a process makes it.
    create: Option<&'static [&'static str]>,
    /// The words of each process, `NAME` for the segment's name, and what it reads.
    processes: &'static [(&'static str, &'static str)],
    layout: &'static [(&'static str, usize)],
    /// What each process must print.
    prints: &'static [&'static str],
    /// What must come of the segment.
    check: fn(&[u8]) -> Result<(), String>,
}

pub(crate) const WORKERS: Scene = Scene {
    lab: "race-condition",
    level: GRADE,
    create: Some(&[]),
    processes: &[("worker NAME mutex", "\n"), ("worker NAME mutex", "\n")],
    layout: &[("Prefix", 0), ("Shop", 64)],
    prints: &["done 1\n", "done 1\n"],
    check: |_| Ok(()),
};

const BOUNDED: Scene = Scene {
    lab: "bounded-buffer",
    level: GRADE,
    create: Some(&["1"]),
    processes: &[("producer NAME", "a\nb\n"), ("consumer NAME", "")],
    layout: &[("Prefix", 0), ("Control", 64)],
    prints: &["", "a\nb\n"],
    check: |_| Ok(()),
};

const UNBOUNDED: Scene = Scene {
    lab: "unbounded-buffer",
    level: GRADE,
    create: Some(&[]),
    processes: &[("producer NAME", "a\nb\n"), ("consumer NAME", "")],
    layout: &[("Layout", 0)],
    prints: &["", "a\nb\n"],
    check: |_| Ok(()),
};

const HAND_OVER: Scene = Scene {
    lab: "raw-segment",
    level: GRADE,
    create: None,
    processes: &[("create NAME 1024", ""), ("consumer NAME", "")],
    layout: &[("Layout", 0)],
    prints: &["", ""],
    check: |_| Ok(()),
};

const TABLE: Scene = Scene {
    lab: "raw-segment",
    level: GRADE,
    create: Some(&["1024"]),
    processes: &[("producer NAME", "a\nb\n"), ("consumer NAME --count 2", "")],
    layout: &[("Layout", 0)],
    prints: &["", "a\nb\n"],
    check: |_| Ok(()),
};

const ALL: [Scene; 5] = [WORKERS, BOUNDED, UNBOUNDED, HAND_OVER, TABLE];

pub(crate) const RACY: Scene = Scene {
    processes: &[("worker NAME racy", "\n"), ("worker NAME racy", "\n")],
    check: |bytes| match bytes[64] {
        2 => Ok(()),
        count => Err(format!("the counter is {count}, not 2")),
    },
    ..WORKERS
};

impl Scene {
    pub(crate) fn explore(
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
            // The creator's process id, another one each time.
            stage.bytes[24..28].copy_from_slice(&1000_u32.to_le_bytes());
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
            (self.check)(ending.bytes.as_deref().unwrap_or_default())
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

#[test]
fn a_counter_without_a_lock() {
    for seed in 0..5 {
        for (search, memory) in [
            (Search::Bounded { preemptions: 2 }, Memory::Sc),
            (Search::Walk { seed }, Memory::Sc),
            (Search::Pct { depth: 2, seed }, Memory::Tso),
        ] {
            let found = RACY.explore(search, memory, 30).unwrap();
            let told = format!("{:?}\n{}", found.coverage, found.timeline);
            assert_eq!(
                found.verdict,
                Verdict::Wrong("the counter is 1, not 2".to_owned()),
                "{told}"
            );
            // What was found is made smaller, never larger, and replays.
            assert!(
                found.coverage.found_with.is_some_and(|with| with >= found.interruptions),
                "{told}"
            );
            let schedule = found.schedule.clone().unwrap();
            let again = RACY.explore(Search::Replay(schedule), memory, 1).unwrap();
            assert_eq!((again.verdict, again.hash), (found.verdict, found.hash), "{told}");
            assert!(told.contains("counter = 0  [counter.rs:"), "{told}");
            assert!(told.contains("is lost"), "{told}");
        }
    }
}

#[test]
fn five_hundred_weak_walks_raise_no_alarm() {
    for scene in ALL {
        let report = scene.explore(Search::Walk { seed: 11 }, Memory::Weak, 500).unwrap();
        let told = || format!("{} {:?}\n{}", scene.told(), report.coverage, report.timeline);
        assert_eq!(report.verdict, Verdict::Pass, "{}", told());
        assert_eq!((report.coverage.schedules, report.coverage.imprecise), (500, 0), "{}", told());
    }
}

#[test]
fn a_hundred_runs_of_one_seed_have_one_hash() {
    for scene in ALL {
        let hash = || scene.explore(Search::Walk { seed: 5 }, Memory::Tso, 1).unwrap().hash;
        let first = hash();
        assert!((1..100).all(|_| hash() == first), "{}", scene.told());
    }
}

#[test]
fn every_level_of_optimisation_is_seen_exactly() {
    for level in [0, 3] {
        for scene in ALL {
            let scene = Scene { level, ..scene };
            let search = Search::Bounded { preemptions: 1 };
            let report = scene.explore(search, Memory::Sc, 1000).unwrap();
            let told = || format!("{} {:?}\n{}", scene.told(), report.coverage, report.timeline);
            assert_eq!(report.verdict, Verdict::Pass, "{}", told());
            assert!(report.coverage.complete && report.coverage.imprecise == 0, "{}", told());
            assert!(report.races.is_empty(), "{}", told());
        }
    }
}

#[test]
fn a_call_that_nobody_came_into_is_one_line() {
    let report = BOUNDED.explore(Search::Replay("-".parse().unwrap()), Memory::Sc, 1).unwrap();
    let text = report.timeline.to_string();
    for line in [
        "| sem_wait(empty)  [semaphore.rs:",
        "| sem_wait(empty): goes to sleep  [semaphore.rs:",
        "| sem_post(empty): wakes 1  [semaphore.rs:",
        "| reads capacity = 1  [layout.rs:",
        "| writes tail: 0 -> 1  [buffer.rs:",
        "| writes state: 1 -> 2  [segment.rs:",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("reads empty"), "{text}");
    // Here the other comes between the look at the semaphore and the exchange.
    let report = WORKERS.explore(Search::Replay("6B".parse().unwrap()), Memory::Sc, 1).unwrap();
    let text = report.timeline.to_string();
    assert!(text.contains("reads mutex = 1  [sem_wait, semaphore.rs:"), "{text}");
    assert!(text.contains("| sem_post(mutex)"), "{text}");
}

/// Two producers, the first of which is killed before each of its steps.
const PRODUCERS: Scene = Scene {
    create: Some(&["2", "--robust"]),
    processes: &[("producer NAME --keep-open", "a\n"), ("producer NAME --keep-open", "b\n")],
    prints: &[],
    ..BOUNDED
};

#[test]
fn a_producer_that_is_killed_holds_up_nobody_if_the_lock_is_robust() {
    let report = PRODUCERS.explore(Search::Crash { victim: 0 }, Memory::Sc, 200).unwrap();
    let told = || format!("{:?}\n{}", report.coverage, report.timeline);
    assert_eq!(report.verdict, Verdict::Pass, "{}", told());
    assert!(report.coverage.complete && report.coverage.crash_points.len() > 30, "{}", told());
    let plain = Scene { create: Some(&["2"]), ..PRODUCERS };
    let report = plain.explore(Search::Crash { victim: 0 }, Memory::Sc, 200).unwrap();
    let text = report.timeline.to_string();
    assert!(matches!(report.verdict, Verdict::Deadlock(_)), "{text}");
    assert!(text.contains("B sleeps on mutex (sem_wait, semaphore.rs:"), "{text}");
}

#[test]
fn two_producers_with_a_robust_lock() {
    sound(&PRODUCERS);
}

#[test]
fn a_consumer_that_polls_for_the_dead_gets_nowhere_and_is_told_so() {
    let scene = Scene { prints: &[], ..UNBOUNDED };
    let report = scene.explore(Search::Crash { victim: 0 }, Memory::Sc, 200).unwrap();
    let text = report.timeline.to_string();
    assert!(matches!(report.verdict, Verdict::Livelock(_)), "{text}");
    assert!(text.contains("B looks again and again at prefix.state, tail (segment.rs:"), "{text}");
    assert!(text.contains(" times more") && text.lines().count() < 100, "{text}");
    let report = scene.explore(Search::Crash { victim: 1 }, Memory::Sc, 200).unwrap();
    assert_eq!(report.verdict, Verdict::Pass, "{}", report.timeline);
}
