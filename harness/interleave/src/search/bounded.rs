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
use crate::event::{Choice, Event, Run, Touch, Touched};
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

/// The time that an interrupted process rests. If nobody does anything meanwhile that concerns the
/// step before which it was interrupted, it could as well have been interrupted behind that step;
/// unless its stores still wait in its buffer, since those are seen for nothing when it ends, and at
/// the price of an interruption otherwise.
struct Rest {
    process: usize,
    /// The first step that concerns what it was about to do.
    concerned: Option<usize>,
    /// When it goes on.
    over: usize,
}

impl Rest {
    /// The rest that begins at this step, if somebody is interrupted there.
    fn of(run: &Run, begin: usize, processes: usize) -> Option<Rest> {
        let choice = run.choices.get(begin)?;
        let process = choice.current.filter(|&current| current < processes)?;
        let touch = choice.next.as_ref().filter(|_| choice.chosen != process)?;
        if choice.alternatives().any(|entity| entity == processes + process) {
            return None;
        }
        let goes_on = |choice: &Choice| choice.chosen == process;
        let after = run.choices[begin..].iter().position(goes_on);
        let over = after.map_or(run.choices.len(), |after| begin + after);
        let concerned = run
            .events
            .iter()
            .filter(|event| (begin..over).contains(&event.step) && event.process != process)
            .find(|event| concerns(event, touch))
            .map(|event| event.step);
        Some(Rest { process, concerned, over })
    }

    /// Whether the rest is over before this step, and nothing has come of it.
    fn was_in_vain_before(&self, step: usize) -> bool {
        self.concerned.is_none() && step > self.over
    }

    /// Whether nothing has come of the rest if this one goes on at this step.
    fn is_in_vain(&self, step: usize, entity: usize) -> bool {
        entity == self.process
            && step <= self.over
            && self.concerned.is_none_or(|concerned| concerned >= step)
    }
}

/// Whether an event and a step may not change places.
fn concerns(event: &Event, touch: &Touch) -> bool {
    let (reads, writes) = event.touches();
    let overlap = match (Touched::by(event), touch.what) {
        (Some(Touched::Bytes(one, size)), Touched::Bytes(other, len)) => {
            one < other + len && other < one + size
        }
        (Some(one), other) => one == other,
        (None, _) => false,
    };
    overlap && (writes || reads && touch.writes)
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
        let rest = schedule.last().and_then(|last| Rest::of(run, last, processes));
        for (step, choice) in run.choices.iter().enumerate().skip(first) {
            if rest.as_ref().is_some_and(|rest| rest.was_in_vain_before(step)) {
                break;
            }
            if choice.state.is_some_and(|state| !self.seen.insert(state)) {
                break;
            }
            for entity in choice.alternatives().filter(|&entity| entity != choice.chosen) {
                let cost = level + usize::from(choice.interrupts(entity));
                let in_vain = rest.as_ref().is_some_and(|rest| rest.is_in_vain(step, entity));
                if cost > self.bound || in_vain {
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
