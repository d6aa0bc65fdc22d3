//! One process is killed before each of its steps; the others must cope.

use super::{Found, Trials};
use crate::schedule::{Deviation, Schedule};
use crate::{CrashPoint, Unsupported};

/// Kills `victim` at every point of two runs: one in which it goes first, and one in which it goes
/// last. All points are run; the first bad one is returned.
pub(crate) fn crash(trials: &mut Trials<'_>, victim: usize) -> Result<Option<Found>, Unsupported> {
    let processes = trials.backend.processes();
    let other = (0..processes).find(|&process| process != victim).unwrap_or(victim);
    let mut first = None;
    let mut orders = vec![victim];
    if other != victim {
        orders.push(other);
    }
    let mut seen = Vec::new();
    for leader in orders {
        let base = match leader {
            0 => Schedule::default(),
            _ => Schedule::default().with(0, Deviation::Run(leader)),
        };
        let (run, _) = trials.run_again(&mut base.follower(), false)?;
        let points = run.choices.iter().enumerate().filter(|(_, choice)| choice.chosen == victim);
        for (step, _) in points {
            if !trials.may_go_on() {
                return Ok(first);
            }
            let mut schedule = base.with(step, Deviation::Kill(victim));
            schedule.deviations.sort();
            let (run, verdict) = trials.follow(&schedule, true)?;
            let exact = Schedule::of(&run, processes, &schedule.kills());
            if seen.contains(&exact) {
                continue;
            }
            seen.push(exact);
            let bad = verdict.is_bad();
            trials.coverage.crash_points.push(CrashPoint {
                schedule: schedule.clone(),
                step,
                verdict: verdict.clone(),
            });
            if bad && first.is_none() {
                first = Some(trials.found(run, verdict, &schedule.kills()));
            }
        }
    }
    trials.coverage.complete = true;
    Ok(first)
}
