//! Schedules by chance, from a seed. Numbers come from a generator of our own, so that a seed means
//! the same for ever.

use super::{Found, Trials};
use crate::Unsupported;
use crate::engine::{Moment, Strategy};

/// SplitMix64.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn of(seed: u64, run: usize) -> Dice {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (run as u64) << 32);
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Every decision is drawn anew. On programs of a few dozen steps nothing finds more.
pub(crate) fn walk(trials: &mut Trials<'_>, seed: u64) -> Result<Option<Found>, Unsupported> {
    search(trials, |run| Walk(Dice::of(seed, run)))
}

struct Walk(Dice);

impl Strategy for Walk {
    fn pick(&mut self, moment: &Moment<'_>) -> Option<usize> {
        Some(moment.enabled[self.0.below(moment.enabled.len())])
    }

    fn old(&mut self, _step: usize, most: usize) -> usize {
        if self.0.below(3) == 0 { 1 + self.0.below(most) } else { 0 }
    }
}

/// Random priorities that change at `depth - 1` random steps (PCT): finds a fault of that depth in
/// a run of k steps of n processes with a chance of at least 1 / (n k^(depth - 1)).
pub(crate) fn pct(
    trials: &mut Trials<'_>,
    depth: usize,
    seed: u64,
) -> Result<Option<Found>, Unsupported> {
    let entities = 2 * trials.backend.processes();
    // The length of a run is learned on the way; this is a guess for the first one.
    let mut length = 20;
    while trials.may_go_on() {
        let mut dice = Dice::of(seed, trials.coverage.schedules);
        let mut priorities: Vec<usize> = (depth..depth + entities).collect();
        for at in (1..entities).rev() {
            priorities.swap(at, dice.below(at + 1));
        }
        let changes = (1..depth).map(|_| dice.below(length)).collect();
        let mut strategy = Pct { priorities, changes, dice };
        let (run, verdict) = trials.run(&mut strategy, true)?;
        length = length.max(run.choices.len());
        if verdict.is_bad() {
            return Ok(Some(trials.found(run, verdict, &[])));
        }
    }
    Ok(None)
}

struct Pct {
    priorities: Vec<usize>,
    /// The steps before which whoever would go is put behind all others.
    changes: Vec<usize>,
    dice: Dice,
}

impl Strategy for Pct {
    fn pick(&mut self, moment: &Moment<'_>) -> Option<usize> {
        let best = |priorities: &[usize]| {
            moment.enabled.iter().copied().max_by_key(|&entity| priorities[entity])
        };
        for (rank, &step) in self.changes.iter().enumerate() {
            if step == moment.step {
                let demoted = best(&self.priorities)?;
                self.priorities[demoted] = rank;
            }
        }
        best(&self.priorities)
    }

    fn old(&mut self, _step: usize, most: usize) -> usize {
        if self.dice.below(3) == 0 { 1 + self.dice.below(most) } else { 0 }
    }
}

fn search<S: Strategy>(
    trials: &mut Trials<'_>,
    strategy: impl Fn(usize) -> S,
) -> Result<Option<Found>, Unsupported> {
    while trials.may_go_on() {
        let mut strategy = strategy(trials.coverage.schedules);
        let (run, verdict) = trials.run(&mut strategy, true)?;
        if verdict.is_bad() {
            return Ok(Some(trials.found(run, verdict, &[])));
        }
    }
    Ok(None)
}
