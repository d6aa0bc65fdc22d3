//! Who handed a submission in: what its file's name tells, and what a roster adds to it.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::sheet::Sheet;

/// A student, as far as known. Every text is somebody else's: not safe in a terminal or a CSV cell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Student {
    /// The submission's id, by which a roster's line finds its sheet.
    pub submission: String,
    /// The name.
    pub name: Option<String>,
    /// The number that the platform knows the student by (Canvas: `ID`).
    pub id: Option<String>,
    /// The number that the university knows the student by (Canvas: `SIS User ID`, Moodle:
    /// `idnumber`).
    pub sis_id: Option<String>,
    /// The user's name (Canvas: `SIS Login ID`, Moodle: `username`).
    pub login: Option<String>,
    /// The address.
    pub email: Option<String>,
    /// The group (Canvas: `Section`).
    pub section: Option<String>,
}

impl Student {
    /// What the name of a submission tells of who handed it in. Platforms write it in:
    /// Canvas `lastfirst_12345_678_file.zip`, Moodle `First Last_123_assignsubmission_file_`.
    pub fn of(sheet: &Sheet) -> Student {
        let known = Student { submission: sheet.submission.id.clone(), ..Student::default() };
        let source = &sheet.source;
        if let Some((before, _)) = source.split_once("_assignsubmission_") {
            // The number is the submission's, by which Moodle's import knows nobody.
            let name = before.rsplit_once('_').map_or(before, |(name, _)| name);
            return Student { name: Some(name.to_owned()), ..known };
        }
        let mut parts = source.split('_').filter(|part| *part != "LATE");
        let number = |part: Option<&str>| {
            part.filter(|text| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()))
                .map(str::to_owned)
        };
        let name = parts.next().unwrap_or("").to_owned();
        match (number(parts.next()), number(parts.next())) {
            (Some(id), Some(_)) => Student { name: Some(name), id: Some(id), ..known },
            _ => known,
        }
    }
}

/// One line of a roster's file.
#[derive(Deserialize)]
struct Line {
    submission: String,
    name: Option<String>,
    id: Option<String>,
    sis_id: Option<String>,
    login: Option<String>,
    email: Option<String>,
    section: Option<String>,
}

/// Reads a roster: a CSV with a header, of which only `submission` must be there.
///
/// # Errors
///
/// Which line is at fault, and why.
pub fn read(path: &Path) -> Result<Vec<Student>> {
    let told = || format!("the roster {} cannot be read", path.display());
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).with_context(told)?;
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    let mut students: Vec<Student> = Vec::new();
    for line in reader.deserialize() {
        let line: Line = line.with_context(|| {
            format!(
                "{}\n  what to do: its first line names the columns, `submission` among them",
                told()
            )
        })?;
        if students.iter().any(|student| student.submission == line.submission) {
            bail!("{}: `{}` is in it twice", told(), line.submission.escape_debug());
        }
        students.push(Student {
            submission: line.submission,
            name: some(line.name),
            id: some(line.id),
            sis_id: some(line.sis_id),
            login: some(line.login),
            email: some(line.email),
            section: some(line.section),
        });
    }
    Ok(students)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Isolation, SubmissionRecord};

    fn of(source: &str) -> Student {
        let named = SubmissionRecord { id: "x".into(), sha256: String::new() };
        let isolation = Isolation::default();
        Student::of(&Sheet::new(named, source.to_owned(), isolation, Vec::new()))
    }

    #[test]
    fn a_platforms_names_tell_who_it_is() {
        let canvas = of("doejane_LATE_4711_90210_labs.zip");
        assert_eq!((canvas.name.as_deref(), canvas.id.as_deref()), (Some("doejane"), Some("4711")));
        let moodle = of("Jane Doe_123_assignsubmission_file_");
        assert_eq!((moodle.name.as_deref(), moodle.id), (Some("Jane Doe"), None));
        assert_eq!(of("lab4-jane").name, None);
    }
}
