//! `cargo lab collect`: merges the results of a batch, or of all its parts, into one table.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use super::{Done, say};
use crate::cli::Collect;
use crate::course::Course;
use crate::exit_code::{Blame, ExitCode};
use crate::report::views::{Column, Row};
use crate::results;
use crate::roster::{self, Student};
use crate::sheet::Sheet;

pub(super) fn collect(course: &Course, arguments: &Collect) -> Done {
    let sheets = results::collect(&arguments.folders).usage()?;
    let students = match &arguments.roster {
        Some(path) => Some(roster::read(path).usage()?),
        None => None,
    };
    let columns = columns(course, &sheets, &arguments.assignment).usage()?;
    let (rows, strangers) = rows(sheets, students);
    for id in &strangers {
        anstream::eprintln!("not on the roster, so without a name: {id}");
    }
    let text = arguments.format.render(&rows, &columns);
    match &arguments.out {
        Some(path) => {
            results::write_whole(path, text.as_bytes()).usage()?;
            anstream::eprintln!("wrote {} with {} lines", path.display(), rows.len());
        }
        None => say(text.trim_end_matches('\n')),
    }
    Ok(ExitCode::Passed)
}

/// A column for each lab that any sheet has, in teaching order.
fn columns(course: &Course, sheets: &[Sheet], assignments: &[String]) -> Result<Vec<Column>> {
    let mut ids = BTreeMap::new();
    for text in assignments {
        let (lab, id) = text.split_once('=').with_context(|| {
            format!(
                "`{}` is not LAB=ID\n  what to do: say --assignment raw-segment=12345",
                text.escape_debug()
            )
        })?;
        course.lab(lab)?;
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_digit()) {
            bail!("`{}` is no assignment's id: it is a number", id.escape_debug());
        }
        ids.insert(lab.to_owned(), id.to_owned());
    }
    let mut columns = Vec::new();
    for lab in &course.labs {
        let records = sheets.iter().flat_map(|sheet| &sheet.labs);
        let Some(record) = records.into_iter().find(|record| record.lab == lab.id) else {
            continue;
        };
        columns.push(Column {
            lab: lab.id.clone(),
            title: lab.title.clone(),
            assignment: ids.get(&lab.id).cloned(),
            max_points: record.max_points,
        });
    }
    Ok(columns)
}

/// A row for each sheet, and for each on the roster who has handed nothing in; and the sheets that are
/// not on it.
fn rows(sheets: Vec<Sheet>, students: Option<Vec<Student>>) -> (Vec<Row>, Vec<String>) {
    let Some(students) = students else {
        let row = |sheet: Sheet| Row { student: Student::of(&sheet), sheet: Some(sheet) };
        return (sheets.into_iter().map(row).collect(), Vec::new());
    };
    let mut sheets: BTreeMap<String, Sheet> =
        sheets.into_iter().map(|sheet| (sheet.submission.id.clone(), sheet)).collect();
    let mut rows: Vec<Row> = students
        .into_iter()
        .map(|student| {
            let sheet = sheets.remove(&crate::intake::safe_id(&student.submission));
            Row { student, sheet }
        })
        .collect();
    let strangers = sheets.keys().cloned().collect();
    rows.extend(
        sheets.into_values().map(|sheet| Row { student: Student::of(&sheet), sheet: Some(sheet) }),
    );
    (rows, strangers)
}
