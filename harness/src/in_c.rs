//! A submission of the corpus that is a program in C, written from a lab's bytes and command line alone.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::compile::Built;
use crate::course::Lab;
use crate::submission::{Submission, name_of};

/// The only file of source that it has.
const SOURCE: &str = "program.c";

/// What is in this folder, if it is a program in C; what of the lab's files is not Rust may be with it.
///
/// # Errors
///
/// When a file cannot be read.
pub fn submission(lab: &Lab, folder: &Path) -> Result<Option<Submission>> {
    if !folder.join(SOURCE).exists() {
        return Ok(None);
    }
    let others = lab.student_files.iter().filter(|path| folder.join(path).exists());
    let files = [Path::new(SOURCE)].into_iter().chain(others.map(AsRef::as_ref)).map(|path| {
        let bytes = fs::read(folder.join(path));
        let bytes = bytes.with_context(|| format!("cannot read {}", folder.join(path).display()));
        Ok((path.to_owned(), bytes?))
    });
    Ok(Some(Submission { id: name_of(folder), files: files.collect::<Result<_>>()? }))
}

/// Compiles it into this folder.
///
/// # Errors
///
/// When the compiler cannot be run.
pub fn build(submission: &Submission, folder: &Path) -> Result<Built> {
    let (source, program) = (folder.join(SOURCE), folder.join("program"));
    let bytes = submission.files.get(Path::new(SOURCE)).context("it is no program in C")?;
    fs::write(&source, bytes).with_context(|| format!("cannot write {}", source.display()))?;
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"]);
    let output = cc.arg(&program).arg(&source).output();
    let output = output.context("`cc` cannot be run: install gcc or clang")?;
    Ok(if output.status.success() {
        Built::Program(program)
    } else {
        Built::Refused(String::from_utf8_lossy(&output.stderr).into_owned())
    })
}
