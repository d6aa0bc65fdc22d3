//! Builds the labs with the reference solutions in place of the starters, in a workspace of their
//! own below the target folder, once for each level of optimisation.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The level at which submissions are graded.
pub(crate) const GRADE: u8 = 1;

const LABS: [&str; 4] = ["raw-segment", "unbounded-buffer", "bounded-buffer", "race-condition"];

/// The program of a lab. The first to ask for a level waits until all four are built at it.
pub(crate) fn program(lab: &str, level: u8) -> PathBuf {
    if let Some(folder) = std::env::var_os("INTERLEAVE_LABS") {
        return Path::new(&folder).join(lab);
    }
    static BUILT: Mutex<BTreeSet<u8>> = Mutex::new(BTreeSet::new());
    let mut built = BUILT.lock().unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("labs");
    if built.insert(level) {
        build(&folder, level);
    }
    folder.join(level.to_string()).join(lab)
}

fn build(folder: &Path, level: u8) {
    let course = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tree = folder.join("tree");
    for file in files_below(&course.join("labs")) {
        let inside = Path::new("labs").join(&file);
        let solved = course.join("solutions").join(&file);
        // The library's list of modules differs: the solution names the given files of the lab.
        let is_students =
            solved.is_file() && !file.ends_with("src/lib.rs") && !file.ends_with("Cargo.toml");
        let from = if is_students { solved } else { course.join(&inside) };
        put(&tree.join(&inside), &fs::read(from).unwrap());
    }
    let manifest = fs::read_to_string(course.join("Cargo.toml")).unwrap();
    let lines = manifest.lines().filter(|line| !line.starts_with("default-members"));
    let lines =
        lines.map(|line| if line.starts_with("members") { "members = [\"labs/*\"]" } else { line });
    put(&tree.join("Cargo.toml"), lines.collect::<Vec<_>>().join("\n").as_bytes());
    put(&tree.join("Cargo.lock"), &fs::read(course.join("Cargo.lock")).unwrap());
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--offline", "--quiet", "--bins", "--profile", "grade"]);
    cargo.current_dir(&tree).arg("--target-dir").arg(folder.join("target"));
    for package in LABS.iter().chain(&["labkit"]) {
        cargo.arg("--config").arg(format!("profile.grade.package.{package}.opt-level={level}"));
    }
    for package in LABS {
        cargo.args(["--package", package]);
    }
    assert!(cargo.status().unwrap().success(), "the labs do not build");
    for lab in LABS {
        let bytes = fs::read(folder.join("target/grade").join(lab)).unwrap();
        let program = folder.join(level.to_string()).join(lab);
        put(&program, &bytes);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(program, mode).unwrap();
    }
}

/// Leaves alone what is as it should be, so that cargo finds it fresh.
fn put(path: &Path, bytes: &[u8]) {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return;
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut unread = vec![PathBuf::new()];
    while let Some(inside) = unread.pop() {
        for entry in fs::read_dir(folder.join(&inside)).unwrap().flatten() {
            let path = inside.join(entry.file_name());
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => unread.push(path),
                _ => files.push(path),
            }
        }
    }
    files
}
