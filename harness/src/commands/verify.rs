//! `cargo lab verify`: what an instructor runs after touching a lab.

use std::hint::spin_loop;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{available_parallelism, spawn};
use std::time::Instant;

use serde::Serialize;

use super::{Done, Ticker, harness, say, say_json};
use crate::checks;
use crate::cli::Verify;
use crate::compile::Workshop;
use crate::course::{Course, Lab};
use crate::exit_code::{Blame, ExitCode};
use crate::exploration;
use crate::facts;
use crate::machine;
use crate::report::style::{BAD, DIM, GOOD, OPEN, paint};
use crate::scene::count;
use crate::submission::Origin;
use crate::verify::{Case, Finding, Kind, Plan, Weakened, cases, idle_checks, judge, weaken};

#[derive(Serialize)]
struct Verified {
    findings: Vec<Finding>,
    /// What does not hold of the labs as they lie on disk.
    broken_facts: Vec<String>,
    /// Wrong submissions that only a schedule shows, on a machine where none can be controlled.
    not_judged: Vec<String>,
    /// Checks that no wrong submission shows to be able to fail.
    idle_checks: Vec<String>,
    gradings: u32,
    unexpected: usize,
}

pub(super) fn verify(course: &Course, arguments: &Verify) -> Done {
    let labs = course.chosen(&arguments.only).usage()?;
    if let Some(check) = &arguments.blunt {
        known_check(&labs, check).usage()?;
    }
    let harness = harness()?;
    machine::can_share_memory().broken()?;
    machine::can_watch_processes(&harness).broken()?;
    let mut cases = cases(course, &labs).usage()?;
    let idle_checks = idle_checks(&labs, &cases);
    let broken_facts = labs.iter().flat_map(|lab| facts::broken(course, lab)).collect::<Vec<_>>();
    let text = arguments.matching.as_deref().unwrap_or("");
    cases.retain(|case| case.name.contains(text));
    if cases.is_empty() {
        let told = format!(
            "no submission matches `{}`\n  what to do: `cargo lab verify` judges all",
            text.escape_debug()
        );
        return Err(anyhow::anyhow!(told)).usage();
    }
    if let Some((index, count)) = arguments.shard {
        let corpus = |case: &Case<'_>| matches!(case.kind, Kind::Wrong(_) | Kind::Right);
        let mut turn = (0..count).cycle();
        cases.retain(|case| !corpus(case) || turn.next() == Some(index));
    }
    let not_judged = not_judged(&harness, &mut cases);
    let ticker = Ticker::new();
    // The seed is built once, before many need it at the same time.
    drop(Workshop::open(course, &Origin::Solution, |text| ticker.announce(text)).broken()?);
    let cores = available_parallelism().map_or(1, usize::from);
    let plan = Plan {
        course,
        harness,
        repeat: arguments.repeat,
        jobs: arguments.jobs.unwrap_or(cores),
        blunt: arguments.blunt.clone(),
        update: arguments.update,
    };
    let load = if arguments.load { Load::start(cores) } else { Load::default() };
    let start = Instant::now();
    if arguments.blunt_each {
        let weakened =
            weaken(&plan, &cases, |done, check| ticker.tell(&format!("{done}: {check}")));
        ticker.clear();
        return blunt_each(&weakened.broken()?, arguments.json);
    }
    let total = cases.len();
    let findings = judge(&plan, &cases, |done, finding| {
        let rest = start.elapsed().as_secs() * total.saturating_sub(done) as u64 / done as u64;
        let told = format!("{done}/{total}, about {rest} s to go; last: {}", finding.case);
        // The whole takes long, and who waits for it wants to hear of the first fault at once.
        if let Some(first) = finding.unexpected.first() {
            ticker.announce(&format!("{}: {first}", finding.case));
        }
        // A log wants to hear of it now and then.
        if done.is_multiple_of(50) { ticker.announce(&told) } else { ticker.tell(&told) }
    });
    drop(load);
    ticker.clear();
    let unexpected = findings.iter().filter(|finding| !finding.unexpected.is_empty()).count();
    let verified = Verified {
        gradings: arguments.repeat * total as u32,
        findings,
        broken_facts,
        not_judged,
        idle_checks,
        unexpected,
    };
    if arguments.json {
        say_json(&verified)?;
    } else {
        tell(&verified);
        for lab in &labs {
            let kinds = || cases.iter().filter(|case| case.lab.id == lab.id).map(|case| &case.kind);
            if kinds().next().is_none() {
                continue;
            }
            let wrong = kinds().filter(|kind| matches!(kind, Kind::Wrong(_))).count();
            let right = kinds().filter(|kind| matches!(kind, Kind::Right)).count();
            let starter =
                if kinds().any(|kind| *kind == Kind::Starter) { ", a starter" } else { "" };
            let solution =
                if kinds().any(|kind| *kind == Kind::Solution) { ", a solution" } else { "" };
            say(&format!("{:<17} {wrong:>3} wrong, {right:>2} right{starter}{solution}", lab.id));
        }
        let style = if unexpected == 0 { GOOD } else { BAD };
        let seconds = start.elapsed().as_secs();
        say(&paint(
            style,
            &format!(
                "{} in {seconds} s, {unexpected} unexpected",
                count(verified.gradings as usize, "grading", "gradings")
            ),
        ));
    }
    let whole =
        unexpected == 0 && verified.idle_checks.is_empty() && verified.broken_facts.is_empty();
    Ok(if whole { ExitCode::Passed } else { ExitCode::Failed })
}

/// A check that is not there cannot be made blunt, and nobody would notice.
fn known_check(labs: &[&Lab], words: &str) -> anyhow::Result<()> {
    let known = |(lab, check): (&str, &str)| {
        labs.iter().any(|one| one.id == lab) && checks::table(lab).iter().any(|one| one.id == check)
    };
    if words.split_once('/').is_some_and(known) {
        return Ok(());
    }
    Err(anyhow::anyhow!(
        "no check is called `{}`\n  what to do: name lab and check, as in `raw-segment/exact-length`",
        words.escape_debug()
    ))
}

/// Takes out what cannot be judged on this machine, and returns its names.
fn not_judged(harness: &Path, cases: &mut Vec<Case<'_>>) -> Vec<String> {
    if exploration::can_explore(harness).is_ok() {
        return Vec::new();
    }
    let mut names = Vec::new();
    cases.retain(|case| {
        let only_a_schedule = matches!(&case.kind, Kind::Wrong(expect) if expect.exploration);
        if only_a_schedule {
            names.push(case.name.clone());
        }
        !only_a_schedule
    });
    names
}

/// Tells for each check which wrong submission notices that it has gone blunt.
fn blunt_each(weakened: &[Weakened], json: bool) -> Done {
    let unnoticed = weakened.iter().filter(|one| one.noticed.is_none()).count();
    if json {
        say_json(&weakened)?;
    } else {
        let widest = weakened.iter().map(|one| one.check.len()).max().unwrap_or(0);
        for one in weakened {
            let mark = if one.noticed.is_some() { paint(GOOD, "✔") } else { paint(BAD, "✘") };
            let (_, name) = one.case.split_once(' ').unwrap_or(("", &one.case));
            say(&format!("{mark} {:widest$}  {name}", one.check));
        }
        say(&format!("{} checks made blunt, {unnoticed} unnoticed", weakened.len()));
    }
    Ok(if unnoticed == 0 { ExitCode::Passed } else { ExitCode::Failed })
}

fn tell(verified: &Verified) {
    for finding in &verified.findings {
        if let Some(first) = finding.unexpected.first() {
            let times = format!("{} of {}", finding.unexpected.len(), finding.times);
            say(&format!("{} {}  {}  {first}", paint(BAD, "✘"), finding.case, paint(DIM, &times)));
        }
    }
    for case in &verified.not_judged {
        let why = "not judged: schedules cannot be controlled here";
        say(&format!("{} {case}  {}", paint(OPEN, "-"), paint(DIM, why)));
    }
    for fact in &verified.broken_facts {
        say(&format!("{} {fact}", paint(BAD, "✘")));
    }
    for check in &verified.idle_checks {
        say(&format!(
            "{} {check}  {}",
            paint(OPEN, "-"),
            paint(DIM, "no wrong submission shows that it can fail")
        ));
    }
}

/// Busy loops on all processors, while it lives. They are threads, and so end with this process
/// however it ends.
#[derive(Default)]
struct Load {
    over: Arc<AtomicBool>,
}

impl Load {
    fn start(cores: usize) -> Load {
        let load = Load::default();
        for _ in 0..cores {
            let over = Arc::clone(&load.over);
            spawn(move || {
                while !over.load(Relaxed) {
                    spin_loop();
                }
            });
        }
        load
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
    }
}
