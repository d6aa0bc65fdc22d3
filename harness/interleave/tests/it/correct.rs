//! What is right is finished, and nothing is said against it.

use interleave::{Memory, Report, Search, Verdict};

use crate::bugs::peterson;
use crate::stage::{Scenario, expect, robust, semaphores, word};

pub(crate) fn spinlock() -> Scenario {
    Scenario::new("SpinLock", &["spinlock 2", "spinlock 2"])
        .checked(|bytes| expect("counter", word(bytes, 8), 4))
}

pub(crate) fn two_semaphores() -> Scenario {
    Scenario::new("TwoSemaphores", &["semaphores ab 2", "semaphores ab 2"])
        .begins_with(semaphores)
        .checked(|bytes| expect("counter", word(bytes, 64), 4))
}

pub(crate) fn publish() -> Scenario {
    Scenario::new("Publish", &["publish producer release", "publish consumer acquire"])
}

fn sound(report: &Report) {
    let told = || format!("{} {:?}\n{}", report.verdict, report.coverage, report.timeline);
    assert_eq!(report.verdict, Verdict::Pass, "{}", told());
    assert!(report.coverage.complete, "{}", told());
    assert_eq!(report.coverage.bound, Some(2), "{}", told());
    assert_eq!(report.coverage.imprecise, 0, "{}", told());
    assert!(report.coverage.orderings, "{}", told());
    assert!(report.races.is_empty(), "{}", told());
}

#[test]
fn a_spin_lock() {
    sound(&spinlock().bounded(2, Memory::Sc, 1000));
    sound(&spinlock().bounded(2, Memory::Tso, 5000));
    sound(&spinlock().bounded(2, Memory::Weak, 5000));
}

#[test]
fn semaphores_in_one_order() {
    sound(&two_semaphores().bounded(2, Memory::Sc, 2000));
}

#[test]
pub(crate) fn publishing_with_release_and_acquire() {
    sound(&publish().bounded(2, Memory::Sc, 1000));
    sound(&publish().bounded(2, Memory::Tso, 5000));
    sound(&publish().bounded(2, Memory::Weak, 5000));
}

#[test]
fn peterson_with_seqcst() {
    let scenario = peterson(&["peterson 0 seqcst", "peterson 1 seqcst"]);
    sound(&scenario.bounded(2, Memory::Sc, 1000));
    sound(&scenario.bounded(2, Memory::Tso, 5000));
    sound(&scenario.bounded(2, Memory::Weak, 5000));
}

#[test]
fn a_robust_mutex() {
    let scenario = Scenario::new("Robust", &["robust 1", "robust 1"])
        .begins_with(robust)
        .checked(|bytes| expect("counter", word(bytes, 40), 2));
    sound(&scenario.bounded(2, Memory::Sc, 2000));
    let survivor = Scenario { check: |_| Ok(()), ..scenario };
    let report = survivor.explore(Search::Crash { victim: 0 }, Memory::Sc, 200).unwrap();
    assert_eq!(report.verdict, Verdict::Pass, "{}\n{}", report.verdict, report.timeline);
    assert!(report.coverage.crash_points.len() > 10, "{:?}", report.coverage);
}

#[test]
fn five_hundred_weak_walks_each_raise_no_alarm() {
    let peterson = peterson(&["peterson 0 seqcst", "peterson 1 seqcst"]);
    for scenario in [spinlock(), two_semaphores(), publish(), peterson] {
        let report = scenario.explore(Search::Walk { seed: 7 }, Memory::Weak, 500).unwrap();
        assert_eq!(report.verdict, Verdict::Pass, "{}\n{}", report.verdict, report.timeline);
        assert_eq!(report.coverage.schedules, 500);
    }
}
