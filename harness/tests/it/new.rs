//! A new lab is whole from its first day: made in a copy of the repository, built, and verified.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::lab::{command, finish, root};

#[test]
fn a_new_lab_is_whole() {
    let copy = tempfile::tempdir().unwrap();
    let parts = ["Cargo.toml", "Cargo.lock", ".rustfmt.toml", "labs", "solutions", "harness"];
    for part in parts {
        let status = Command::new("cp").arg("-a").arg(root().join(part)).arg(copy.path()).status();
        assert!(status.unwrap().success());
    }
    let new = |id: &str| {
        let mut command = command();
        command.args(["new", id]).current_dir(copy.path());
        finish(command)
    };
    for id in ["race-condition", "Board", "a/b", ""] {
        let refused = new(id);
        assert_eq!(refused.code, 2, "{id}: {}", refused.out);
        assert!(refused.err.contains("what to do"), "{id}: {}", refused.err);
    }
    let made = new("message-board");
    assert_eq!(made.code, 0, "{}{}", made.out, made.err);
    // Kept from run to run, so that only the first takes long.
    let target = root().join("target/new-lab");
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(arguments).current_dir(copy.path()).env("CARGO_TARGET_DIR", &target);
        let output = cargo.output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {words}");
    };
    cargo(&["fmt", "--all", "--check"]);
    cargo(&["build", "--quiet", "-p", "harness"]);
    let mut verify = Command::new(target.join("debug/harness"));
    verify.args(["verify", "--only", "message-board", "--update"]).current_dir(copy.path());
    let verified = finish(verify);
    assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
    let wrong = "harness/tests/submissions/message-board/wrong/one-too-many/report.txt";
    assert!(read(&copy.path().join(wrong)).contains("it is 43"));
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}
