//! Lays a submission over a pristine copy of the labs: nothing is ever built or graded in place.
//!
//! A file is written only when its content differs, so its time of change tells cargo the truth.
//! Cargo compares times and paths alone: with files copied any other way it would take one
//! student's program for another's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::course::{Course, Lab};
use crate::submission::Submission;

/// Makes `tree` a workspace of the labs alone, with this submission in place of the starter.
///
/// # Errors
///
/// What the system says.
pub fn lay(course: &Course, lab: &Lab, submission: &Submission, tree: &Path) -> Result<()> {
    let of_student =
        |path: &Path| path.strip_prefix(&lab.id).ok().and_then(|file| submission.files.get(file));
    put_labs(course, tree, of_student)
}

/// Makes `tree` a workspace of the labs as they lie in the course, whatever the student has made of
/// them.
///
/// # Errors
///
/// What the system says.
pub fn lay_as_is(course: &Course, tree: &Path) -> Result<()> {
    put_labs(course, tree, |_| None)
}

/// Puts the labs into `tree`, each file as it lies in the course unless there is another for it, and
/// takes away whatever else is there.
fn put_labs<'a>(
    course: &Course,
    tree: &Path,
    instead: impl Fn(&Path) -> Option<&'a Vec<u8>>,
) -> Result<()> {
    let labs = course.root.join("labs");
    let mut wanted = BTreeSet::new();
    for path in files_below(&labs)? {
        let inside = Path::new("labs").join(&path);
        match instead(&path) {
            Some(bytes) => put(&tree.join(&inside), bytes)?,
            None => {
                let bytes = fs::read(labs.join(&path))
                    .with_context(|| format!("cannot read {}", inside.display()))?;
                put(&tree.join(&inside), &bytes)?;
            }
        }
        wanted.insert(path);
    }
    for path in files_below(&tree.join("labs"))? {
        if !wanted.contains(&path) {
            fs::remove_file(tree.join("labs").join(path))?;
        }
    }
    put(&tree.join("Cargo.toml"), manifest(course)?.as_bytes())
}

/// The files that decide what a seed holds: versions, profiles, and `labkit`.
///
/// # Errors
///
/// What the system says.
pub fn given_by_the_course(course: &Course) -> Result<Vec<PathBuf>> {
    let mut files = vec![course.root.join("Cargo.toml"), course.root.join("Cargo.lock")];
    files.extend(course.labs.iter().map(|lab| course.lab_folder(lab).join("Cargo.toml")));
    let labkit = course.root.join("labs/labkit");
    let mut given = files_below(&labkit)?;
    given.sort();
    files.extend(given.into_iter().map(|path| labkit.join(path)));
    Ok(files)
}

/// The files of a lab that are given with it, and are the same for everybody.
///
/// # Errors
///
/// What the system says.
pub fn given_files(course: &Course, lab: &Lab) -> Result<Vec<PathBuf>> {
    let folder = course.lab_folder(lab);
    let mut files = files_below(&folder)?;
    files.retain(|file| !lab.student_files.contains(file));
    files.sort();
    Ok(files.into_iter().map(|file| folder.join(file)).collect())
}

/// Writes a file, and the folders above it, unless it already has this content.
///
/// # Errors
///
/// What the system says.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let write = || -> std::io::Result<()> {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, bytes)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// The course's own manifest, with the labs as its only members: versions, lints and profiles are
/// the same, and neither the solutions nor the harness are in sight.
fn manifest(course: &Course) -> Result<String> {
    let path = course.root.join("Cargo.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut manifest: toml::Table =
        toml::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?;
    if let Some(workspace) = manifest.get_mut("workspace").and_then(toml::Value::as_table_mut) {
        workspace.insert("members".into(), vec!["labs/*"].into());
        workspace.remove("default-members");
    }
    // What the other profiles say of packages is about those that are not here.
    if let Some(profiles) = manifest.get_mut("profile").and_then(toml::Value::as_table_mut) {
        profiles.retain(|name, _| name == "grade");
    }
    Ok(toml::to_string(&manifest)?)
}

/// All files below a folder, as paths relative to it; hidden ones and `target` left out.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut unread = vec![PathBuf::new()];
    while let Some(inside) = unread.pop() {
        let here = folder.join(&inside);
        if !here.is_dir() {
            continue;
        }
        for entry in
            fs::read_dir(&here).with_context(|| format!("cannot read {}", here.display()))?
        {
            let entry = entry?;
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") || name == "target" {
                continue;
            }
            let path = inside.join(&name);
            let kind = entry.file_type()?;
            if kind.is_dir() {
                unread.push(path);
            } else if kind.is_file() {
                files.push(path);
            }
        }
    }
    Ok(files)
}
