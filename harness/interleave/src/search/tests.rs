//! Searches on fake processes.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::random::Dice;
use super::{Found, Trials, bounded, crash, pct, walk};
use crate::fake::{Do, Fake};
use crate::memory::Memory;
use crate::request::Ordering::{Acquire, Plain, Relaxed, Release, SeqCst};
use crate::schedule::{Deviation, Schedule};
use crate::shrink::shrink;
use crate::{Budget, Coverage, Ending, Verdict};

const BUDGET: Budget = Budget { schedules: 5000, steps: 5000 };

/// Two processes that each add one to byte 0, in two steps, twice.
fn counters() -> Vec<Vec<Do>> {
    let once = [Do::Load(0, Plain), Do::Store(0, 1, Plain)];
    vec![[once, once].concat(), [once, once].concat()]
}

/// Each says that it comes and looks whether the other does; byte 16 and 24 are what they saw.
fn store_buffering(store: crate::request::Ordering) -> Vec<Vec<Do>> {
    let one = |mine, theirs, seen| {
        vec![Do::Store(mine, 1, store), Do::Load(theirs, store), Do::Store(seen, 1, Plain)]
    };
    vec![one(0, 8, 16), one(8, 0, 24)]
}

fn publish(store: crate::request::Ordering, load: crate::request::Ordering) -> Vec<Vec<Do>> {
    vec![
        vec![Do::Store(0, 7, Plain), Do::Store(8, 1, store)],
        vec![Do::Load(8, load), Do::While(0), Do::Load(0, Plain), Do::Store(16, 0, Plain)],
    ]
}

fn ends_with(at: usize, value: u8) -> impl Fn(&Ending) -> Result<(), String> {
    move |ending| {
        let seen = ending.bytes.as_deref().unwrap()[at];
        if seen == value { Ok(()) } else { Err(format!("byte {at} is {seen}, not {value}")) }
    }
}

fn not_both_first(ending: &Ending) -> Result<(), String> {
    let bytes = ending.bytes.as_deref().unwrap();
    if (bytes[16], bytes[24]) == (1, 1) { Err("neither saw the other".to_owned()) } else { Ok(()) }
}

fn run<T>(
    programs: Vec<Vec<Do>>,
    memory: Memory,
    check: &dyn Fn(&Ending) -> Result<(), String>,
    search: impl FnOnce(&mut Trials<'_>) -> T,
) -> (T, Coverage) {
    let mut backend = Fake::new(programs);
    let mut trials = Trials::new(&mut backend, memory, BUDGET, check);
    let result = search(&mut trials);
    (result, trials.coverage)
}

fn find(
    programs: Vec<Vec<Do>>,
    memory: Memory,
    check: &dyn Fn(&Ending) -> Result<(), String>,
) -> (Option<Found>, Coverage) {
    run(programs, memory, check, |trials| bounded(trials, 2).unwrap())
}

#[test]
fn the_first_fault_found_has_the_fewest_interruptions() {
    let (found, coverage) = find(counters(), Memory::Sc, &ends_with(0, 4));
    let found = found.unwrap();
    assert_eq!(found.run.preemptions(), 1);
    assert_eq!(found.schedule.to_string(), "1B");
    assert!(coverage.schedules <= 5, "{coverage:?}");
}

#[test]
fn what_is_right_is_finished() {
    let add = vec![Do::Add(0, 1), Do::Add(0, 1)];
    let (found, coverage) = find(vec![add.clone(), add], Memory::Sc, &ends_with(0, 4));
    assert!(found.is_none() && coverage.complete, "{coverage:?}");
    assert_eq!(coverage.bound, Some(2));
}

#[test]
fn a_store_buffer_hides_a_store_unless_it_is_flushed() {
    let (found, _) = find(store_buffering(SeqCst), Memory::Sc, &not_both_first);
    assert!(found.is_none());
    let (found, _) = find(store_buffering(Relaxed), Memory::Tso, &not_both_first);
    assert!(found.is_some());
}

#[test]
fn orderings_decide_in_the_weak_model() {
    let check = ends_with(16, 7);
    let (found, _) = find(publish(Relaxed, Acquire), Memory::Weak, &check);
    assert!(found.is_some_and(|found| found.run.old_reads() == 1));
    let (found, _) = find(publish(Release, Relaxed), Memory::Weak, &check);
    assert!(found.is_some());
    let (found, coverage) = find(publish(Release, Acquire), Memory::Weak, &check);
    assert!(found.is_none() && coverage.complete);
    let (found, _) = find(store_buffering(Release), Memory::Weak, &not_both_first);
    assert!(found.is_some());
    let (found, coverage) = find(store_buffering(SeqCst), Memory::Weak, &not_both_first);
    assert!(found.is_none() && coverage.complete);
}

#[test]
fn chance_finds_it_too_and_shrinking_never_adds_interruptions() {
    for seed in 0..50 {
        for random in [true, false] {
            run(counters(), Memory::Sc, &ends_with(0, 4), |trials| {
                let found = if random { walk(trials, seed) } else { pct(trials, 3, seed) };
                let found = found.unwrap().expect("it is easily found");
                let (before, verdict) = (found.run.preemptions(), found.verdict.clone());
                let (small, _) = shrink(trials, found).unwrap();
                assert!(small.run.preemptions() <= before);
                assert!(small.verdict.is_like(&verdict));
                let (run, _) = trials.follow(&small.schedule, false).unwrap();
                assert_eq!(run.hash(), small.run.hash(), "{}", small.schedule);
            });
        }
    }
}

#[test]
fn whoever_waits_for_the_dead_waits_for_ever() {
    let (found, coverage) =
        run(publish(Release, Acquire), Memory::Sc, &|_| Ok(()), |trials| crash(trials, 0).unwrap());
    assert!(matches!(found.unwrap().verdict, Verdict::Livelock(_)));
    assert!(coverage.crash_points.len() >= 2, "{coverage:?}");
}

/// Two or three processes that do a few things at three bytes, by chance.
fn some_programs(dice: &mut Dice) -> Vec<Vec<Do>> {
    let programs = 2 + dice.below(2);
    let program = |dice: &mut Dice| {
        let steps = 2 + dice.below(5 - programs);
        let step = |dice: &mut Dice| {
            let (at, value) = (8 * dice.below(3), 1 + dice.below(9) as u8);
            match dice.below(8) {
                0..=2 => Do::Load(at, Plain),
                3..=5 => Do::Store(at, value, Plain),
                6 => Do::Add(at, value),
                _ => Do::Rest,
            }
        };
        (0..steps).map(|_| step(dice)).collect()
    };
    (0..programs).map(|_| program(dice)).collect()
}

/// Runs every schedule with at most `bound` interruptions, whatever it may be good for.
fn all_that_there_are(trials: &mut Trials<'_>, bound: usize) {
    let processes = trials.backend.processes();
    let mut left = vec![(Schedule::default(), 0)];
    while let Some((schedule, level)) = left.pop() {
        let (run, _) = trials.follow(&schedule, true).unwrap();
        let first = schedule.last().map_or(0, |last| last + 1);
        for (step, choice) in run.choices.iter().enumerate().skip(first) {
            for entity in choice.alternatives().filter(|&entity| entity != choice.chosen) {
                let cost = level + usize::from(choice.interrupts(entity));
                if cost <= bound {
                    left.push((schedule.with(step, Deviation::of(entity, processes)), cost));
                }
            }
        }
    }
}

/// What all runs left in the segment.
fn endings(
    programs: &[Vec<Do>],
    memory: Memory,
    search: impl FnOnce(&mut Trials<'_>),
) -> (BTreeSet<Vec<u8>>, usize) {
    let seen = RefCell::new(BTreeSet::new());
    let check = |ending: &Ending| {
        seen.borrow_mut().insert(ending.bytes.clone().unwrap());
        Ok(())
    };
    let ((), coverage) = run(programs.to_vec(), memory, &check, search);
    (seen.into_inner(), coverage.schedules)
}

#[test]
fn what_is_left_out_comes_to_nothing_new() {
    let (mut most, mut few) = (0, 0);
    for seed in 0..100 {
        let programs = some_programs(&mut Dice::of(seed, 0));
        for memory in [Memory::Sc, Memory::Tso] {
            let (all, count) = endings(&programs, memory, |trials| all_that_there_are(trials, 2));
            let (reduced, fewer) = endings(&programs, memory, |trials| {
                trials.budget.schedules = usize::MAX;
                assert!(bounded(trials, 2).unwrap().is_none());
            });
            assert_eq!(all, reduced, "{seed} {memory:?} {programs:?}");
            (most, few) = (most + count, few + fewer);
        }
    }
    assert!(5 * few < most, "{few} of {most}");
}
