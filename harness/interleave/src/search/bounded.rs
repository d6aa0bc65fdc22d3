//! All schedules with no interruption, then all with one, and so on (CHESS). What is found first
//! has the fewest interruptions there can be, and a search that ends has something to say.
//!
//! Most of them need not be run, since they cannot come to anything new: an interruption counts only
//! before a step that another process could notice or undo, and what follows a state that some
//! earlier run was in is known.

use std::collections::{HashMap, HashSet, VecDeque};

use super::{Found, Trials};
use crate::Unsupported;
use crate::engine::{Moment, Strategy};
use crate::event::{Run, Touch, Touched};
use crate::request::Aspect;
use crate::schedule::{Deviation, Follower, Schedule};

/// One byte of the segment, or something about the object.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Location {
    Byte(usize),
    Object(Aspect),
}

/// Who reads and who writes a location, one bit for each process.
#[derive(Clone, Copy, Default)]
struct Users {
    readers: u16,
    writers: u16,
}

/// Schedules still to be run, by the number of interruptions they have.
struct Frontier {
    bound: usize,
    work: Vec<VecDeque<Schedule>>,
    users: HashMap<Location, Users>,
    /// Interruptions before a step that, as far as we know, concerns nobody else. They come back
    /// when we learn that it does.
    deferred: Vec<(Touch, usize, Schedule)>,
    /// The states from which all that can come of it was run, or waits to be.
    seen: HashSet<u64>,
}

/// Searches up to `bound` interruptions. In the weak model a load of an old value counts as one.
pub(crate) fn bounded(trials: &mut Trials<'_>, bound: usize) -> Result<Option<Found>, Unsupported> {
    let mut frontier = Frontier {
        bound,
        work: vec![VecDeque::new(); bound + 1],
        users: HashMap::new(),
        deferred: Vec::new(),
        seen: HashSet::new(),
    };
    frontier.work[0].push_back(Schedule::default());
    let processes = trials.backend.processes();
    for level in 0..=bound {
        while let Some(schedule) = frontier.work[level].pop_front() {
            if !trials.may_go_on() {
                return Ok(None);
            }
            let first = schedule.last().map_or(0, |last| last + 1);
            let mut strategy = New { follower: schedule.follower(), first, seen: &frontier.seen };
            let (run, verdict) = trials.run(&mut strategy, true)?;
            if verdict.is_bad() {
                return Ok(Some(trials.found(run, verdict, &[])));
            }
            frontier.learn(&run);
            frontier.branch(&schedule, &run, level, processes);
            frontier.revive(level);
        }
        trials.coverage.bound = Some(level);
    }
    trials.coverage.complete = true;
    Ok(None)
}

/// Follows a schedule, and from its end on stops where an earlier run has been.
struct New<'a> {
    follower: Follower<'a>,
    first: usize,
    seen: &'a HashSet<u64>,
}

impl Strategy for New<'_> {
    fn pick(&mut self, moment: &Moment<'_>) -> Option<usize> {
        let known = moment.state.is_some_and(|state| self.seen.contains(&state));
        if known && moment.step >= self.first { None } else { self.follower.pick(moment) }
    }

    fn old(&mut self, step: usize, most: usize) -> usize {
        self.follower.old(step, most)
    }
}

impl Frontier {
    /// Remembers who used what.
    fn learn(&mut self, run: &Run) {
        for event in &run.events {
            let (reads, writes) = event.touches();
            for location in Touched::by(event).into_iter().flat_map(locations) {
                let users = self.users.entry(location).or_default();
                users.readers |= u16::from(reads) << event.process;
                users.writers |= u16::from(writes) << event.process;
            }
        }
    }

    /// Adds all schedules that differ from this one by one more decision behind its last.
    fn branch(&mut self, schedule: &Schedule, run: &Run, level: usize, processes: usize) {
        let first = schedule.last().map_or(0, |last| last + 1);
        for (step, choice) in run.choices.iter().enumerate().skip(first) {
            if choice.state.is_some_and(|state| !self.seen.insert(state)) {
                break;
            }
            for entity in choice.alternatives().filter(|&entity| entity != choice.chosen) {
                let cost = level + usize::from(choice.interrupts(entity));
                if cost > self.bound {
                    continue;
                }
                let more = schedule.with(step, Deviation::of(entity, processes));
                match &choice.next {
                    Some(touch) if !self.conflicts(touch) => {
                        self.deferred.push((touch.clone(), cost, more));
                    }
                    // Nothing that others could notice is about to happen: later is as good.
                    None if choice.current.is_some_and(|current| current < processes) => {}
                    _ => self.work[cost].push_back(more),
                }
            }
            if level < self.bound && choice.old.0 == 0 {
                for behind in 1..=choice.old.1 {
                    self.work[level + 1].push_back(schedule.with(step, Deviation::Old(behind)));
                }
            }
        }
    }

    /// Whether another process uses what this step changes, or changes what it uses.
    fn conflicts(&self, touch: &Touch) -> bool {
        let others = !(1_u16 << touch.process);
        locations(touch.what).any(|location| {
            let users = self.users.get(&location).copied().unwrap_or_default();
            let concerned =
                if touch.writes { users.readers | users.writers } else { users.writers };
            concerned & others != 0
        })
    }

    /// Takes up what was deferred and has become worth running.
    fn revive(&mut self, level: usize) {
        for (touch, cost, schedule) in std::mem::take(&mut self.deferred) {
            if self.conflicts(&touch) {
                self.work[cost.max(level)].push_back(schedule);
            } else {
                self.deferred.push((touch, cost, schedule));
            }
        }
    }
}

fn locations(what: Touched) -> impl Iterator<Item = Location> {
    let (bytes, object) = match what {
        Touched::Bytes(offset, size) => (offset..offset + size, None),
        Touched::Object(aspect) => (0..0, Some(Location::Object(aspect))),
    };
    bytes.map(Location::Byte).chain(object)
}
