//! `results.json` of PrairieLearn's external graders. The score is a fraction from 0 to 1 and always
//! a number. What could not be graded is not gradable, which costs the student no attempt.

use serde::Serialize;

use super::cases::{self, Case};
use super::safe;
use super::story::Story;
use crate::record::{ResultKind, Status};
use crate::sheet::Sheet;

#[derive(Serialize)]
struct Results {
    gradable: bool,
    score: f64,
    message: String,
    output: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    format_errors: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tests: Vec<Test>,
}

#[derive(Serialize)]
struct Test {
    name: String,
    description: String,
    points: u32,
    max_points: u32,
    message: String,
    output: String,
}

/// The result; there is one for every outcome.
pub(super) fn render(sheet: &Sheet) -> String {
    safe::fitting(sheet, safe::LIMIT, results)
}

fn results(sheet: &Sheet) -> String {
    let gradable = sheet.outcome == ResultKind::Graded;
    let cases = cases::cases(sheet).into_iter();
    super::pretty(&Results {
        gradable,
        score: if gradable { share(sheet) } else { 0.0 },
        message: cases::total(sheet),
        output: format!("confinement: {}\n", cases::tier(sheet.isolation.tier)),
        format_errors: if gradable { Vec::new() } else { reasons(sheet) },
        tests: if gradable { cases.map(test).collect() } else { Vec::new() },
    })
}

/// Why it is not gradable: the words of the whole, of each lab that stopped before its steps, and of
/// each step in which the grader failed.
fn reasons(sheet: &Sheet) -> Vec<String> {
    let reason = |what: &str, outcome, message: &str| {
        format!("{what}: {}\n{message}", cases::outcome(outcome))
    };
    let whole = sheet.message.iter().map(|words| reason("submission", sheet.outcome, words));
    let mut told: Vec<String> = whole.collect();
    for lab in sheet.labs.iter().filter(|lab| lab.outcome != ResultKind::Graded) {
        if lab.steps.is_empty() {
            told.push(reason(&lab.lab, lab.outcome, lab.message.as_deref().unwrap_or("")));
        }
        for step in lab.steps.iter().filter(|step| step.status == Status::Broken) {
            told.push(format!("{} {}: {}", lab.lab, step.id, Story::of(step).headline));
        }
    }
    told
}

/// Points earned of those there are. A bonus makes up for what is missing and no more, because more
/// than 1 is no score.
fn share(sheet: &Sheet) -> f64 {
    let earned = (sheet.points + sheet.bonus).min(sheet.max_points);
    if sheet.max_points == 0 { 0.0 } else { f64::from(earned) / f64::from(sheet.max_points) }
}

fn test(case: Case<'_>) -> Test {
    Test {
        name: case.name,
        description: case.lab.to_owned(),
        points: case.points,
        max_points: case.max_points,
        message: case.headline,
        output: case.story,
    }
}
