//! `cargo lab check`: builds labs and judges them.

use std::path::Path;

use super::{Done, Ticker, harness, origin, say, say_json};
use crate::check::Extent;
use crate::cli::Check;
use crate::compile::Workshop;
use crate::course::{Course, Lab};
use crate::exit_code::{Blame, ExitCode, Failure};
use crate::exploration;
use crate::grading::{Order, Progress as Told};
use crate::machine;
use crate::progress::Progress;
use crate::record::{Record, ResultKind};
use crate::report::text::{Detail, report};
use crate::submission::{Origin, Submission, labs_in};
use crate::verdict::Stop;

pub(super) fn check(course: &Course, arguments: &Check) -> Done {
    let labs = match &arguments.whose.submission {
        Some(folder) if arguments.labs.is_empty() => labs_in(course, folder).usage()?,
        _ => course.chosen(&arguments.labs).usage()?,
    };
    if let Some(step) = &arguments.step {
        one_lab(&labs, "--step").usage()?.known_step(step).usage()?;
    }
    if arguments.whose.program.is_some() {
        one_lab(&labs, "--program").usage()?;
    }
    let harness = harness()?;
    machine::can_share_memory().broken()?;
    machine::can_watch_processes(&harness).broken()?;
    if arguments.require_exploration {
        can_explore(&harness)?;
    }
    let origin = origin(&arguments.whose);
    // Everything is read before anything is built: a wrong folder costs no waiting.
    let mut submissions = Vec::new();
    if arguments.whose.program.is_none() {
        for lab in &labs {
            submissions.push(Submission::collect(course, lab, &origin).usage()?);
        }
    }
    let ticker = Ticker::new();
    let mut progress = Progress::read(course);
    let mut records = Vec::new();
    let mut worst = ExitCode::Passed;
    for (index, lab) in labs.iter().enumerate() {
        let order = Order {
            course,
            lab,
            extent: arguments.step.as_deref().map_or(Extent::Whole, Extent::Step),
            harness: harness.clone(),
            blunt: None,
        };
        let show = |told: Told<'_>| show(&ticker, lab, &told);
        let workshop = match submissions.get(index) {
            Some(_) => {
                Some(Workshop::open(course, &origin, |text| ticker.announce(text)).broken()?)
            }
            None => None,
        };
        for round in 0..arguments.repeat {
            let record = match (&workshop, submissions.get(index)) {
                (Some(workshop), Some(submission)) => {
                    order.grade(workshop, submission, show).broken()?
                }
                _ => {
                    let program = arguments.whose.program.as_deref().unwrap_or(Path::new(""));
                    order.grade_program(program, show).usage()?
                }
            };
            ticker.clear();
            worst = worse(worst, exit_code(&record));
            if !arguments.json {
                tell(arguments, lab, &record, round);
            }
            let whole = arguments.step.is_none() && arguments.whose.program.is_none();
            if origin == Origin::Workspace && whole {
                progress.note(lab, &record);
            }
            records.push(record);
        }
    }
    if arguments.json {
        say_json(&records)?;
    } else {
        conclusion(arguments, &records);
    }
    // A course on a read-only disk can still be checked.
    if origin == Origin::Workspace
        && let Err(error) = progress.write(course)
    {
        anstream::eprintln!("your progress is not kept: {error:#}");
    }
    Ok(worst)
}

/// A mark without the checks that try every schedule is not wanted.
pub(super) fn can_explore(harness: &Path) -> Result<(), Failure> {
    let Err(stop) = exploration::can_explore(harness) else { return Ok(()) };
    let why = match stop {
        Stop::NotChecked(why) | Stop::Broken(why) => why,
        stop => format!("{stop:?}"),
    };
    Err(anyhow::anyhow!(
        "schedules cannot be controlled here: {why}\n  what to do: use Linux on x86-64 where \
         ptrace is allowed, or leave out --require-exploration"
    ))
    .broken()
}

fn show(ticker: &Ticker, lab: &Lab, told: &Told<'_>) {
    match told {
        Told::Work(text) => ticker.tell(&format!("{}: {text}", lab.id)),
        Told::Check(step, check) => {
            ticker.tell(&format!("{}: {}: {}", lab.id, step.id, check.title))
        }
    }
}

/// Prints one report; of repeated ones that pass, only the first.
fn tell(arguments: &Check, lab: &Lab, record: &Record, round: u32) {
    if round > 0 && record.passed() {
        return;
    }
    let again = again(arguments, lab);
    say(&report(record, &lab.title, &again, Detail { verbose: arguments.verbose }));
}

fn conclusion(arguments: &Check, records: &[Record]) {
    let passed = records.iter().filter(|record| record.passed()).count();
    if arguments.repeat > 1 {
        say(&format!("{passed} of {} gradings passed", records.len()));
    } else if records.len() > 1 {
        say(&format!("{passed} of {} labs passed", records.len()));
    }
}

/// The command that judges the same lab of the same submission again.
fn again(arguments: &Check, lab: &Lab) -> String {
    let mut words = format!("cargo lab check {}", lab.id);
    if arguments.whose.solution {
        words += " --solution";
    }
    if let Some(folder) = &arguments.whose.submission {
        words += &format!(" --submission {}", folder.display());
    }
    if let Some(program) = &arguments.whose.program {
        words += &format!(" --program {}", program.display());
    }
    words
}

fn one_lab<'a>(labs: &[&'a Lab], option: &str) -> anyhow::Result<&'a Lab> {
    match labs {
        [lab] => Ok(lab),
        _ => Err(anyhow::anyhow!(
            "{option} is about one lab\n  what to do: name the lab, as in `cargo lab check raw-segment {option} …`"
        )),
    }
}

fn exit_code(record: &Record) -> ExitCode {
    match record.outcome {
        ResultKind::Broken => ExitCode::Broken,
        ResultKind::Graded if record.passed() => ExitCode::Passed,
        _ => ExitCode::Failed,
    }
}

/// The grader's own failure outweighs a student's: a mark that means nothing must not look like one.
fn worse(one: ExitCode, other: ExitCode) -> ExitCode {
    if other as u8 > one as u8 { other } else { one }
}
