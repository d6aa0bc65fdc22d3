//! Facts about the repository itself: the course proves that it is whole.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use harness::course::{Course, Lab};
use harness::{checks, diagnosis};

use crate::lab::root;

fn course() -> Course {
    Course::read(&root()).unwrap()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder with this extension.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut unread = vec![folder.to_owned()];
    while let Some(folder) = unread.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                unread.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The anchors of a Markdown file, as GitHub makes them of its headings.
fn anchors(text: &str) -> BTreeSet<String> {
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

fn assert_anchor(link: &str) {
    let (path, anchor) = link.split_once('#').unwrap_or_else(|| panic!("{link} has no anchor"));
    let text = read(&root().join(path));
    assert!(
        anchors(&text).contains(anchor),
        "{link} leads nowhere; there are {:?}",
        anchors(&text)
    );
}

fn student_files(lab: &Lab) -> impl Iterator<Item = (PathBuf, PathBuf)> {
    let (labs, solutions) =
        (root().join("labs").join(&lab.id), root().join("solutions").join(&lab.id));
    lab.student_files.clone().into_iter().map(move |file| (labs.join(&file), solutions.join(&file)))
}

#[test]
fn every_lab_is_worth_100_points_and_every_step_has_hints_and_a_place_to_read() {
    for lab in &course().labs {
        let points: u32 = lab.steps.iter().filter(|step| !step.bonus).map(|step| step.points).sum();
        assert_eq!(points, 100, "{}", lab.id);
        for (index, step) in lab.steps.iter().enumerate() {
            assert!(step.hints.len() >= 2, "{} {} has too few hints", lab.id, step.id);
            assert!(step.points > 0, "{} {}", lab.id, step.id);
            assert_anchor(&step.docs);
            for need in &step.needs {
                let before = lab.steps.iter().position(|other| other.id == *need);
                assert!(
                    before.is_some_and(|at| at < index),
                    "{} {} needs {need}, which is not before it",
                    lab.id,
                    step.id
                );
            }
        }
    }
}

#[test]
fn every_step_has_a_check_and_every_check_a_step() {
    for lab in &course().labs {
        let table = checks::table(&lab.id);
        let mut ids = BTreeSet::new();
        for check in table {
            assert!(lab.step(check.step).is_some(), "{}: {} is of no step", lab.id, check.id);
            assert!(ids.insert(check.id), "{}: {} twice", lab.id, check.id);
            assert!(
                !check.title.ends_with('.') && !check.title.is_empty(),
                "{}: {}",
                lab.id,
                check.title
            );
        }
        for step in &lab.steps {
            assert!(
                table.iter().any(|check| check.step == step.id),
                "{}: nothing checks {}",
                lab.id,
                step.id
            );
        }
    }
}

#[test]
fn every_todo_of_a_starter_names_a_step_and_no_solution_has_one() {
    for lab in &course().labs {
        for (starter, solution) in student_files(lab) {
            for (at, _) in read(&starter).match_indices("todo!(") {
                let text = &read(&starter)[at..];
                let id = text
                    .split_once("\"step ")
                    .and_then(|(_, rest)| rest.split_once(':'))
                    .map_or("", |(id, _)| id);
                assert!(
                    lab.step(id).is_some(),
                    "{}: a todo! names the step `{id}`",
                    starter.display()
                );
            }
            assert!(!read(&solution).contains("todo!"), "{}", solution.display());
        }
    }
}

#[test]
fn a_solution_keeps_the_starters_signatures_and_promises() {
    for lab in &course().labs {
        for (starter, solution) in student_files(lab) {
            let solved = read(&solution);
            let mut lines = solved.lines().map(str::trim);
            let text = read(&starter);
            let kept =
                |line: &&str| ["pub ", "///", "#[repr"].iter().any(|start| line.starts_with(start));
            for line in text.lines().map(str::trim).filter(kept) {
                assert!(
                    lines.any(|solved| solved == line),
                    "{} lacks, in its order: {line}",
                    solution.display()
                );
            }
        }
    }
}

#[test]
fn every_diagnosis_that_is_used_is_in_the_catalogue_and_the_other_way_round() {
    let mut sources = String::new();
    for file in files(&root().join("harness/src"), "rs") {
        sources += &read(&file);
    }
    for entry in diagnosis::catalogue() {
        assert!(sources.contains(&format!("\"{}\"", entry.code)), "nothing says {}", entry.code);
        assert!(entry.required.ends_with('.') && !entry.likely.ends_with('.'), "{}", entry.code);
        let words = entry.page.split_whitespace().count();
        assert!(words >= 25, "{} is hardly explained", entry.code);
        assert_anchor(&entry.docs);
    }
    for (at, _) in sources.match_indices("fail(\"") {
        let code = sources[at + 6..].split('"').next().unwrap();
        assert!(diagnosis::entry(code).is_some(), "{code} is not in the catalogue");
    }
}

#[test]
fn the_field_guide_is_the_catalogue() {
    let path = root().join("docs/errors.md");
    let guide = harness::report::field_guide::field_guide();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &guide).unwrap();
    }
    assert!(read(&path) == guide, "run `UPDATE_DOCS=1 cargo test` and commit docs/errors.md");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut documents = files(&root().join("docs"), "md");
    documents.extend(files(&root().join("labs"), "md"));
    documents.push(root().join("README.md"));
    for document in documents {
        let text = read(&document);
        let folder = document.parent().unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.contains(' ') {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { document.clone() } else { folder.join(path) };
            assert!(target.exists(), "{} links to {link}", document.display());
            if !anchor.is_empty() && target.extension().is_some_and(|e| e == "md") {
                assert!(
                    anchors(&read(&target)).contains(anchor),
                    "{} links to {link}",
                    document.display()
                );
            }
        }
    }
}

#[test]
fn every_lab_is_in_the_readme() {
    let readme = read(&root().join("README.md"));
    for lab in &course().labs {
        assert!(readme.contains(&format!("labs/{}", lab.id)), "{}", lab.id);
    }
}
