//! What must hold of a lab as it lies on disk, found without running anything.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::checks;
use crate::course::{Course, Lab};
use crate::diagnosis;

/// The fewest characters of a line of code that gives something away.
const TELLING: usize = 24;

/// What does not hold of this lab, a sentence each.
pub fn broken(course: &Course, lab: &Lab) -> Vec<String> {
    let mut found = Vec::new();
    steps(course, lab, &mut found);
    table(lab, &mut found);
    files(course, lab, &mut found);
    answers(course, lab, &mut found);
    found.into_iter().map(|fact| format!("{}: {fact}", lab.id)).collect()
}

/// The anchors of a Markdown file, as GitHub makes them of its headings.
pub fn anchors(text: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut anchors = BTreeSet::new();
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        if let Some(heading) = line.strip_prefix('#').filter(|_| !fenced) {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept =
                heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            anchors.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
        }
    }
    anchors
}

/// Whether a path in the repository with its anchor leads somewhere.
pub fn leads_somewhere(course: &Course, link: &str) -> bool {
    let Some((path, anchor)) = link.split_once('#') else { return false };
    anchors(&read(&course.root.join(path))).contains(anchor)
}

/// A hundred points, hints, a place to read, and needs that come before.
fn steps(course: &Course, lab: &Lab, found: &mut Vec<String>) {
    let points: u32 = lab.steps.iter().filter(|step| !step.bonus).map(|step| step.points).sum();
    if points != 100 {
        found.push(format!("its steps are worth {points} points, not 100"));
    }
    for (index, step) in lab.steps.iter().enumerate() {
        let id = &step.id;
        if step.hints.len() < 2 {
            found.push(format!("the step {id} has fewer than two hints"));
        }
        if step.points == 0 {
            found.push(format!("the step {id} is worth nothing"));
        }
        if !leads_somewhere(course, &step.docs) {
            found.push(format!("{}, where the step {id} says to read, is not there", step.docs));
        }
        for need in &step.needs {
            if !lab.steps[..index].iter().any(|before| before.id == *need) {
                found.push(format!("the step {id} needs {need}, which does not come before it"));
            }
        }
    }
}

/// Every step has a check, every check a step, a name of its own and a title.
fn table(lab: &Lab, found: &mut Vec<String>) {
    let table = checks::table(&lab.id);
    let mut ids = BTreeSet::new();
    for check in table {
        if lab.step(check.step).is_none() {
            found.push(format!("the check {} is of no step", check.id));
        }
        if !ids.insert(check.id) {
            found.push(format!("two checks are called {}", check.id));
        }
        if check.title.is_empty() || check.title.ends_with('.') {
            found.push(format!("the check {} has no title, or a sentence for it", check.id));
        }
    }
    for step in &lab.steps {
        if !table.iter().any(|check| check.step == step.id) {
            found.push(format!("nothing checks the step {}", step.id));
        }
    }
}

/// A `todo!` names its step; a solution has none, and keeps the starter's signatures and promises.
fn files(course: &Course, lab: &Lab, found: &mut Vec<String>) {
    for (starter, solution) in student_files(course, lab) {
        let (text, solved) = (read(&starter), read(&solution));
        for (at, _) in text.match_indices("todo!(") {
            let told = text[at..].split_once("\"step ").and_then(|(_, rest)| rest.split_once(':'));
            let id = told.map_or("", |(id, _)| id);
            if lab.step(id).is_none() {
                found.push(format!("a todo! in {} names the step `{id}`", starter.display()));
            }
        }
        if solved.contains("todo!") {
            found.push(format!("{} has a todo!", solution.display()));
        }
        let mut lines = solved.lines().map(str::trim);
        let kept =
            |line: &&str| ["pub ", "///", "#[repr"].iter().any(|start| line.starts_with(start));
        for line in text.lines().map(str::trim).filter(kept) {
            if !lines.any(|solved| solved == line) {
                found.push(format!("{} lacks, in its order: {line}", solution.display()));
                break;
            }
        }
    }
}

/// No hint and no text that tells of a failure holds a line of the solution.
fn answers(course: &Course, lab: &Lab, found: &mut Vec<String>) {
    let mut told: Vec<(String, String)> = diagnosis::catalogue()
        .map(|entry| (entry.code.clone(), [&*entry.required, &entry.likely, &entry.page].concat()))
        .collect();
    for check in checks::table(&lab.id) {
        told.push((check.id.to_owned(), check.title.to_owned()));
    }
    for step in &lab.steps {
        told.extend(step.hints.iter().map(|hint| (format!("a hint of {}", step.id), hint.clone())));
    }
    let wrong = course.root.join("harness/tests/submissions").join(&lab.id).join("wrong");
    for entry in fs::read_dir(wrong).into_iter().flatten().flatten() {
        let path = entry.path().join("report.txt");
        told.push((path.display().to_string(), read(&path)));
    }
    // A report breaks its lines where they are full.
    for (_, text) in &mut told {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    for (starter, solution) in student_files(course, lab) {
        let given = read(&starter);
        let solved = read(&solution);
        let lines = solved.lines().map(|line| line.split("//").next().unwrap_or(""));
        let lines = lines.map(|line| line.trim().trim_end_matches([';', ',', '{', ' ']));
        let telling = lines.filter(|line| line.len() >= TELLING && !given.contains(line));
        for line in telling.collect::<BTreeSet<_>>() {
            for (place, _) in told.iter().filter(|(_, text)| text.contains(line)) {
                found.push(format!("{place} holds a line of the solution: {line}"));
            }
        }
    }
}

/// The student's files, as handed out and as solved.
fn student_files(course: &Course, lab: &Lab) -> Vec<(PathBuf, PathBuf)> {
    // Not as they lie in the lab: somebody may be at work there.
    let starters = course.root.join("harness/starters").join(&lab.id);
    let solutions = course.solution_folder(lab);
    lab.student_files.iter().map(|file| (starters.join(file), solutions.join(file))).collect()
}

/// A file's text; nothing where there is none.
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
