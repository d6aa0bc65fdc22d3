//! `cargo lab grade`: grades a class.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use chrono::Utc;
use serde::Serialize;

use super::check::can_explore;
use super::{Done, Ticker, harness, say, say_json};
use crate::batch::{Batch, Graded, grader, shard};
use crate::cli::Grade;
use crate::course::Course;
use crate::exit_code::{Blame, ExitCode};
use crate::intake;
use crate::isolation::Isolation;
use crate::machine;
use crate::record::{Isolation as Kept, ResultKind};
use crate::report::style::{BAD, DIM, GOOD, OPEN, paint};
use crate::report::views::{Classroom50, Context};
use crate::results::Results;
use crate::scene::count;
use crate::sheet::Sheet;

/// What `--json` prints.
#[derive(Serialize)]
struct Summary<'a> {
    isolation: &'a Kept,
    submissions: usize,
    /// How many sheets of an earlier run were kept.
    kept: usize,
    graded: usize,
    build_failed: usize,
    invalid: usize,
    broken: usize,
    seconds: f64,
    sheets: Vec<Line<'a>>,
}

/// One submission in the summary.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    outcome: ResultKind,
    /// Nothing where they mean nothing.
    points: Option<u32>,
    max_points: u32,
    bonus: u32,
}

pub(super) fn grade(course: &Course, arguments: &Grade) -> Done {
    let labs = if arguments.labs.is_empty() {
        Vec::new()
    } else {
        course.chosen(&arguments.labs).usage()?
    };
    if let Some(step) = &arguments.step {
        for lab in &labs {
            lab.known_step(step).usage()?;
        }
    }
    let (sources, aside) = intake::sources(course, &arguments.paths, arguments.one).usage()?;
    let harness = harness()?;
    machine::can_share_memory().broken()?;
    machine::can_watch_processes(&harness).broken()?;
    if arguments.require_exploration {
        can_explore(&harness)?;
    }
    let isolation =
        Isolation::strongest(&harness, arguments.at_most, &arguments.sabotage).broken()?;
    let tier = isolation.tier();
    if tier < arguments.require_isolation {
        let missing = isolation.record().missing.join("\n  ");
        return Err(anyhow::anyhow!(
            "this machine confines programs at {tier} only, and {} is required\n  {missing}\n  what to do: \
             `cargo lab doctor` tells what is missing; run as root or in a container, or, for \
             submissions you trust, say --require-isolation {tier}",
            arguments.require_isolation
        ))
        .broken();
    }
    let all = sources.len();
    let sources = match arguments.shard {
        Some((index, count)) => shard(sources, index, count),
        None => sources,
    };
    let results = Results::open(&arguments.out).usage()?;
    let batch = Batch {
        course,
        labs,
        step: arguments.step.clone(),
        harness: harness.clone(),
        isolation: &isolation,
        deadline: Duration::from_secs(arguments.deadline),
        results: &results,
        formats: &arguments.format,
        context: context(course),
        resume: arguments.resume,
        grader: grader(course, &harness).broken()?,
    };
    let cores = available_parallelism().map_or(1, usize::from);
    let jobs = arguments.jobs.unwrap_or(cores);
    if !arguments.json {
        let part = arguments.shard.map_or_else(String::new, |(index, count)| {
            format!(", part {} of {count} of {all}", index + 1)
        });
        let features = isolation.record().features.join(", ");
        say(&format!(
            "{}{part}, {jobs} at once, confined at {tier} ({features})",
            count(sources.len(), "submission", "submissions")
        ));
        for path in &aside {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            say(&paint(
                DIM,
                &format!("left aside, neither a folder nor an archive: {}", name.escape_debug()),
            ));
        }
    }
    let board = Board::new(sources.len());
    let graded = batch.grade(
        &sources,
        jobs,
        |source, text| board.working(&source.id, text),
        |number, graded| board.done(number, graded, arguments.json),
    );
    board.ticker.clear();
    let graded = graded.broken()?;
    let sheets: Vec<&Sheet> = graded.iter().map(|graded| &graded.sheet).collect();
    let ended = |kind| sheets.iter().filter(|sheet| sheet.outcome == kind).count();
    let summary = Summary {
        isolation: isolation.record(),
        submissions: sheets.len(),
        kept: graded.iter().filter(|graded| graded.kept).count(),
        graded: ended(ResultKind::Graded),
        build_failed: ended(ResultKind::BuildFailed),
        invalid: ended(ResultKind::InvalidSubmission),
        broken: ended(ResultKind::Broken),
        seconds: board.start.elapsed().as_secs_f64(),
        sheets: sheets.iter().map(|sheet| line(sheet)).collect(),
    };
    if arguments.json {
        say_json(&summary)?;
    } else {
        conclusion(&summary, arguments);
    }
    Ok(if summary.broken > 0 { ExitCode::Broken } else { ExitCode::Passed })
}

/// What the platforms' formats need and only the environment knows.
fn context(course: &Course) -> Context {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    Context {
        classroom50: Classroom50 {
            classroom: variable("CLASSROOM"),
            assignment: variable("ASSIGNMENT"),
            assignment_type: variable("ASSIGNMENT_TYPE"),
            owner: variable("OWNER"),
            submission: variable("SUBMISSION_TAG"),
            commit: variable("COMMIT_URL"),
            release: variable("RELEASE_URL"),
            review: variable("REVIEW_URL"),
            datetime: variable("SUBMITTED_AT"),
            graded_at: Utc::now().format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        },
        started_ms: Utc::now().timestamp_millis().unsigned_abs(),
        ..Context::of(course)
    }
}

fn line(sheet: &Sheet) -> Line<'_> {
    Line {
        id: &sheet.submission.id,
        outcome: sheet.outcome,
        points: sheet.counts().then_some(sheet.points),
        max_points: sheet.max_points,
        bonus: sheet.bonus,
    }
}

fn conclusion(summary: &Summary<'_>, arguments: &Grade) {
    let kept = match summary.kept {
        0 => String::new(),
        kept => format!(", {kept} of them kept from before"),
    };
    say(&format!(
        "\n{} in {:.0} s{kept}: graded {}, not compiled {}, no submission {}, broken {}",
        count(summary.submissions, "submission", "submissions"),
        summary.seconds,
        summary.graded,
        summary.build_failed,
        summary.invalid,
        summary.broken
    ));
    if summary.broken > 0 {
        say(&paint(
            OPEN,
            "broken is our fault or the machine's, and no mark: look at its message, then run it again with --resume",
        ));
    }
    say(&format!("next: cargo lab collect {}", arguments.out.display()));
}

/// What is shown while a batch is graded.
struct Board {
    ticker: Ticker,
    total: usize,
    start: Instant,
    working: Mutex<BTreeMap<String, String>>,
    finished: Mutex<(usize, usize)>,
}

impl Board {
    fn new(total: usize) -> Board {
        let (working, finished) = (Mutex::default(), Mutex::default());
        Board { ticker: Ticker::new(), total, start: Instant::now(), working, finished }
    }

    fn working(&self, id: &str, text: &str) {
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        working.insert(id.to_owned(), text.to_owned());
        self.show(&working);
    }

    fn done(&self, number: usize, graded: &Graded, quiet: bool) {
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        working.remove(&graded.sheet.submission.id);
        {
            let mut finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
            finished.0 = number;
            finished.1 += usize::from(!graded.kept);
        }
        self.ticker.clear();
        if !quiet && !graded.kept {
            say(&row(&graded.sheet));
        }
        self.show(&working);
    }

    fn show(&self, working: &BTreeMap<String, String>) {
        let (done, new) = *self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        // Sheets that were kept cost no time, and tell nothing of what is to come.
        let left = match new {
            0 => String::new(),
            new => {
                let each = self.start.elapsed().as_secs_f64() / new as f64;
                let seconds = each * (self.total - done) as f64;
                if seconds < 90.0 {
                    format!(", about {seconds:.0} s left")
                } else {
                    format!(", about {:.0} min left", seconds / 60.0)
                }
            }
        };
        let current =
            working.iter().next().map_or_else(String::new, |(id, text)| format!(" · {id}: {text}"));
        self.ticker.tell(&format!("{done}/{}{left}{current}", self.total));
    }
}

/// One submission as a line.
fn row(sheet: &Sheet) -> String {
    let id = &sheet.submission.id;
    let told = |sheet: &Sheet| -> String {
        let reason = sheet.message.clone().or_else(|| {
            sheet.labs.iter().find(|lab| lab.outcome != ResultKind::Graded)?.message.clone()
        });
        let reason = reason.unwrap_or_default();
        reason.lines().next().unwrap_or("").chars().take(100).flat_map(char::escape_debug).collect()
    };
    match sheet.outcome {
        ResultKind::Broken => format!("{id:<24} {}  {}", paint(OPEN, "broken"), told(sheet)),
        _ => {
            let labs: Vec<String> = sheet
                .labs
                .iter()
                .map(|lab| match lab.outcome {
                    ResultKind::BuildFailed => format!("{} does not compile", lab.lab),
                    ResultKind::InvalidSubmission => format!("{} not handed in", lab.lab),
                    _ => {
                        format!("{} {}/{}{}", lab.lab, lab.points, lab.max_points, bonus(lab.bonus))
                    }
                })
                .collect();
            let full = sheet.points == sheet.max_points;
            let points = format!("{:>3}/{}", sheet.points, sheet.max_points);
            let points = paint(if full { GOOD } else { BAD }, &points).to_string();
            format!("{id:<24} {points}  {}", paint(DIM, &labs.join(", ")))
        }
    }
}

fn bonus(points: u32) -> String {
    if points > 0 { format!("+{points}") } else { String::new() }
}
