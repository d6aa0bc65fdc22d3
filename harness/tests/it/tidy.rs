//! Facts about the repository itself: the course proves that it is whole.

use std::fs;
use std::path::{Path, PathBuf};

use harness::course::Course;
use harness::{diagnosis, facts};

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

#[test]
fn every_lab_is_whole() {
    let course = course();
    for lab in &course.labs {
        assert_eq!(facts::broken(&course, lab), Vec::<String>::new());
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
        assert!(facts::leads_somewhere(&course(), &entry.docs), "{}", entry.docs);
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
                    facts::anchors(&read(&target)).contains(anchor),
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
