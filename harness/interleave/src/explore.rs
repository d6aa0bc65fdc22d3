//! Explores a lab: searches, shrinks what was found, and runs it once more to tell it.

use crate::schedule::MOST_PROCESSES;
use crate::{Budget, Lab, Memory, Report, Search, Unsupported};

/// Runs the lab's programs under many schedules, and reports the first that goes wrong.
///
/// # Errors
///
/// [`Unsupported`] with the reason, where the programs or the machine cannot be explored. Nothing is
/// guessed, and nothing hangs.
pub fn explore(
    lab: &Lab<'_>,
    search: Search<'_>,
    memory: Memory,
    budget: Budget,
) -> Result<Report, Unsupported> {
    let count = lab.programs.len();
    if count == 0 || count > MOST_PROCESSES {
        return Err(Unsupported::Processes(count));
    }
    on_this_machine(lab, search, memory, budget)
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn on_this_machine(
    _: &Lab<'_>,
    _: Search<'_>,
    _: Memory,
    _: Budget,
) -> Result<Report, Unsupported> {
    Err(Unsupported::Platform)
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use real::on_this_machine;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod real {
    use super::{Budget, Lab, Memory, Report, Search, Unsupported};
    use crate::Verdict;
    use crate::dwarf::fields;
    use crate::engine::Rules;
    use crate::happens_before::races;
    use crate::play::Playing;
    use crate::processes::Processes;
    use crate::schedule::Schedule;
    use crate::search::{Found, Trials, bounded, crash, pct, walk};
    use crate::shrink::shrink;
    use crate::timeline::{Field, Names, Timeline};

    pub(super) fn on_this_machine(
        lab: &Lab<'_>,
        search: Search<'_>,
        memory: Memory,
        budget: Budget,
    ) -> Result<Report, Unsupported> {
        let mut processes = Processes::new(lab, memory != Memory::Sc)?;
        let names = names(lab);
        processes.scout(Rules { memory, steps: budget.steps, stop_at_failure: true })?;
        let mut trials = Trials::new(&mut processes, memory, budget, lab.check);
        let found = match search {
            Search::Bounded { preemptions } => bounded(&mut trials, preemptions)?,
            Search::Pct { depth, seed } => pct(&mut trials, depth, seed)?,
            Search::Walk { seed } => walk(&mut trials, seed)?,
            Search::Crash { victim } => {
                if victim >= lab.programs.len() {
                    return Err(Unsupported::Start(format!("there is no process {victim}")));
                }
                crash(&mut trials, victim)?
            }
            Search::Replay(schedule) => {
                let (run, verdict) = trials.follow(&schedule, true)?;
                Some(Found { schedule, run, verdict })
            }
            Search::Play(player) => {
                let told = |span| names.span(span);
                let mut strategy = Playing { player, told: &told };
                let (run, verdict) = trials.run(&mut strategy, true)?;
                Some(trials.found(run, verdict, &[]))
            }
        };
        let bad = found.as_ref().filter(|found| found.verdict.is_bad());
        trials.coverage.found_with = bad.map(|found| found.run.interruptions());
        let found = match found {
            Some(found) if found.verdict.is_bad() && !found.schedule.is_empty() => {
                let keep = found.clone();
                let (smaller, runs) = shrink(&mut trials, found)?;
                trials.coverage.shrinking = runs;
                // A fault is told as it was found when that is as short: the search has counted it.
                let as_short = smaller.schedule.deviations.len() >= keep.schedule.deviations.len();
                Some(if as_short && smaller.run.interruptions() >= keep.run.interruptions() {
                    keep
                } else {
                    smaller
                })
            }
            other => other,
        };
        let coverage = std::mem::take(&mut trials.coverage);
        // Told from one more run of it, with call stacks.
        let forked = processes.forks();
        processes.record_stacks(true);
        let mut trials = Trials::new(&mut processes, memory, budget, lab.check);
        let (verdict, schedule, expected) = match found {
            Some(found) => (found.verdict, Some(found.schedule), Some(found.run.hash())),
            None => (Verdict::Pass, None, None),
        };
        let again = schedule.clone().unwrap_or_else(Schedule::default);
        let (run, _) = if verdict == Verdict::Stopped {
            trials.follow(&again, false)?
        } else {
            let (run, verdict) = trials.follow(&again, false)?;
            if expected.is_some_and(|expected| expected != run.hash()) {
                return Err(Unsupported::NotRepeatable);
            }
            (run, verdict)
        };
        let symbols = processes.symbols();
        let orderings = symbols.knows_orderings();
        let races = if orderings {
            races(&run, lab.programs.len(), |event| {
                let locked = matches!(event.action, crate::event::Action::Update { .. });
                symbols.ordering(event.site.place, locked)
            })
        } else {
            Vec::new()
        };
        let mut coverage = coverage;
        coverage.orderings = orderings;
        coverage.forked = forked;
        coverage.unseen = (0..lab.programs.len())
            .filter(|&process| {
                !run.events.iter().any(|event| event.process == process && event.span.is_some())
            })
            .collect();
        let timeline = Timeline::of(&run, &names, symbols, &races, &verdict);
        let (interruptions, hash) = (run.interruptions(), run.hash());
        Ok(Report { verdict, schedule, interruptions, timeline, races, coverage, hash })
    }

    fn names(lab: &Lab<'_>) -> Names {
        let program = &lab.programs[0].path;
        let found = lab.layout.iter().flat_map(|(name, offset)| fields(program, name, *offset));
        let named = lab.named.iter().map(|(name, offset, size)| Field {
            name: name.clone(),
            offset: *offset,
            size: *size,
            kind: String::new(),
        });
        Names { fields: found.chain(named).collect(), processes: lab.programs.len() }
    }
}
