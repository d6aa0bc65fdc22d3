//! Which schedules are run, in which order, until one shows a fault or the budget is spent.

mod bounded;
mod crash;
mod random;

use std::collections::HashSet;

use crate::engine::{self, Rules, Strategy};
use crate::event::{Outcome, Run, Stuck};
use crate::memory::Memory;
use crate::request::{Backend, Ending};
use crate::schedule::Schedule;
use crate::{Budget, Coverage, Unsupported, Verdict, Waits};

pub(crate) use bounded::bounded;
pub(crate) use crash::crash;
pub(crate) use random::{pct, walk};

/// Runs schedules on one backend, judges each run, and counts.
pub(crate) struct Trials<'a> {
    pub(crate) backend: &'a mut dyn Backend,
    pub(crate) memory: Memory,
    pub(crate) budget: Budget,
    pub(crate) check: &'a dyn Fn(&Ending) -> Result<(), String>,
    pub(crate) coverage: Coverage,
    classes: HashSet<u64>,
}

/// A run that showed something.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) schedule: Schedule,
    pub(crate) run: Run,
    pub(crate) verdict: Verdict,
}

impl<'a> Trials<'a> {
    pub(crate) fn new(
        backend: &'a mut dyn Backend,
        memory: Memory,
        budget: Budget,
        check: &'a dyn Fn(&Ending) -> Result<(), String>,
    ) -> Trials<'a> {
        let coverage = Coverage::default();
        Trials { backend, memory, budget, check, coverage, classes: HashSet::new() }
    }

    /// Whether another run is within the budget.
    pub(crate) fn may_go_on(&self) -> bool {
        self.coverage.schedules < self.budget.schedules
    }

    /// Runs once, as part of the search.
    pub(crate) fn run(
        &mut self,
        strategy: &mut dyn Strategy,
        stop_at_failure: bool,
    ) -> Result<(Run, Verdict), Unsupported> {
        let (run, verdict) = self.run_again(strategy, stop_at_failure)?;
        self.coverage.schedules += 1;
        self.coverage.longest = self.coverage.longest.max(run.choices.len());
        self.classes.insert(run.class);
        self.coverage.classes = self.classes.len();
        self.coverage.imprecise = self.backend.imprecise();
        Ok((run, verdict))
    }

    /// Runs once without counting: to shrink or to explain what was found.
    pub(crate) fn run_again(
        &mut self,
        strategy: &mut dyn Strategy,
        stop_at_failure: bool,
    ) -> Result<(Run, Verdict), Unsupported> {
        let rules = Rules { memory: self.memory, steps: self.budget.steps, stop_at_failure };
        let run = engine::run(self.backend, rules, strategy)?;
        let verdict = self.judge(&run);
        Ok((run, verdict))
    }

    /// Follows a schedule. One that kills is judged like a crash: who fails later is no failure of
    /// the run by itself.
    pub(crate) fn follow(
        &mut self,
        schedule: &Schedule,
        counted: bool,
    ) -> Result<(Run, Verdict), Unsupported> {
        let stop = schedule.kills().is_empty();
        if counted {
            self.run(&mut schedule.follower(), stop)
        } else {
            self.run_again(&mut schedule.follower(), stop)
        }
    }

    fn judge(&self, run: &Run) -> Verdict {
        let waits = || run.stuck.iter().enumerate().filter_map(|(p, why)| Waits::of(p, why));
        match run.outcome {
            Outcome::Finished => match (self.check)(&run.ending) {
                Ok(()) => Verdict::Pass,
                Err(why) => Verdict::Wrong(why),
            },
            Outcome::Deadlock => Verdict::Deadlock(waits().collect()),
            Outcome::Livelock => Verdict::Livelock(waits().collect()),
            Outcome::Failed(process, exit) => Verdict::Failed { process, exit },
            Outcome::Steps => Verdict::TooLong,
            Outcome::Stopped => Verdict::Stopped,
        }
    }

    pub(crate) fn found(&self, run: Run, verdict: Verdict, kills: &[(usize, usize)]) -> Found {
        let schedule = Schedule::of(&run, self.backend.processes(), kills);
        Found { schedule, run, verdict }
    }
}

impl Waits {
    fn of(process: usize, why: &Stuck) -> Option<Waits> {
        use crate::request::Word;
        match why {
            Stuck::No => None,
            Stuck::Asleep(Word::Shared(offset)) => {
                Some(Waits { process, asleep: true, offsets: vec![*offset] })
            }
            Stuck::Asleep(Word::Private { .. }) => {
                Some(Waits { process, asleep: true, offsets: Vec::new() })
            }
            Stuck::Spinning(offsets) => {
                Some(Waits { process, asleep: false, offsets: offsets.clone() })
            }
            Stuck::Ready => Some(Waits { process, asleep: false, offsets: Vec::new() }),
        }
    }
}

#[cfg(test)]
mod tests;
