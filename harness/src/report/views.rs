//! A graded submission as each platform wants it. Views are pure functions of the sheet: they know no
//! time, no environment and no file, so that what they say can be compared, and can be said again
//! years later from the same sheet.
//!
//! Where the grader failed there are no points, not even 0. A platform that would record a zero is
//! given no result at all; the others are told that the fault is ours.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::Serialize;

use crate::course::Course;
use crate::sheet::Sheet;

pub mod actions;
mod autolab;
mod cases;
mod classroom50;
mod ctrf;
mod gradescope;
mod html;
mod junit;
mod page;
mod prairielearn;
mod safe;
mod story;
mod table;
mod text;

pub use classroom50::Classroom50;
pub use gradescope::Visibility;
pub use table::{Column, Row, Table};

/// A format for one submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The sheet itself, whole: every other format can be made from it.
    Json,
    /// The report of the terminal, without colours.
    Text,
    /// A page for a browser, for a student.
    Html,
    /// `results.json` of Gradescope.
    Gradescope,
    /// `result.json` of Classroom 50.
    Classroom50,
    /// Annotations for the log of GitHub Actions; see `actions` for the outcome and the summary.
    GithubActions,
    /// `results.json` of PrairieLearn.
    Prairielearn,
    /// The standard output that Autolab reads.
    Autolab,
    /// JUnit's XML.
    Junit,
    /// The Common Test Report Format.
    Ctrf,
}

/// What some formats need and the sheet does not know.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The titles of the labs by their ids.
    pub titles: BTreeMap<String, String>,
    /// Who sees what in Gradescope.
    pub gradescope: Gradescope,
    /// Whose result it is in Classroom 50.
    pub classroom50: Classroom50,
    /// When the grading began, in milliseconds since 1970; CTRF asks for it.
    pub started_ms: u64,
}

/// Who sees what in Gradescope.
#[derive(Clone, Copy, Debug)]
pub struct Gradescope {
    /// When the student sees the tests.
    pub visibility: Visibility,
    /// When the student sees what the autograder printed.
    pub stdout_visibility: Visibility,
}

impl Default for Gradescope {
    /// The tests are for the student, what is printed is for the instructor.
    fn default() -> Gradescope {
        Gradescope { visibility: Visibility::Visible, stdout_visibility: Visibility::Hidden }
    }
}

impl Context {
    /// A context that knows the titles of this course.
    pub fn of(course: &Course) -> Context {
        let titles = course.labs.iter().map(|lab| (lab.id.clone(), lab.title.clone()));
        Context { titles: titles.collect(), ..Context::default() }
    }

    /// The lab's title, or nothing.
    fn title(&self, lab: &str) -> &str {
        self.titles.get(lab).map_or("", String::as_str)
    }
}

impl Format {
    /// What the platform calls the file, or what to call it in a folder of results.
    pub fn file_name(self) -> &'static str {
        match self {
            Format::Json => "sheet.json",
            Format::Text => "report.txt",
            Format::Html => "report.html",
            Format::Gradescope | Format::Prairielearn => "results.json",
            Format::Classroom50 => "result.json",
            Format::GithubActions => "annotations.txt",
            Format::Autolab => "autolab.txt",
            Format::Junit => "junit.xml",
            Format::Ctrf => "ctrf.json",
        }
    }

    /// The sheet in this format; none where this outcome must leave no result behind, so that the
    /// platform records no zero for a fault of ours.
    pub fn render(self, sheet: &Sheet, context: &Context) -> Option<String> {
        match self {
            Format::Json => Some(safe::json(&pretty(sheet))),
            Format::Text => Some(text::render(sheet, context)),
            Format::Html => Some(html::render(sheet, context)),
            Format::Gradescope => gradescope::render(sheet, context),
            Format::Classroom50 => classroom50::render(sheet, context),
            Format::GithubActions => Some(actions::annotations(sheet)),
            Format::Prairielearn => Some(prairielearn::render(sheet)),
            Format::Autolab => autolab::render(sheet, context),
            Format::Junit => Some(junit::render(sheet)),
            Format::Ctrf => Some(ctrf::render(sheet, context)),
        }
    }
}

/// JSON to be read, with its line end.
fn pretty(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value);
    text.expect("texts and numbers become JSON without fail") + "\n"
}

/// JSON on one line, without its end.
fn compact(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers become JSON without fail")
}
