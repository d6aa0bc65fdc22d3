//! `cargo lab new`: a lab that is whole from its first day, with one step, one check, and one wrong
//! and one right submission. What it teaches is still to be written.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::{Done, say};
use crate::course::Course;
use crate::exit_code::{Blame, ExitCode};
use crate::progress::write_whole;
use crate::report::style::{COMMAND, paint};

/// Each template, and where it goes. `{id}`, `{snake}`, `{title}` and `{order}` are filled in, in the
/// paths too.
const TEMPLATES: &[(&str, &str)] = &[
    (include_str!("../../templates/lab/lab-cargo.toml"), "labs/{id}/Cargo.toml"),
    (include_str!("../../templates/lab/lab.toml"), "labs/{id}/lab.toml"),
    (include_str!("../../templates/lab/readme.md"), "labs/{id}/README.md"),
    (include_str!("../../templates/lab/lib.rs.txt"), "labs/{id}/src/lib.rs"),
    (include_str!("../../templates/lab/layout.rs.txt"), "labs/{id}/src/layout.rs"),
    (include_str!("../../templates/lab/main.rs.txt"), "labs/{id}/src/main.rs"),
    (include_str!("../../templates/lab/starter.rs.txt"), "labs/{id}/src/answer.rs"),
    (include_str!("../../templates/lab/starter.rs.txt"), "harness/starters/{id}/src/answer.rs"),
    (include_str!("../../templates/lab/solution-cargo.toml"), "solutions/{id}/Cargo.toml"),
    (include_str!("../../templates/lab/solution-lib.rs.txt"), "solutions/{id}/src/lib.rs"),
    (include_str!("../../templates/lab/solved.rs.txt"), "solutions/{id}/src/answer.rs"),
    (include_str!("../../templates/lab/checks.rs.txt"), "harness/src/checks/{snake}.rs"),
    (
        include_str!("../../templates/lab/wrong.rs.txt"),
        "harness/tests/submissions/{id}/wrong/one-too-many/files/src/answer.rs",
    ),
    (
        include_str!("../../templates/lab/expect.toml"),
        "harness/tests/submissions/{id}/wrong/one-too-many/expect.toml",
    ),
    (
        include_str!("../../templates/lab/right.rs.txt"),
        "harness/tests/submissions/{id}/right/swaps/files/src/answer.rs",
    ),
];

/// The table of the tables.
const CHECKS: &str = "harness/src/checks.rs";

pub(super) fn new(course: &Course, id: &str) -> Done {
    check_id(course, id).usage()?;
    let order = course.labs.iter().map(|lab| lab.order).max().unwrap_or(0) + 1;
    let snake = id.replace('-', "_");
    let title = format!("The {}", id.replace('-', " "));
    let filled = |text: &str| {
        let filled = text.replace("{id}", id).replace("{snake}", &snake);
        filled.replace("{title}", &title).replace("{order}", &order.to_string())
    };
    let files: Vec<(PathBuf, String)> = TEMPLATES
        .iter()
        .map(|(template, path)| (course.root.join(filled(path)), filled(template)))
        .collect();
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
        let error = anyhow::anyhow!(
            "{} is there already\n  what to do: choose another name, or remove it",
            path.display()
        );
        return Err(error).usage();
    }
    let checks = registered(course, id, &snake).usage()?;
    for (path, text) in &files {
        write_whole(path, text.as_bytes()).broken()?;
    }
    write_whole(&course.root.join(CHECKS), checks.as_bytes()).broken()?;
    for (path, _) in &files {
        say(&format!("  {}", path.strip_prefix(&course.root).unwrap_or(path).display()));
    }
    say(&format!("  {CHECKS} knows its table"));
    let update = format!("cargo lab verify --only {id} --update");
    say(&format!("\nNext: {}, then write what it is to teach.", paint(COMMAND, &update)));
    Ok(ExitCode::Passed)
}

/// A package's name that nobody has.
fn check_id(course: &Course, id: &str) -> Result<()> {
    let letters = id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !letters || !id.starts_with(|c: char| c.is_ascii_lowercase()) || id.ends_with('-') {
        bail!(
            "`{}` cannot be a lab's name\n  what to do: use small letters, digits and hyphens, as in `message-queue`",
            id.escape_debug()
        );
    }
    if course.labs.iter().any(|lab| lab.id == id) {
        bail!("there is a lab {id} already\n  what to do: choose another name");
    }
    Ok(())
}

/// The table of the tables, with one line and one module more.
fn registered(course: &Course, id: &str, snake: &str) -> Result<String> {
    let path = course.root.join(CHECKS);
    let text = fs::read_to_string(&path).with_context(|| {
        format!("cannot read {}: a lab is made in the whole repository", path.display())
    })?;
    let module = format!("mod {snake};");
    let mut lines: Vec<&str> = text.lines().collect();
    let row = lines.iter().position(|line| line.trim() == "_ => &[],").context("no table")?;
    let arm = format!("        \"{id}\" => {snake}::CHECKS,");
    lines.insert(row, &arm);
    // The modules stand in the order of their names.
    let is_module = |line: &&str| line.starts_with("mod ");
    let last = lines.iter().rposition(is_module).context("no modules")?;
    let behind = lines.iter().position(|line| is_module(line) && **line > *module);
    lines.insert(behind.unwrap_or(last + 1), &module);
    Ok(lines.join("\n") + "\n")
}
