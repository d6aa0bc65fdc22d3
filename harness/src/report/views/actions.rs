//! What a step of GitHub Actions tells: its outcome for the reporter of `classroom-resources`, the
//! annotations of the log, and the summary of the run. A log obeys commands in it, and the reporter
//! prints our messages into one, so that no text of ours may look like a command.

use std::fmt::Write;

use serde::Serialize;

use super::cases::{self, Case};
use super::story::Story;
use super::{Context, safe};
use crate::record::{Record, ResultKind, Status};
use crate::report::text::mark;
use crate::sheet::Sheet;

/// The outcome travels as one environment variable, which Linux limits to 128 KiB; base64 makes four
/// bytes of three.
const OUTCOME: usize = 90_000;

/// GitHub shows ten errors a step and drops the rest.
const ANNOTATIONS: usize = 10;

#[derive(Serialize)]
struct Outcome {
    version: u32,
    status: &'static str,
    max_score: u32,
    tests: Vec<Test>,
}

#[derive(Serialize)]
struct Test {
    name: String,
    status: &'static str,
    score: u32,
    message: String,
    test_code: String,
    filename: String,
    line_no: u32,
    duration: u64,
}

/// The line for the file that `GITHUB_OUTPUT` names: `result=` and the outcome in base64.
pub fn outcome(sheet: &Sheet) -> String {
    let json = safe::fitting(sheet, OUTCOME, |sheet| {
        let tests = cases::cases(sheet).into_iter().map(test).collect();
        let status = match sheet.outcome {
            ResultKind::Broken => "error",
            // A bonus that nobody went for makes no step red.
            ResultKind::Graded if sheet.points == sheet.max_points => "pass",
            _ => "fail",
        };
        // The reporter leaves out of its totals what has no points to earn, which is how an error
        // of ours is not a zero.
        let max_score = if sheet.counts() { sheet.max_points } else { 0 };
        super::compact(&Outcome { version: 1, status, max_score, tests })
    });
    format!("result={}\n", base64(json.as_bytes()))
}

fn test(case: Case<'_>) -> Test {
    let (filename, line_no) = case.place.unwrap_or_default();
    Test {
        name: safe::without_commands(&case.name),
        status: match case.status {
            Status::Passed => "pass",
            Status::Broken => "error",
            Status::Failed | Status::NotStarted | Status::Skipped | Status::NotChecked => "fail",
        },
        score: case.points,
        message: safe::without_commands(&case.story),
        test_code: format!("cargo lab check {}", case.lab),
        filename,
        line_no,
        duration: case.duration_ms,
    }
}

/// The lines for standard output: an error for each step that failed, at its place in the code.
pub(super) fn annotations(sheet: &Sheet) -> String {
    safe::fitting(sheet, safe::LIMIT, |sheet| {
        let told = |case: &Case<'_>| matches!(case.status, Status::Failed | Status::Broken);
        let cases = cases::cases(sheet).into_iter().filter(told);
        cases.take(ANNOTATIONS).map(annotation).collect()
    })
}

fn annotation(case: Case<'_>) -> String {
    let mut line = "::error ".to_owned();
    if let Some((path, number)) = &case.place {
        let _ = write!(line, "file={},line={number},", property(path));
    }
    let _ = writeln!(line, "title={}::{}", property(&case.name), data(case.story.trim_end()));
    line
}

/// The message of a command.
fn data(text: &str) -> String {
    let text = safe::without_commands(text);
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a command's property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// The Markdown for the file that `GITHUB_STEP_SUMMARY` names.
pub fn summary(sheet: &Sheet, context: &Context) -> String {
    safe::fitting(sheet, safe::LIMIT, |sheet| {
        let mut out = format!("## {}\n\n", safe::markdown(&sheet.submission.id));
        let _ = writeln!(out, "**{}**", safe::markdown(&cases::total(sheet)));
        if let Some(message) = &sheet.message {
            block(&mut out, message);
        }
        for lab in &sheet.labs {
            of_lab(&mut out, lab, context.title(&lab.lab));
        }
        let tier = cases::tier(sheet.isolation.tier);
        let _ = writeln!(out, "\nConfinement: {tier}");
        out
    })
}

fn of_lab(out: &mut String, lab: &Record, title: &str) {
    let _ = writeln!(out, "\n### {} {}\n", safe::markdown(&lab.lab), safe::markdown(title));
    if lab.steps.is_empty() {
        let _ = writeln!(out, "{}", safe::markdown(cases::outcome(lab.outcome)));
        block(out, lab.message.as_deref().unwrap_or(""));
        return;
    }
    out.push_str("| | step | points | |\n|---|---|---:|---|\n");
    for step in &lab.steps {
        let (id, title) = (safe::markdown(&step.id), safe::markdown(&step.title));
        let bonus = if step.bonus { " bonus" } else { "" };
        let points = format!("{}/{}{bonus}", step.points, step.max_points);
        let _ = writeln!(out, "| {} | {id} | {points} | {title} |", mark(step.status));
    }
    for step in lab.steps.iter().filter(|step| step.status != Status::Passed) {
        let story = Story::of(step);
        let (id, headline) = (safe::html(&step.id), safe::html(&story.headline));
        let _ = write!(out, "\n<details><summary>{id}: {headline}</summary>\n");
        block(out, &story.plain());
        out.push_str("\n</details>\n");
    }
}

/// Lines as they are. In Markdown a block of `<pre>` goes on until `</pre>`, blank lines included, and
/// an escaped text has none.
fn block(out: &mut String, text: &str) {
    let _ = write!(out, "\n<pre>{}</pre>\n", safe::html(text.trim_end()));
}

/// Bytes in base64 with padding, RFC 4648.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let bits = group >> (18 - 6 * digit) & 63;
            let padding = digit > chunk.len();
            out.push(if padding { '=' } else { char::from(DIGITS[bits as usize]) });
        }
    }
    out
}
