//! `result.json` of Classroom 50, `classroom50/result/v1`: whole numbers, hyphens in the keys, and
//! totals that are the sums of the tests. Whose result it is comes from the environment, and is
//! checked against the repository when scores are collected.

use serde::Serialize;

use super::cases::{self, Case};
use super::{Context, safe};
use crate::record::Status;
use crate::sheet::Sheet;

/// Whose result it is: the variables that Classroom 50's runner sets, and two times.
#[derive(Clone, Debug, Default)]
pub struct Classroom50 {
    /// `CLASSROOM`: the classroom's short name.
    pub classroom: String,
    /// `ASSIGNMENT`: the assignment's short name.
    pub assignment: String,
    /// `ASSIGNMENT_TYPE`: `individual` or `group`.
    pub assignment_type: String,
    /// `OWNER`: who the repository belongs to.
    pub owner: String,
    /// `SUBMISSION_TAG`: the tag that was graded.
    pub submission: String,
    /// `COMMIT_URL`.
    pub commit: String,
    /// `RELEASE_URL`.
    pub release: String,
    /// `REVIEW_URL`: the changes since the starter.
    pub review: String,
    /// When it was handed in, in UTC: `2026-06-01T14:32:01Z`.
    pub datetime: String,
    /// When it was graded, likewise.
    pub graded_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Results<'a> {
    schema: &'static str,
    classroom: &'a str,
    assignment: &'a str,
    #[serde(rename = "assignment_type")]
    assignment_type: &'a str,
    owner: &'a str,
    submission: &'a str,
    commit: &'a str,
    release: &'a str,
    review: &'a str,
    datetime: &'a str,
    #[serde(rename = "graded_at")]
    graded_at: &'a str,
    score: u32,
    max_score: u32,
    tests: Vec<Test>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Test {
    test_name: String,
    passed: bool,
    score: u32,
    max_score: u32,
    status: Status,
    message: String,
}

/// The result, or none where the grader failed: the caller then ends with an error, and Classroom 50
/// records one of its own.
pub(super) fn render(sheet: &Sheet, context: &Context) -> Option<String> {
    sheet.counts().then(|| safe::fitting(sheet, safe::LIMIT, |sheet| results(sheet, context)))
}

fn results(sheet: &Sheet, context: &Context) -> String {
    let whose = &context.classroom50;
    let tests: Vec<Test> = cases::cases(sheet).into_iter().map(test).collect();
    super::pretty(&Results {
        schema: "classroom50/result/v1",
        classroom: &whose.classroom,
        assignment: &whose.assignment,
        assignment_type: &whose.assignment_type,
        owner: &whose.owner,
        submission: &whose.submission,
        commit: &whose.commit,
        release: &whose.release,
        review: &whose.review,
        datetime: &whose.datetime,
        graded_at: &whose.graded_at,
        score: tests.iter().map(|test| test.score).sum(),
        max_score: tests.iter().map(|test| test.max_score).sum(),
        tests,
    })
}

fn test(case: Case<'_>) -> Test {
    Test {
        test_name: case.name,
        passed: case.status == Status::Passed,
        score: case.points,
        max_score: case.max_points,
        status: case.status,
        message: case.story,
    }
}
