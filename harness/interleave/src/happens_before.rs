//! What is ordered in a recorded run, and what is not: two accesses of different processes to the
//! same bytes, at least one of them a store and at least one not atomic, with nothing to order them,
//! are a data race, however well the run ended.

use std::collections::HashMap;

use crate::event::{Action, Event, Run};
use crate::request::Ordering;

/// Two events of a run that nothing orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Race {
    /// The earlier event.
    pub first: usize,
    /// The later event.
    pub second: usize,
    /// The first byte that both touch.
    pub offset: usize,
}

/// How far one process has seen into each of the others.
type Clock = Vec<u64>;

/// The last accesses to one byte.
#[derive(Default)]
struct Byte {
    write: Option<Access>,
    reads: Vec<Access>,
}

#[derive(Clone, Copy)]
struct Access {
    process: usize,
    time: u64,
    event: usize,
    atomic: bool,
}

/// All races of a run, one for each pair of places in the code. `ordering` says how the source
/// orders the access of an event.
pub(crate) fn races(
    run: &Run,
    processes: usize,
    mut ordering: impl FnMut(&Event) -> Ordering,
) -> Vec<Race> {
    let mut clocks: Vec<Clock> = (0..processes)
        .map(|process| (0..processes).map(|other| u64::from(process == other)).collect())
        .collect();
    let mut released: HashMap<usize, Clock> = HashMap::new();
    let mut bytes: HashMap<usize, Byte> = HashMap::new();
    let mut found: Vec<Race> = Vec::new();
    for (number, event) in run.events.iter().enumerate() {
        let Some((reads, writes)) = access(event) else { continue };
        let Some((offset, size)) = event.span else { continue };
        let process = event.process;
        let order = ordering(event);
        if order.is_atomic() {
            synchronise(event, order, (reads, writes), &mut clocks[process], &mut released);
        }
        let clock = &clocks[process];
        let atomic = order.is_atomic();
        let unordered = |earlier: &Access| {
            earlier.process != process
                && clock[earlier.process] < earlier.time
                && !(earlier.atomic && atomic)
        };
        let mut conflict = None;
        for at in offset..offset + size {
            let Some(byte) = bytes.get(&at) else { continue };
            let earlier = byte.reads.iter().filter(|_| writes).chain(&byte.write);
            if let Some(earlier) = earlier.into_iter().find(|earlier| unordered(earlier)) {
                conflict.get_or_insert((earlier.event, at));
            }
        }
        let this = Access { process, time: clock[process], event: number, atomic };
        for at in offset..offset + size {
            let byte = bytes.entry(at).or_default();
            if writes {
                byte.write = Some(this);
            }
            if reads {
                byte.reads.retain(|read| read.process != process);
                byte.reads.push(this);
            }
        }
        if let Some((first, offset)) = conflict {
            let place = |at: usize| run.events[at].site.place;
            let known = found.iter().any(|race| {
                place(race.first) == place(first) && place(race.second) == place(number)
            });
            if !known {
                found.push(Race { first, second: number, offset });
            }
        }
        if writes && atomic {
            clocks[process][process] += 1;
        }
    }
    found
}

/// Whether the event loads or stores bytes: a store counts when it is made, not when it is seen.
fn access(event: &Event) -> Option<(bool, bool)> {
    match &event.action {
        Action::Read { .. } => Some((true, false)),
        Action::Write { .. } | Action::Buffer { .. } => Some((false, true)),
        Action::Update { .. } => Some((true, true)),
        Action::Call { writes, .. } => Some((!writes, *writes)),
        _ => None,
    }
}

/// An acquire takes over what the last release at this offset had seen.
fn synchronise(
    event: &Event,
    order: Ordering,
    (reads, writes): (bool, bool),
    clock: &mut Clock,
    released: &mut HashMap<usize, Clock>,
) {
    let Some((offset, _)) = event.span else { return };
    let old = matches!(event.action, Action::Read { old: Some(_), .. });
    if reads
        && !old
        && order.acquires()
        && let Some(seen) = released.get(&offset)
    {
        join(clock, seen);
    }
    let unchanged = matches!(event.action, Action::Update { before, after } if before == after);
    if !writes || unchanged {
        return;
    }
    // A read-modify-write passes on what the store before it has released; a plain store does not.
    let mut new = match event.action {
        Action::Update { .. } => released.get(&offset).cloned(),
        _ => None,
    }
    .unwrap_or_else(|| vec![0; clock.len()]);
    if order.releases() {
        join(&mut new, clock);
    }
    released.insert(offset, new);
}

fn join(into: &mut Clock, from: &Clock) {
    for (mine, &theirs) in into.iter_mut().zip(from) {
        *mine = (*mine).max(theirs);
    }
}
