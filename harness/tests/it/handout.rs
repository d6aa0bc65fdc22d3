//! What students get holds no answer, and passes its own tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lab::{command, finish, root};

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut unread) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = unread.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { unread.push(path) } else { files.push(path) }
        }
    }
    files
}

#[test]
fn the_students_tree_holds_no_answer_and_passes_its_own_tests() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("students");
    let write = || {
        let mut handout = command();
        handout.arg("handout").arg(&tree);
        finish(handout)
    };
    let written = write();
    assert_eq!(written.code, 0, "{}{}", written.out, written.err);
    // Twice is refused: somebody may have begun to work there.
    let again = write();
    assert_eq!(again.code, 2, "{}{}", again.out, again.err);
    assert!(again.err.contains("what to do"), "{}", again.err);

    let given = files_below(&tree);
    let solved = files_below(&root().join("solutions"));
    for file in given.iter().filter(|file| file.extension().is_some_and(|end| end == "rs")) {
        let text = std::fs::read_to_string(file).unwrap();
        for solution in &solved {
            let answer = std::fs::read_to_string(solution).unwrap();
            assert!(text != answer, "{} is the solution", file.display());
        }
    }
    assert!(!tree.join("solutions").exists() && !tree.join("harness/tests/submissions").exists());

    let mut cargo = Command::new(env!("CARGO"));
    // Kept from run to run, so that only the first takes long.
    let target = root().join("target/handout");
    cargo.args(["test", "--quiet", "--offline", "--locked"]).current_dir(&tree);
    cargo.env("CARGO_TARGET_DIR", target);
    let output = cargo.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("test result: ok"), "{told}");
}
