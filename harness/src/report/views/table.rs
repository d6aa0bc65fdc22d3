//! A class as each platform wants it. A cell is blank where there are no points to tell: the grader
//! failed, or nothing was handed in. It is 0 only where the student's work earned 0.

use clap::ValueEnum;

use super::story::Story;
use super::{cases, safe};
use crate::record::{Record, ResultKind, Status};
use crate::roster::Student;
use crate::sheet::Sheet;

mod class;
mod overview;
mod sheets;

/// A format for a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Table {
    /// Canvas's import of a gradebook.
    Canvas,
    /// Moodle's import of grades.
    Moodle,
    /// All there is to tell in one line a submission.
    Csv,
    /// The same for a program.
    Json,
    /// A page for the instructor: how the class did, and what to teach next.
    Html,
}

/// A student and what came of their submission.
#[derive(Clone, Debug)]
pub struct Row {
    /// Who.
    pub student: Student,
    /// What came of it; none where nothing was handed in.
    pub sheet: Option<Sheet>,
}

/// One lab of the table.
#[derive(Clone, Debug)]
pub struct Column {
    /// The lab's id.
    pub lab: String,
    /// The lab's title, or the name of the platform's assignment.
    pub title: String,
    /// The number of Canvas's assignment; without one, Canvas makes a new assignment.
    pub assignment: Option<String>,
    /// Points there are, without the bonus.
    pub max_points: u32,
}

impl Table {
    /// What to call it in a folder of results.
    pub fn file_name(self) -> &'static str {
        match self {
            Table::Canvas => "canvas.csv",
            Table::Moodle => "moodle.csv",
            Table::Csv => "class.csv",
            Table::Json => "class.json",
            Table::Html => "class.html",
        }
    }

    /// The rows in this format, in their order, with a column for each of these labs.
    pub fn render(self, rows: &[Row], columns: &[Column]) -> String {
        // Nobody reads more than a line of a message in a table.
        const CAP: usize = 2_000;
        let safe = |row: &Row| Row {
            student: row.student.clone(),
            sheet: row.sheet.as_ref().map(|sheet| safe::sheet(sheet, CAP)),
        };
        let rows: Vec<Row> = rows.iter().map(safe).collect();
        match self {
            Table::Canvas => sheets::canvas(&rows, columns),
            Table::Moodle => sheets::moodle(&rows, columns),
            Table::Csv => sheets::everything(&rows, columns),
            Table::Json => safe::json(&class::json(&rows, columns)),
            Table::Html => overview::page(&rows, columns),
        }
    }
}

impl Row {
    /// The record of a lab, where there is one.
    fn lab(&self, lab: &str) -> Option<&Record> {
        self.sheet.as_ref()?.labs.iter().find(|record| record.lab == lab)
    }

    /// The points of a lab with its bonus; none where there are none to tell.
    fn points(&self, lab: &str) -> Option<u32> {
        let sheet = self.sheet.as_ref()?;
        match self.lab(lab) {
            Some(record) if record.outcome == ResultKind::Broken => None,
            Some(record) => Some(record.points + record.bonus),
            // What was refused as a whole has no records, and earned 0 in every lab. What was graded
            // without this lab has nothing to tell of it.
            None if sheet.labs.is_empty() && sheet.counts() => Some(0),
            None => None,
        }
    }

    /// What to tell the student of a lab: a line with each step that has not passed.
    fn feedback(&self, lab: &str) -> String {
        let Some(record) = self.lab(lab) else {
            return self.sheet.as_ref().and_then(|sheet| sheet.message.clone()).unwrap_or_default();
        };
        if record.steps.is_empty() {
            let message = record.message.as_deref().unwrap_or("");
            return format!("{}: {message}", cases::outcome(record.outcome));
        }
        let open = record.steps.iter().filter(|step| step.status != Status::Passed);
        let told = open.map(|step| format!("{}: {}", step.id, Story::of(step).headline));
        told.collect::<Vec<_>>().join("; ")
    }

    /// The sheet, where its points mean something.
    fn counted(&self) -> Option<&Sheet> {
        self.sheet.as_ref().filter(|sheet| sheet.counts())
    }

    /// What to call the student: the name if it is known.
    fn name(&self) -> &str {
        self.student.name.as_deref().unwrap_or(&self.student.submission)
    }
}

/// How far a grading got, as the record writes it.
fn word(outcome: ResultKind) -> &'static str {
    match outcome {
        ResultKind::Graded => "graded",
        ResultKind::BuildFailed => "build-failed",
        ResultKind::InvalidSubmission => "invalid-submission",
        ResultKind::Broken => "broken",
    }
}

/// Why there is less than there could be, in a line: the words of the whole and of each lab.
fn message(sheet: &Sheet) -> String {
    let whole = sheet.message.iter().cloned();
    let labs = sheet.labs.iter().filter_map(|lab| {
        let message = lab.message.as_deref()?;
        Some(format!("{}: {}", lab.lab, message.lines().next().unwrap_or("")))
    });
    whole.chain(labs).collect::<Vec<_>>().join("; ")
}
