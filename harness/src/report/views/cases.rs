//! A sheet as the list of tests that most platforms want: one a step, and one for a lab that got no
//! further than its build.

use super::safe;
use super::story::Story;
use crate::record::{Record, ResultKind, Status, StepRecord, Tier};
use crate::sheet::Sheet;

/// One test of a platform.
pub(super) struct Case<'a> {
    /// The lab's id.
    pub(super) lab: &'a str,
    /// The step's id, or what was tried before there were steps.
    pub(super) id: &'a str,
    /// The lab, the step and what it asks for; no two cases of a sheet have the same.
    pub(super) name: String,
    /// What came of it.
    pub(super) status: Status,
    /// Points earned.
    pub(super) points: u32,
    /// Points there are; none where they are a bonus, which only adds to what is earned.
    pub(super) max_points: u32,
    /// What came of it in one line.
    pub(super) headline: String,
    /// All there is to say, in plain text.
    pub(super) story: String,
    /// The stable code of the cause.
    pub(super) code: Option<&'a str>,
    /// The file and the line where it happened.
    pub(super) place: Option<(String, u32)>,
    /// The run in which it happened.
    pub(super) trace: Option<&'a str>,
    /// Wall time in milliseconds.
    pub(super) duration_ms: u64,
}

/// The tests of a sheet whose texts are safe already.
pub(super) fn cases(sheet: &Sheet) -> Vec<Case<'_>> {
    if sheet.labs.is_empty() {
        return vec![stopped(
            "submission",
            sheet.outcome,
            sheet.message.as_deref(),
            sheet.max_points,
        )];
    }
    let of_lab = |lab| -> Vec<Case<'_>> {
        let lab: &Record = lab;
        if lab.steps.is_empty() {
            vec![stopped(&lab.lab, lab.outcome, lab.message.as_deref(), lab.max_points)]
        } else {
            lab.steps.iter().map(|step| of_step(&lab.lab, step)).collect()
        }
    };
    sheet.labs.iter().flat_map(of_lab).collect()
}

/// What came of the whole, in one line.
pub(super) fn total(sheet: &Sheet) -> String {
    let mut text = match sheet.outcome {
        ResultKind::Broken => {
            return "the grader failed, not you: there are no points to tell".to_owned();
        }
        ResultKind::Graded => String::new(),
        other => format!("{}; ", outcome(other)),
    };
    text += &format!("points {}/{}", sheet.points, sheet.max_points);
    if sheet.bonus > 0 {
        text += &format!(" +{} bonus", sheet.bonus);
    }
    text
}

/// How far a grading got, in words.
pub(super) fn outcome(outcome: ResultKind) -> &'static str {
    match outcome {
        ResultKind::Graded => "graded",
        ResultKind::BuildFailed => "the program does not compile",
        ResultKind::InvalidSubmission => "not a submission of this lab",
        ResultKind::Broken => "the grader failed, not you",
    }
}

/// How much confinement there was, as the record writes it.
pub(super) fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::T0 => "T0",
        Tier::T1 => "T1",
        Tier::T2 => "T2",
    }
}

fn stopped<'a>(
    lab: &'a str,
    kind: ResultKind,
    message: Option<&'a str>,
    max_points: u32,
) -> Case<'a> {
    // Only `broken` may not count against the student; a lab without steps that is called graded
    // is not one of ours, and nothing has been seen to hold.
    let (status, id) = match kind {
        ResultKind::Broken => (Status::Broken, "grader"),
        ResultKind::BuildFailed => (Status::Failed, "build"),
        ResultKind::InvalidSubmission | ResultKind::Graded => (Status::Failed, "submission"),
    };
    let message = message.unwrap_or("");
    let first = safe::line(message.lines().next().unwrap_or(""));
    Case {
        lab,
        id,
        name: format!("{lab}: {}", outcome(kind)),
        status,
        points: 0,
        max_points,
        headline: format!("{}: {first}", outcome(kind)),
        story: format!("{}\n\n{message}\n", outcome(kind)),
        code: None,
        place: None,
        trace: None,
        duration_ms: 0,
    }
}

fn of_step<'a>(lab: &'a str, step: &'a StepRecord) -> Case<'a> {
    let diagnosis = step.deciding().and_then(|check| check.diagnosis.as_ref());
    let story = Story::of(step);
    let bonus = if step.bonus { " (bonus)" } else { "" };
    Case {
        lab,
        id: &step.id,
        name: format!("{lab} {}: {}{bonus}", step.id, step.title),
        status: step.status,
        points: step.points,
        max_points: if step.bonus { 0 } else { step.max_points },
        story: story.plain(),
        code: diagnosis.map(|diagnosis| diagnosis.code.as_str()),
        place: diagnosis.and_then(|d| safe::place(lab, d.place.as_deref()?)),
        trace: story.trace,
        headline: story.headline,
        duration_ms: step.checks.iter().map(|check| check.duration_ms).sum(),
    }
}
