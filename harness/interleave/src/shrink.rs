//! Makes a schedule that shows a fault smaller, as long as it shows the same fault: one or two
//! differences less, or one a little earlier or later.

use crate::Unsupported;
use crate::event::Run;
use crate::schedule::Schedule;
use crate::search::{Found, Trials};

/// More runs than this are not worth a shorter string.
const MOST_RUNS: usize = 400;

/// Returns the smallest found, and in how many runs. It never has more interruptions and old reads
/// than it came with.
pub(crate) fn shrink(trials: &mut Trials<'_>, found: Found) -> Result<(Found, usize), Unsupported> {
    let processes = trials.backend.processes();
    let mut best = found;
    let mut runs = 0;
    'smaller: loop {
        for candidate in candidates(&best.schedule) {
            if runs >= MOST_RUNS {
                break 'smaller;
            }
            runs += 1;
            let (run, verdict) = trials.follow(&candidate, false)?;
            if verdict.is_like(&best.verdict) && size(&run) < size(&best.run) {
                let schedule = Schedule::of(&run, processes, &candidate.kills());
                best = Found { schedule, run, verdict };
                continue 'smaller;
            }
        }
        break;
    }
    Ok((best, runs))
}

/// What is to become smaller, the most important first.
fn size(run: &Run) -> (usize, usize, usize) {
    (run.interruptions(), run.switches(), run.choices.len())
}

/// Schedules that may be smaller.
fn candidates(schedule: &Schedule) -> Vec<Schedule> {
    let all = &schedule.deviations;
    let without = |left_out: &[usize]| Schedule {
        deviations: (0..all.len()).filter(|at| !left_out.contains(at)).map(|at| all[at]).collect(),
    };
    let mut candidates: Vec<Schedule> = (0..all.len()).map(|at| without(&[at])).collect();
    for first in 0..all.len() {
        candidates.extend((first + 1..all.len()).map(|second| without(&[first, second])));
    }
    for at in 0..all.len() {
        for by in [1, -1, 2, -2, 4, -4] {
            let mut moved = schedule.clone();
            let step = &mut moved.deviations[at].0;
            if let Some(new) = step.checked_add_signed(by) {
                *step = new;
                moved.deviations.sort();
                candidates.push(moved);
            }
        }
    }
    candidates
}
