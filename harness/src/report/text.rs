//! The report for a person at a terminal: one line a step, and the first failure told in full.

use std::fmt::Write;

use anstyle::Style;

use crate::record::{CheckRecord, DiagnosisRecord, Record, ResultKind, Status, StepRecord};
use crate::report::style::{BAD, COMMAND, DIM, GOOD, OPEN, STRONG, paint};

/// Where a wrapped line ends, in characters.
const WIDTH: usize = 96;

/// How much to tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Detail {
    /// Every failure in full, and every check with its time.
    pub verbose: bool,
}

/// The report of one record. `again` is the command that made it.
pub fn report(record: &Record, title: &str, again: &str, detail: Detail) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}  {}", paint(STRONG, &record.lab), paint(DIM, title));
    match record.outcome {
        ResultKind::BuildFailed => {
            let _ = writeln!(
                out,
                "  {} the program does not compile; the compiler says:\n",
                paint(BAD, "✘")
            );
            let words = record.message.as_deref().unwrap_or("");
            for line in words.lines() {
                let _ = writeln!(out, "    {line}");
            }
            let _ = writeln!(out, "\n  {} 0/{}", paint(BAD, "points"), record.max_points);
            return out;
        }
        ResultKind::InvalidSubmission => {
            let words = record.message.as_deref().unwrap_or("");
            let _ = writeln!(out, "  {} not a submission of this lab: {words}", paint(BAD, "✘"));
            let _ = writeln!(out, "\n  {} 0/{}", paint(BAD, "points"), record.max_points);
            return out;
        }
        ResultKind::Broken if record.steps.is_empty() => {
            let words = record.message.as_deref().unwrap_or("");
            let _ = writeln!(out, "  {} the grader failed, not you: {words}", paint(OPEN, "!"));
            return out;
        }
        _ => {}
    }
    let widest = record.steps.iter().map(|step| step.id.len()).max().unwrap_or(0);
    let mut told = false;
    for step in &record.steps {
        step_line(&mut out, step, widest);
        if detail.verbose {
            for check in &step.checks {
                let mark = paint(colour(check.status), mark(check.status));
                let time = paint(DIM, &format!("{} ms", check.duration_ms));
                let _ = writeln!(out, "      {mark} {} {time}", check.title);
            }
        }
        for remark in step.checks.iter().flat_map(|check| &check.remarks) {
            let _ = writeln!(out, "      {}", paint(DIM, remark));
        }
        if step.status == Status::Passed {
            for check in step.checks.iter().filter(|check| check.status == Status::NotChecked) {
                let why = check.why.as_deref().unwrap_or("");
                line(&mut out, "not checked here", &format!("{}: {why}", check.title));
            }
        }
        if let Some(check) = step.deciding() {
            let full = detail.verbose || !told;
            told |= step.status != Status::Skipped;
            deciding(&mut out, step, check, full, again);
        }
    }
    summary(&mut out, record);
    out
}

fn step_line(out: &mut String, step: &StepRecord, widest: usize) {
    let mark = paint(colour(step.status), mark(step.status));
    let points = format!("{:>2}/{:<2}", step.points, step.max_points);
    let points = if step.bonus { format!("{points} bonus") } else { points };
    let _ = writeln!(out, "  {mark} {:widest$}  {points}  {}", step.id, step.title);
}

fn deciding(out: &mut String, step: &StepRecord, check: &CheckRecord, full: bool, again: &str) {
    let why = check.why.as_deref().unwrap_or("");
    match (check.status, &check.diagnosis) {
        (Status::Failed, Some(diagnosis)) if full => failure(out, step, check, diagnosis, again),
        (Status::Failed, Some(diagnosis)) => {
            let _ = writeln!(out, "      {}: {}", paint(BAD, &diagnosis.code), diagnosis.seen);
        }
        (Status::NotStarted, _) => line(out, "to do", why),
        (Status::Skipped, _) => line(out, "skipped", why),
        (Status::NotChecked, _) => line(out, "not checked here", why),
        (Status::Broken, _) => line(out, "the grader failed, not you", why),
        _ => {}
    }
}

/// What an author reads of the first failure, without the run that showed it: the same on every
/// machine and with every compiler.
pub fn first_failure(record: &Record) -> String {
    let mut out = String::new();
    let failed = record.steps.iter().find(|step| step.status == Status::Failed);
    if let Some((step, check)) = failed.and_then(|step| Some((step, step.deciding()?)))
        && let Some(diagnosis) = &check.diagnosis
    {
        step_line(&mut out, step, step.id.len());
        cause(&mut out, step, check, diagnosis);
    }
    anstream::adapter::strip_str(&out).to_string()
}

fn failure(
    out: &mut String,
    step: &StepRecord,
    check: &CheckRecord,
    diagnosis: &DiagnosisRecord,
    again: &str,
) {
    cause(out, step, check, diagnosis);
    field(out, "more", &paint(COMMAND, &format!("cargo lab explain {}", diagnosis.code)));
    field(out, "again", &paint(COMMAND, &format!("{again} --step {}", step.id)));
    let Some(trace) = &diagnosis.trace else { return };
    let _ = writeln!(out);
    for line in trace.trim_end().lines() {
        let _ = writeln!(out, "        {line}");
    }
    let _ = writeln!(out);
    if let Some(run) = &diagnosis.replay {
        // The options that name the same program stand behind the lab's name.
        let whose = again.split_once(" check ").and_then(|(_, rest)| rest.split_once(" --"));
        let whose = whose.map_or(String::new(), |(_, options)| format!(" --{options}"));
        field(out, "replay", &paint(COMMAND, &format!("cargo lab replay {run}{whose}")));
    }
}

fn cause(out: &mut String, step: &StepRecord, check: &CheckRecord, diagnosis: &DiagnosisRecord) {
    let _ = writeln!(
        out,
        "      {} {}",
        paint(BAD, &diagnosis.code),
        paint(DIM, &format!("({})", check.title))
    );
    field(out, "required", &diagnosis.required);
    field(out, "expected", &diagnosis.expected);
    field(out, "seen", &diagnosis.seen);
    if let Some(place) = &diagnosis.place {
        field(out, "where", place);
    }
    field(out, "likely", &diagnosis.likely);
    field(out, "read", &step.docs);
}

fn line(out: &mut String, label: &str, text: &str) {
    let _ = writeln!(out, "      {}: {text}", paint(OPEN, label));
}

fn field(out: &mut String, label: &str, text: &str) {
    let mut first = true;
    for part in wrap(text, WIDTH - 17) {
        let label = if first { label } else { "" };
        let _ = writeln!(out, "        {} {part}", paint(DIM, &format!("{label:<8}")));
        first = false;
    }
}

fn summary(out: &mut String, record: &Record) {
    let style = if record.passed() { GOOD } else { STRONG };
    let of_steps: u32 = record.steps.iter().filter(|s| !s.bonus).map(|s| s.max_points).sum();
    let bonus = if record.bonus > 0 { format!(" +{} bonus", record.bonus) } else { String::new() };
    let points = format!("{}/{}{bonus}", record.points, record.max_points);
    let partly =
        if of_steps < record.max_points { " (only the steps that were asked for)" } else { "" };
    let broken = record.outcome == ResultKind::Broken;
    let note = if broken { "  the grader failed: these points mean nothing" } else { partly };
    let _ = writeln!(out, "  {} {points}{note}", paint(style, "points"));
}

/// The sign of a status, for those who see no colours.
pub(crate) fn mark(status: Status) -> &'static str {
    match status {
        Status::Passed => "✔",
        Status::Failed => "✘",
        Status::NotStarted => "○",
        Status::Skipped => "·",
        Status::NotChecked => "-",
        Status::Broken => "!",
    }
}

fn colour(status: Status) -> Style {
    match status {
        Status::Passed => GOOD,
        Status::Failed => BAD,
        Status::NotStarted | Status::Broken => OPEN,
        Status::Skipped | Status::NotChecked => DIM,
    }
}

/// Breaks a text at spaces into lines of at most `width` characters; a longer word stays whole.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].chars().count() + 1 + word.chars().count() > width
        {
            lines.push(word.to_owned());
        } else {
            let line = &mut lines[last];
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
