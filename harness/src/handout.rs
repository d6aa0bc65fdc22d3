//! Writes the tree that students get: everything but the solutions, and what would give them away.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::course::Course;
use crate::overlay::files_below;
use crate::toolchain;

/// What students get. Of the folders, all that is not left out below.
const GIVEN: [&str; 11] = [
    ".cargo",
    ".gitignore",
    ".rustfmt.toml",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "docs",
    "harness",
    "labs",
    "rust-analyzer.toml",
];

/// What of it they do not: tests that hold solved labs, and pages for those who teach.
const LEFT_OUT: [&str; 9] = [
    "docs/architecture.md",
    "docs/changelog.md",
    "docs/contributing.md",
    "docs/instructors.md",
    "docs/platforms.md",
    "docs/threat-model.md",
    "harness/integrations",
    "harness/interleave/tests",
    "harness/tests",
];

/// The tests that are given out, which are left out with the others otherwise.
const OWN_TESTS: &str = "harness/tests/handout";

/// What a student reads first.
const README: &str = include_str!("../templates/handout/README.md");

/// Writes the students' tree into `folder`, which must be new or empty. Returns how many files.
///
/// # Errors
///
/// When the folder holds something, or the system says no.
pub fn write(course: &Course, folder: &Path) -> Result<usize> {
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!(
            "{} is not empty\n  what to do: name a folder that does not exist yet",
            folder.display()
        );
    }
    // Put together beside it, so that it is there whole or not at all.
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    let told = || format!("cannot write {}", folder.display());
    fs::create_dir_all(above).with_context(told)?;
    let unfinished = tempfile::Builder::new().prefix(".handout-").tempdir_in(above);
    let unfinished = unfinished.with_context(told)?;
    let tree = unfinished.path().join("tree");
    let mut count = 0;
    for path in given(course)? {
        let target = tree.join(&path);
        target.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::copy(course.root.join(&path), &target)
            .with_context(|| format!("cannot copy {}", path.display()))?;
        count += 1;
    }
    for lab in &course.labs {
        // As handed out, whatever has been made of them here.
        for file in &lab.student_files {
            let starter = course.root.join("harness/starters").join(&lab.id).join(file);
            fs::copy(&starter, tree.join("labs").join(&lab.id).join(file))
                .with_context(|| format!("cannot copy {}", starter.display()))?;
        }
    }
    fs::write(tree.join("README.md"), README)?;
    fs::write(tree.join("Cargo.toml"), without_solutions(&tree.join("Cargo.toml"))?)?;
    let harness = tree.join("harness/Cargo.toml");
    fs::write(&harness, without_tests(&fs::read_to_string(&harness)?))?;
    forget_solutions(&tree)?;
    let _ = fs::remove_dir(folder);
    fs::rename(&tree, folder).with_context(told)?;
    Ok(count + 1)
}

/// All files that students get, as paths in the course.
fn given(course: &Course) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for part in GIVEN {
        let path = course.root.join(part);
        if path.is_file() {
            files.push(PathBuf::from(part));
        } else if path.is_dir() {
            files.extend(files_below(&path)?.into_iter().map(|file| Path::new(part).join(file)));
        }
    }
    files.retain(|file| {
        file.starts_with(OWN_TESTS) || !LEFT_OUT.iter().any(|out| file.starts_with(out))
    });
    files.sort();
    Ok(files)
}

/// The manifest without the members that are not there.
fn without_solutions(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path)?;
    let kept = text.replace("\"solutions/*\", ", "").replace(", \"solutions/*\"", "");
    if kept.contains("solutions") {
        bail!("{} names the solutions in a way that is not known here", path.display());
    }
    Ok(kept)
}

/// A manifest without what only the tests use that are left out: a student need not compile it.
fn without_tests(manifest: &str) -> String {
    let mut kept = String::new();
    let mut leaving_out = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            leaving_out = line == "[dev-dependencies]";
        }
        if !leaving_out {
            kept += line;
            kept.push('\n');
        }
    }
    kept
}

/// Has cargo take the solutions out of the lock file, so that the first build of a student finds
/// nothing to change.
fn forget_solutions(tree: &Path) -> Result<()> {
    let mut cargo = Command::new(toolchain::cargo_program());
    cargo.args(["update", "--workspace", "--offline", "--quiet"]).current_dir(tree);
    let output = cargo.output().map_err(|error| toolchain::missing("cargo", &error))?;
    if !output.status.success() {
        bail!("cargo does not accept the tree: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
