//! JUnit's XML. A failure is the student's, an error is ours. There is no field for points, so they
//! are properties. XML has no way to write control characters; safe texts hold none.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::cases::{self, Case};
use super::safe;
use crate::record::{ResultKind, Status};
use crate::sheet::Sheet;

/// The document; there is one for every outcome.
pub(super) fn render(sheet: &Sheet) -> String {
    safe::fitting(sheet, safe::LIMIT, document)
}

fn document(sheet: &Sheet) -> String {
    let mut report = Report::new(sheet.submission.id.as_str());
    report.set_time(Duration::from_millis(sheet.duration_ms));
    let mut suites: Vec<TestSuite> = Vec::new();
    for case in cases::cases(sheet) {
        if suites.last().is_none_or(|suite| suite.name.as_str() != case.lab) {
            suites.push(suite(sheet, case.lab));
        }
        if let Some(suite) = suites.last_mut() {
            suite.add_test_case(test(&case));
        }
    }
    report.add_test_suites(suites);
    report.to_string().expect("a report is written to memory, which does not fail")
}

fn suite(sheet: &Sheet, lab: &str) -> TestSuite {
    let mut suite = TestSuite::new(lab);
    suite.add_property(("confinement", cases::tier(sheet.isolation.tier)));
    if let Some(lab) = sheet.labs.iter().find(|record| record.lab == lab) {
        suite.set_time(Duration::from_millis(lab.duration_ms));
        // What the grader failed at has no points, not even 0.
        if lab.outcome != ResultKind::Broken {
            let points = [
                ("points", lab.points),
                ("max_points", lab.max_points),
                ("bonus", lab.bonus),
                ("max_bonus", lab.max_bonus),
            ];
            suite.add_properties(points.map(|(name, n)| Property::new(name, n.to_string())));
        }
    }
    suite
}

fn test(case: &Case<'_>) -> TestCase {
    let mut status = match case.status {
        Status::Passed => TestCaseStatus::success(),
        Status::Failed | Status::NotStarted => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Status::Skipped | Status::NotChecked => TestCaseStatus::skipped(),
        Status::Broken => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    if case.status != Status::Passed {
        status.set_message(case.headline.as_str());
        status.set_type(case.code.unwrap_or(super::story::word(case.status)));
        status.set_description(case.story.as_str());
    }
    let mut test = TestCase::new(case.name.as_str(), status);
    test.set_classname(case.lab);
    test.set_time(Duration::from_millis(case.duration_ms));
    if case.status != Status::Broken {
        test.add_property(("points", case.points.to_string().as_str()));
        test.add_property(("max_points", case.max_points.to_string().as_str()));
    }
    if let Some((path, line)) = &case.place {
        test.extra.insert("file".into(), path.as_str().into());
        test.extra.insert("line".into(), line.to_string().into());
    }
    test
}
