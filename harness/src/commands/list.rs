//! `cargo lab list`: the labs and their steps.

use serde::Serialize;

use super::{Done, say, say_json};
use crate::course::{Course, Lab};
use crate::exit_code::ExitCode;
use crate::report::style::{DIM, STRONG, paint};

#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    title: &'a str,
    summary: &'a str,
    student_files: Vec<String>,
    steps: Vec<ListedStep<'a>>,
}

#[derive(Serialize)]
struct ListedStep<'a> {
    id: &'a str,
    title: &'a str,
    points: u32,
    bonus: bool,
    needs: &'a [String],
    docs: &'a str,
}

pub(super) fn list(course: &Course, json: bool) -> Done {
    if json {
        say_json(&course.labs.iter().map(listed).collect::<Vec<_>>())?;
        return Ok(ExitCode::Passed);
    }
    for lab in &course.labs {
        say(&format!("{} {}  {}", lab.order, paint(STRONG, &lab.id), paint(DIM, &lab.summary)));
        for file in &lab.student_files {
            say(&format!("    you write labs/{}/{}", lab.id, file.display()));
        }
        let widest = lab.steps.iter().map(|step| step.id.len()).max().unwrap_or(0);
        for step in &lab.steps {
            let bonus = if step.bonus { " (bonus)" } else { "" };
            say(&format!("    {:>3}  {:widest$}  {}{bonus}", step.points, step.id, step.title));
        }
        say("");
    }
    Ok(ExitCode::Passed)
}

fn listed(lab: &Lab) -> Listed<'_> {
    let steps = lab.steps.iter().map(|step| ListedStep {
        id: &step.id,
        title: &step.title,
        points: step.points,
        bonus: step.bonus,
        needs: &step.needs,
        docs: &step.docs,
    });
    Listed {
        id: &lab.id,
        title: &lab.title,
        summary: &lab.summary,
        student_files: lab
            .student_files
            .iter()
            .map(|file| format!("labs/{}/{}", lab.id, file.display()))
            .collect(),
        steps: steps.collect(),
    }
}
