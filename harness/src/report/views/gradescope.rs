//! `results.json` of Gradescope. Every text says that it is plain text, because the default at the
//! top is markup. The score at the top overrides the sum of the tests, so it is always written.

use clap::ValueEnum;
use serde::Serialize;

use super::cases::{self, Case};
use super::{Context, safe};
use crate::record::{Isolation, Status};
use crate::sheet::Sheet;

/// When a student may see something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Visibility {
    /// At once.
    #[default]
    Visible,
    /// Never. One hidden test hides the total too.
    Hidden,
    /// When nothing can be handed in any more.
    AfterDueDate,
    /// When the grades are published.
    AfterPublished,
}

#[derive(Serialize)]
struct Results {
    score: u32,
    execution_time: u64,
    output: String,
    output_format: &'static str,
    test_output_format: &'static str,
    test_name_format: &'static str,
    visibility: Visibility,
    stdout_visibility: Visibility,
    tests: Vec<Test>,
    extra_data: Extra,
}

#[derive(Serialize)]
struct Test {
    score: u32,
    max_score: u32,
    status: &'static str,
    name: String,
    name_format: &'static str,
    number: String,
    output: String,
    output_format: &'static str,
    tags: Vec<String>,
}

#[derive(Serialize)]
struct Extra {
    version: String,
    sha256: String,
    isolation: Isolation,
}

/// The result, or none where the grader failed: Gradescope then tells the instructor, and records no
/// zero.
pub(super) fn render(sheet: &Sheet, context: &Context) -> Option<String> {
    sheet.counts().then(|| safe::fitting(sheet, safe::LIMIT, |sheet| results(sheet, context)))
}

fn results(sheet: &Sheet, context: &Context) -> String {
    let mut numbers = Numbers::default();
    let results = Results {
        score: sheet.points + sheet.bonus,
        execution_time: sheet.duration_ms / 1000,
        output: output(sheet),
        output_format: "text",
        test_output_format: "text",
        test_name_format: "text",
        visibility: context.gradescope.visibility,
        stdout_visibility: context.gradescope.stdout_visibility,
        tests: cases::cases(sheet).into_iter().map(|case| test(case, &mut numbers)).collect(),
        extra_data: Extra {
            version: sheet.version.clone(),
            sha256: sheet.submission.sha256.clone(),
            isolation: sheet.isolation.clone(),
        },
    };
    super::pretty(&results)
}

/// What stands above the tests.
fn output(sheet: &Sheet) -> String {
    let total = cases::total(sheet);
    sheet.message.as_ref().map_or(total.clone(), |message| format!("{total}\n\n{message}"))
}

fn test(case: Case<'_>, numbers: &mut Numbers) -> Test {
    let number = numbers.next(case.lab);
    let passed = case.status == Status::Passed;
    Test {
        score: case.points,
        max_score: case.max_points,
        // There is nothing between the two; what was not judged says so in its text.
        status: if passed { "passed" } else { "failed" },
        name: case.name,
        name_format: "text",
        number,
        output: case.story,
        output_format: "text",
        tags: vec![case.lab.to_owned()],
    }
}

/// Numbers tests: the lab among those of the sheet, then the step in it.
#[derive(Default)]
struct Numbers {
    lab: String,
    labs: u32,
    steps: u32,
}

impl Numbers {
    fn next(&mut self, lab: &str) -> String {
        if self.labs == 0 || self.lab != lab {
            self.lab = lab.to_owned();
            self.labs += 1;
            self.steps = 0;
        }
        self.steps += 1;
        format!("{}.{}", self.labs, self.steps)
    }
}
