//! What there is to say of one step, in the order of the terminal's report: what is required, what
//! was expected and seen, where, the likely cause, what to do. The views differ only in how they set
//! it.

use std::fmt::Write;

use crate::record::{CheckRecord, DiagnosisRecord, Status, StepRecord};

/// What there is to say of a step.
pub(super) struct Story<'a> {
    /// What came of it, in one line.
    pub(super) headline: String,
    /// Labels and texts; a text may have several lines.
    pub(super) fields: Vec<(&'static str, String)>,
    /// The run in which it happened.
    pub(super) trace: Option<&'a str>,
}

impl Story<'_> {
    /// The story of a step whose texts are safe already.
    pub(super) fn of(step: &StepRecord) -> Story<'_> {
        let deciding = step.deciding();
        let diagnosis = deciding.and_then(|check| check.diagnosis.as_ref());
        let mut fields = Vec::new();
        match (deciding, diagnosis) {
            (Some(check), Some(diagnosis)) => cause(&mut fields, step, check, diagnosis),
            (Some(check), None) => {
                fields.push((word(step.status), check.why.clone().unwrap_or_default()));
                fields.push(("read", step.docs.clone()));
            }
            (None, _) => {}
        }
        if step.status == Status::Passed {
            for check in step.checks.iter().filter(|check| check.status == Status::NotChecked) {
                let why = check.why.as_deref().unwrap_or("");
                fields.push((word(Status::NotChecked), format!("{}: {why}", check.title)));
            }
        }
        for remark in step.checks.iter().flat_map(|check| &check.remarks) {
            fields.push(("note", remark.clone()));
        }
        let trace = diagnosis.and_then(|diagnosis| diagnosis.trace.as_deref());
        Story { headline: headline(step, deciding, diagnosis), fields, trace }
    }

    /// As plain text, each label on the left of its text.
    pub(super) fn plain(&self) -> String {
        let mut out = String::new();
        let widest = self.fields.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        for (label, text) in &self.fields {
            let mut label = *label;
            for line in text.lines() {
                let _ = writeln!(out, "{label:<widest$}  {line}");
                label = "";
            }
        }
        if let Some(trace) = self.trace {
            let _ = writeln!(out);
            for line in trace.trim_end().lines() {
                let _ = writeln!(out, "  {line}");
            }
        }
        out
    }
}

/// What came of a step, in words that blame nobody.
pub(super) fn word(status: Status) -> &'static str {
    match status {
        Status::Passed => "passed",
        Status::Failed => "failed",
        Status::NotStarted => "to do",
        Status::Skipped => "skipped",
        Status::NotChecked => "not checked here",
        Status::Broken => "the grader failed, not you",
    }
}

fn headline(
    step: &StepRecord,
    deciding: Option<&CheckRecord>,
    diagnosis: Option<&DiagnosisRecord>,
) -> String {
    let why = deciding.and_then(|check| check.why.as_deref());
    let text = match (diagnosis, why) {
        (Some(diagnosis), _) => format!("{}: {}", diagnosis.code, diagnosis.seen),
        (None, Some(why)) => format!("{}: {why}", word(step.status)),
        (None, None) => word(step.status).to_owned(),
    };
    super::safe::line(&text)
}

fn cause(
    fields: &mut Vec<(&'static str, String)>,
    step: &StepRecord,
    check: &CheckRecord,
    diagnosis: &DiagnosisRecord,
) {
    fields.push((word(step.status), format!("{} ({})", diagnosis.code, check.title)));
    fields.push(("required", diagnosis.required.clone()));
    fields.push(("expected", diagnosis.expected.clone()));
    fields.push(("seen", diagnosis.seen.clone()));
    fields.extend(diagnosis.place.clone().map(|place| ("where", place)));
    fields.push(("likely", diagnosis.likely.clone()));
    fields.push(("read", step.docs.clone()));
    fields.push(("more", format!("cargo lab explain {}", diagnosis.code)));
    fields
        .extend(diagnosis.replay.as_ref().map(|run| ("replay", format!("cargo lab replay {run}"))));
}
