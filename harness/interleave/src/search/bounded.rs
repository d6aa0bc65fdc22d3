//! All schedules with no interruption, then all with one, and so on (CHESS). What is found first
//! has the fewest interruptions there can be, and a search that ends has something to say.

use std::collections::{HashMap, VecDeque};

use super::{Found, Trials};
use crate::Unsupported;
use crate::event::{Location, Run};
use crate::schedule::{Deviation, Schedule};

/// Who reads and who writes a location, one bit for each process.
#[derive(Clone, Copy, Default)]
struct Users {
    readers: u16,
    writers: u16,
}

impl Users {
    /// Whether two processes use it, and one of them writes.
    fn conflict(self) -> bool {
        (self.readers | self.writers).count_ones() > 1 && self.writers != 0
    }
}

/// Schedules still to be run, by the number of interruptions they have.
struct Frontier {
    bound: usize,
    work: Vec<VecDeque<Schedule>>,
    users: HashMap<Location, Users>,
    /// Interruptions before an access to something that, as far as we know, nobody fights over.
    /// They come back when we learn that somebody does.
    deferred: Vec<(Location, usize, Schedule)>,
}

/// Searches up to `bound` interruptions. In the weak model a load of an old value counts as one.
pub(crate) fn bounded(trials: &mut Trials<'_>, bound: usize) -> Result<Option<Found>, Unsupported> {
    let mut frontier = Frontier {
        bound,
        work: vec![VecDeque::new(); bound + 1],
        users: HashMap::new(),
        deferred: Vec::new(),
    };
    frontier.work[0].push_back(Schedule::default());
    let processes = trials.backend.processes();
    for level in 0..=bound {
        while let Some(schedule) = frontier.work[level].pop_front() {
            if !trials.may_go_on() {
                return Ok(None);
            }
            let (run, verdict) = trials.follow(&schedule, true)?;
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

impl Frontier {
    /// Remembers who used what.
    fn learn(&mut self, run: &Run) {
        for event in &run.events {
            let (reads, writes) = event.touches();
            for location in Location::of_event(event) {
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
            let interrupts = choice.current.is_some();
            let cost = level + usize::from(interrupts);
            if cost <= self.bound {
                for entity in choice.alternatives().filter(|&entity| entity != choice.chosen) {
                    let more = schedule.with(step, Deviation::of(entity, processes));
                    match choice.next {
                        Some((location, _)) if interrupts && !self.conflicts(location) => {
                            self.deferred.push((location, cost, more));
                        }
                        // Nothing that others could notice is about to happen: later is as good.
                        None if interrupts && choice.chosen < processes => {}
                        _ => self.work[cost].push_back(more),
                    }
                }
            }
            if level < self.bound {
                for behind in 1..=choice.old.1 {
                    if choice.old.0 == 0 {
                        let more = schedule.with(step, Deviation::Old(behind));
                        self.work[level + 1].push_back(more);
                    }
                }
            }
        }
    }

    fn conflicts(&self, location: Location) -> bool {
        self.users.get(&location).copied().unwrap_or_default().conflict()
    }

    /// Takes up what was deferred and has become worth running.
    fn revive(&mut self, level: usize) {
        for (location, cost, schedule) in std::mem::take(&mut self.deferred) {
            if self.conflicts(location) {
                self.work[cost.max(level)].push_back(schedule);
            } else {
                self.deferred.push((location, cost, schedule));
            }
        }
    }
}
