//! `cargo lab solution`: the reference, once it can teach more than it takes away.

use std::fs;

use anyhow::anyhow;

use super::{Done, say};
use crate::course::Course;
use crate::exit_code::{Blame, ExitCode};
use crate::progress::Progress;
use crate::report::style::{DIM, STRONG, paint};

pub(super) fn solution(course: &Course, id: &str, give_up: bool) -> Done {
    let lab = course.lab(id).usage()?;
    let folder = course.solution_folder(lab);
    if !folder.is_dir() {
        let why = "this copy of the course comes without solutions\n  what to do: ask whoever gave it to you";
        return Err(anyhow!(why)).usage();
    }
    let mut progress = Progress::read(course);
    if !progress.lab(lab).passed {
        if !give_up {
            let why = format!(
                "you have not passed {id} yet\n  what to do: `cargo lab hint {id}` helps without telling; \
                 `cargo lab solution {id} --give-up` shows it all the same"
            );
            return Err(anyhow!(why)).usage();
        }
        progress.lab_mut(lab).gave_up = true;
        let _ = progress.write(course);
    }
    for path in &lab.student_files {
        let text = fs::read_to_string(folder.join(path)).broken()?;
        say(&format!("{}\n", paint(STRONG, &format!("solutions/{id}/{}", path.display()))));
        say(&text);
    }
    say(&paint(DIM, &format!("compare: diff -ru labs/{id}/src solutions/{id}/src")));
    Ok(ExitCode::Passed)
}
