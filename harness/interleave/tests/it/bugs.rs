//! Each kind of fault is found within so many schedules.

use interleave::{Memory, Report, Search, Verdict};

use crate::stage::{Scenario, expect, semaphores, word};

fn told(report: &Report) -> String {
    let schedule = report.schedule.as_ref().map_or("-".to_owned(), ToString::to_string);
    format!("{} in {schedule}, {}\n{}", report.verdict, report.coverage, report.timeline)
}

pub(crate) fn counter() -> Scenario {
    Scenario::new("Counter", &["counter 2", "counter 2"])
        .checked(|bytes| expect("counter", word(bytes, 8), 4))
}

pub(crate) fn ring() -> Scenario {
    Scenario::new("Ring", &["ring producer 4", "ring consumer 4"])
        .begins_with(|| vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2])
        .checked(|bytes| {
            for at in 0..4 {
                expect(&format!("message {at}"), word(bytes, 48 + 8 * at), at as u64 + 1)?;
            }
            expect("count", word(bytes, 8) & 0xffff_ffff, 0)
        })
}

pub(crate) fn peterson(commands: &'static [&'static str]) -> Scenario {
    Scenario::new("Peterson", commands).checked(|bytes| expect("counter", word(bytes, 16), 2))
}

#[test]
fn a_lost_update() {
    let report = counter().bounded(2, Memory::Sc, 30);
    assert!(matches!(report.verdict, Verdict::Wrong(_)), "{}", told(&report));
    assert!(report.coverage.schedules <= 5, "{}", told(&report));
    assert!(report.timeline.to_string().contains("is lost"), "{}", told(&report));
    assert!(
        report.timeline.to_string().contains("reads counter = 0  [locks.rs:"),
        "{}",
        told(&report)
    );
}

#[test]
fn a_lost_update_in_one_instruction() {
    let report = Scenario::new("Counter", &["increment 2", "increment 2"])
        .checked(|bytes| expect("counter", word(bytes, 8), 4))
        .bounded(2, Memory::Sc, 30);
    assert!(matches!(report.verdict, Verdict::Wrong(_)), "{}", told(&report));
    assert!(report.coverage.schedules <= 5, "{}", told(&report));
}

#[test]
fn a_broken_bounded_buffer() {
    let report = ring().bounded(2, Memory::Sc, 30);
    assert!(report.verdict.is_bad(), "{}", told(&report));
}

#[test]
fn a_lock_that_tests_and_then_sets() {
    let report = Scenario::new("SpinLock", &["test-then-set 2", "test-then-set 2"])
        .checked(|bytes| expect("counter", word(bytes, 8), 4))
        .bounded(2, Memory::Sc, 30);
    assert!(matches!(report.verdict, Verdict::Wrong(_)), "{}", told(&report));
}

#[test]
fn peterson_without_the_turn() {
    let report = peterson(&["peterson 0 noturn", "peterson 1 noturn"]).bounded(2, Memory::Sc, 30);
    assert!(matches!(report.verdict, Verdict::Wrong(_)), "{}", told(&report));
}

#[test]
fn semaphores_in_opposite_orders() {
    let report = Scenario::new("TwoSemaphores", &["semaphores ab 1", "semaphores ba 1"])
        .begins_with(semaphores)
        .bounded(2, Memory::Sc, 30);
    assert!(matches!(report.verdict, Verdict::Deadlock(_)), "{}", told(&report));
    let text = report.timeline.to_string();
    assert!(text.contains("A sleeps on b (sem_wait, locks.rs:"), "{text}");
    assert!(text.contains("B sleeps on a (sem_wait, locks.rs:"), "{text}");
}

#[test]
fn a_missed_wake_up() {
    let report =
        Scenario::new("Wake", &["wake producer", "wake consumer"]).bounded(2, Memory::Sc, 30);
    assert!(matches!(report.verdict, Verdict::Deadlock(_)), "{}", told(&report));
    assert!(report.timeline.to_string().contains("B sleeps on sleeping"), "{}", told(&report));
}

#[test]
fn a_torn_record() {
    let report =
        Scenario::new("Torn", &["torn producer", "torn consumer"]).bounded(2, Memory::Sc, 30);
    assert!(matches!(report.verdict, Verdict::Failed { process: 1, .. }), "{}", told(&report));
}

#[test]
fn sleeping_instead_of_waiting() {
    let report = Scenario::new("Counter", &["sleep-and-hope producer", "sleep-and-hope consumer"])
        .bounded(2, Memory::Sc, 30);
    assert!(matches!(report.verdict, Verdict::Failed { process: 1, .. }), "{}", told(&report));
}

#[test]
fn peterson_with_release_and_acquire() {
    let scenario = peterson(&["peterson 0 acqrel", "peterson 1 acqrel"]);
    let report = scenario.bounded(2, Memory::Tso, 30);
    assert!(matches!(report.verdict, Verdict::Wrong(_)), "{}", told(&report));
    let report = scenario.bounded(2, Memory::Sc, 2000);
    assert_eq!(report.verdict, Verdict::Pass, "{}", told(&report));
}

#[test]
fn publishing_with_relaxed() {
    let scenario =
        Scenario::new("Publish", &["publish producer relaxed", "publish consumer relaxed"]);
    let report = scenario.explore(Search::Walk { seed: 1 }, Memory::Weak, 30).unwrap();
    assert!(matches!(report.verdict, Verdict::Failed { process: 1, .. }), "{}", told(&report));
    let report = scenario.bounded(2, Memory::Weak, 30);
    assert!(matches!(report.verdict, Verdict::Failed { process: 1, .. }), "{}", told(&report));
    let report = scenario.bounded(2, Memory::Sc, 2000);
    assert_eq!(report.verdict, Verdict::Pass, "{}", told(&report));
    assert!(!report.races.is_empty(), "{}", told(&report));
}

#[test]
fn the_holder_of_a_lock_is_killed() {
    let report = Scenario::new("SpinLock", &["spinlock 2", "spinlock 2"])
        .explore(Search::Crash { victim: 0 }, Memory::Sc, 30)
        .unwrap();
    assert!(matches!(report.verdict, Verdict::Livelock(_)), "{}", told(&report));
    let bad = report.coverage.crash_points.iter().filter(|point| point.verdict.is_bad()).count();
    assert!(bad >= 6, "{:?}", report.coverage.crash_points);
    assert!(report.timeline.to_string().contains("IS KILLED"), "{}", told(&report));
}
