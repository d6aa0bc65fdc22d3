//! Runs the checks of a lab in the order of its steps, and prints nothing.
//!
//! The order of the checks is the order of causes: the first deviation of a step ends it, because
//! what comes after is a consequence.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crate::bench::Bench;
use crate::checks;
use crate::cleanup;
use crate::course::{Lab, Step};
use crate::machine;
use crate::record::{Because, CheckRecord, Status, StepRecord};
use crate::scene::Scene;
use crate::verdict::{Outcome, Stop};

/// One thing that is looked at, as a row of a lab's table.
pub struct Check {
    /// The step of the lab it belongs to.
    pub step: &'static str,
    /// Its stable name, kebab-case, unique in the lab.
    pub id: &'static str,
    /// What holds when it passes, as a sentence without its full stop.
    pub title: &'static str,
    /// Plays the scene and judges it.
    pub run: fn(&mut Scene) -> Outcome,
}

/// Which steps of a lab are judged.
#[derive(Clone, Copy, Debug)]
pub enum Extent<'a> {
    /// All.
    Whole,
    /// One, and those it needs.
    Step(&'a str),
    /// All up to the first that fails: enough to know what a student reads first.
    FirstFailure,
}

/// What is told while a submission is judged.
pub enum Told<'a> {
    /// A check begins.
    Check(&'a Step, &'a Check),
    /// A step is done.
    Step(&'a StepRecord),
}

/// Judges a submission. `tell` hears of it as it goes on.
pub fn judge(
    lab: &Lab,
    bench: &Bench,
    extent: Extent<'_>,
    mut tell: impl FnMut(Told<'_>),
) -> Vec<StepRecord> {
    let table = checks::table(&lab.id);
    let wanted = |step: &Step| match extent {
        Extent::Step(only) => only == step.id || needed_by(lab, only, &step.id),
        Extent::Whole | Extent::FirstFailure => true,
    };
    let mut records: Vec<StepRecord> = Vec::new();
    for step in lab.steps.iter().filter(|step| wanted(step)) {
        let unmet = step.needs.iter().find_map(|need| {
            records.iter().find(|record| record.id == *need && record.status != Status::Passed)
        });
        let mut done: Vec<CheckRecord> = Vec::new();
        for check in table.iter().filter(|check| check.step == step.id) {
            let because = match unmet {
                Some(need) if need.status == Status::NotStarted => {
                    Some(Because::Unwritten(need.id.clone()))
                }
                Some(need) => Some(Because::Step(need.id.clone())),
                None => {
                    done.iter().find(|d| d.stops_the_step()).map(|d| Because::Check(d.id.clone()))
                }
            };
            done.push(match because {
                Some(because) => CheckRecord::skipped(check, because),
                None => {
                    tell(Told::Check(step, check));
                    run(check, bench)
                }
            });
        }
        let failed = done.iter().any(|check| check.status == Status::Failed);
        let record = StepRecord::new(step, done);
        tell(Told::Step(&record));
        records.push(record);
        if failed && matches!(extent, Extent::FirstFailure) {
            break;
        }
    }
    records
}

/// Plays one check, and plays it once more before anybody is accused of what a machine that stands still
/// for a moment looks like too.
fn run(check: &Check, bench: &Bench) -> CheckRecord {
    let start = Instant::now();
    let (mut outcome, mut remarks) = play(check, bench);
    if let Err(Stop::Fail(diagnosis)) = &outcome
        && diagnosis.hinges_on_time()
    {
        (outcome, remarks) = play(check, bench);
    }
    CheckRecord::new(check, outcome, remarks, start.elapsed())
}

/// Plays one check on a stage of its own; says what came of it, and what was remarked. A panic in it is
/// ours, so the check is broken, not failed.
fn play(check: &Check, bench: &Bench) -> (Outcome, Vec<String>) {
    let mut remarks = Vec::new();
    let played = catch_unwind(AssertUnwindSafe(|| -> Outcome {
        let mut scene = Scene::new(bench)?;
        let outcome =
            if bench.blunt.as_deref() == Some(check.id) { Ok(()) } else { (check.run)(&mut scene) };
        remarks = scene.take_remarks();
        // Looked at before the scene's own objects go. In a cell nobody else can have filled it.
        let full = cleanup::in_a_cell() && machine::shm_is_full();
        // The scene is ended whatever came of it; what it left behind is told only if nothing else
        // is wrong.
        let left = scene.end();
        match (outcome, left) {
            (Err(Stop::Fail(_)), _) if full => Err(machine::filled().into()),
            // Too many processes are the cause, whatever else went wrong among them.
            (Err(Stop::Fail(_)), Err(Stop::Fail(left)))
                if left.code == "starts-too-many-processes" =>
            {
                Err(Stop::Fail(left))
            }
            (outcome, left) => outcome.and(left),
        }
    }));
    let outcome = played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(Stop::Broken(format!("the check itself panicked: {text}")))
    });
    let outcome = match outcome {
        // A full file system kills a correct program too: that is no failure of the student's.
        Err(Stop::Fail(_)) if machine::shm_is_full() => Err(Stop::Broken(machine::FULL.to_owned())),
        outcome => outcome,
    };
    (outcome, remarks)
}

/// Whether `step` is among what `wanted` needs, directly or not.
fn needed_by(lab: &Lab, wanted: &str, step: &str) -> bool {
    let Some(wanted) = lab.step(wanted) else { return false };
    wanted.needs.iter().any(|need| need == step || needed_by(lab, need, step))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::time::Duration;

    use super::*;
    use crate::bench::Lazy;
    use crate::diagnosis::fail;

    fn status(run_it: fn(&mut Scene) -> Outcome) -> Status {
        let bench = Bench {
            program: PathBuf::from("/bin/true"),
            peer_program: PathBuf::from("/bin/true"),
            words: &[],
            deadline: Duration::ZERO,
            orderings: Lazy::default(),
            files: Default::default(),
            confined: None,
            blunt: None,
        };
        let check = Check { step: "a", id: "b", title: "c", run: run_it };
        run(&check, &bench).status
    }

    #[test]
    fn what_hinges_on_time_is_looked_at_twice_and_nothing_else() {
        fn late_once(_: &mut Scene) -> Outcome {
            static TIMES: AtomicUsize = AtomicUsize::new(0);
            if TIMES.fetch_add(1, Relaxed) == 0 { Err(fail("comes-late").into()) } else { Ok(()) }
        }
        fn wrong_once(_: &mut Scene) -> Outcome {
            static TIMES: AtomicUsize = AtomicUsize::new(0);
            if TIMES.fetch_add(1, Relaxed) == 0 { Err(fail("wrong-tail").into()) } else { Ok(()) }
        }
        assert_eq!(status(late_once), Status::Passed);
        assert_eq!(status(wrong_once), Status::Failed);
        assert_eq!(status(|_| Err(fail("comes-late").into())), Status::Failed);
    }
}
