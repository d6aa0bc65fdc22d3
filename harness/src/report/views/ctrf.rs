//! The Common Test Report Format, whose schema is `harness/schema/ctrf.schema.json`. Its objects are
//! closed; what it has no field for stands under `extra`.

use serde::Serialize;

use super::cases::{self, Case};
use super::{Context, safe};
use crate::record::{Isolation, ResultKind, Status};
use crate::sheet::Sheet;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    report_format: &'static str,
    spec_version: &'static str,
    generated_by: &'static str,
    results: Results<'a>,
}

#[derive(Serialize)]
struct Results<'a> {
    tool: Tool<'a>,
    summary: Summary,
    tests: Vec<Test>,
    extra: Extra<'a>,
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'static str,
    version: &'a str,
}

#[derive(Default, Serialize)]
struct Summary {
    tests: u32,
    passed: u32,
    failed: u32,
    pending: u32,
    skipped: u32,
    other: u32,
    start: u64,
    stop: u64,
}

#[derive(Serialize)]
struct Extra<'a> {
    submission: &'a str,
    sha256: &'a str,
    outcome: ResultKind,
    /// Not there where the grader failed: then there are no points, not even 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<u32>,
    max_points: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    bonus: Option<u32>,
    isolation: &'a Isolation,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Test {
    name: String,
    status: &'static str,
    duration: u64,
    suite: Vec<String>,
    raw_status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    /// Not there where the grader failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<Points>,
}

#[derive(Serialize)]
struct Points {
    points: u32,
    max_points: u32,
}

/// The report; there is one for every outcome.
pub(super) fn render(sheet: &Sheet, context: &Context) -> String {
    safe::fitting(sheet, safe::LIMIT, |sheet| report(sheet, context))
}

fn report(sheet: &Sheet, context: &Context) -> String {
    let tests: Vec<Test> = cases::cases(sheet).into_iter().map(test).collect();
    let mut summary = Summary {
        start: context.started_ms,
        stop: context.started_ms + sheet.duration_ms,
        ..Summary::default()
    };
    for test in &tests {
        summary.tests += 1;
        *match test.status {
            "passed" => &mut summary.passed,
            "failed" => &mut summary.failed,
            "pending" => &mut summary.pending,
            "skipped" => &mut summary.skipped,
            _ => &mut summary.other,
        } += 1;
    }
    super::pretty(&Report {
        report_format: "CTRF",
        // The version that the format's own implementation writes and accepts.
        spec_version: "0.0.0",
        generated_by: "cargo lab",
        results: Results {
            tool: Tool { name: "cargo lab", version: &sheet.version },
            summary,
            tests,
            extra: Extra {
                submission: &sheet.submission.id,
                sha256: &sheet.submission.sha256,
                outcome: sheet.outcome,
                points: sheet.counts().then_some(sheet.points),
                max_points: sheet.max_points,
                bonus: sheet.counts().then_some(sheet.bonus),
                isolation: &sheet.isolation,
            },
        },
    })
}

fn test(case: Case<'_>) -> Test {
    let status = match case.status {
        Status::Passed => "passed",
        Status::Failed => "failed",
        Status::NotStarted => "pending",
        Status::Skipped => "skipped",
        Status::NotChecked | Status::Broken => "other",
    };
    let (file_path, line) = case.place.unzip();
    Test {
        name: case.name,
        status,
        duration: case.duration_ms,
        suite: vec![case.lab.to_owned()],
        raw_status: case.status,
        message: (case.status != Status::Passed).then_some(case.story),
        trace: case.trace.map(str::to_owned),
        file_path,
        line,
        tags: case.code.map(str::to_owned).into_iter().collect(),
        extra: (case.status != Status::Broken)
            .then_some(Points { points: case.points, max_points: case.max_points }),
    }
}
