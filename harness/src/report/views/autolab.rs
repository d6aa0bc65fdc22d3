//! What Autolab reads from standard output: any text, then one line for the page of feedback, then
//! one line of scores, which must be the last.

use std::collections::BTreeMap;

use serde::Serialize;

use super::cases::{self, Case};
use super::{Context, safe, text};
use crate::record::Status;
use crate::sheet::Sheet;

/// One problem a lab. Before it parses the last line, Autolab puts quotation marks around every
/// word that a colon follows; here the only words with a colon behind them have quotation marks
/// already, because an id of a lab holds no colon and a score is a number.
#[derive(Serialize)]
struct Scores<'a> {
    scores: BTreeMap<&'a str, u32>,
}

#[derive(Serialize)]
struct Feedback<'a> {
    #[serde(rename = "_presentation")]
    presentation: &'static str,
    stages: Vec<&'a str>,
    #[serde(flatten)]
    labs: BTreeMap<&'a str, BTreeMap<&'a str, Test>>,
}

#[derive(Serialize)]
struct Test {
    passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// The output, or none where the grader failed: without a line of scores, scores that are there stay.
pub(super) fn render(sheet: &Sheet, context: &Context) -> Option<String> {
    sheet.counts().then(|| safe::fitting(sheet, safe::LIMIT, |sheet| output(sheet, context)))
}

fn output(sheet: &Sheet, context: &Context) -> String {
    let mut feedback =
        Feedback { presentation: "semantic", stages: Vec::new(), labs: BTreeMap::new() };
    let cases = cases::cases(sheet);
    for case in &cases {
        if !feedback.stages.contains(&case.lab) {
            feedback.stages.push(case.lab);
        }
        feedback.labs.entry(case.lab).or_default().insert(case.id, test(case));
    }
    let points = |lab: &'_ crate::record::Record| lab.points + lab.bonus;
    let scores = sheet.labs.iter().map(|lab| (lab.lab.as_str(), points(lab))).collect();
    let (feedback, scores) = (super::compact(&feedback), super::compact(&Scores { scores }));
    format!("{}\n{feedback}\n{scores}\n", text::told(sheet, context))
}

fn test(case: &Case<'_>) -> Test {
    let passed = case.status == Status::Passed;
    Test { passed, hint: (!passed).then(|| safe::without_commands(&case.headline)) }
}
