//! What holds in the tree that students get: the grader works, and every step is still to do.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Runs `cargo lab` with these words; returns its exit code and what it printed. What it says of its
/// work goes to our own standard error.
fn lab(words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.args(words).current_dir(root()).stderr(Stdio::inherit());
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_labs_are_there() {
    let (code, told) = lab(&["list"]);
    assert_eq!(code, Some(0), "{told}");
    for id in ["raw-segment", "unbounded-buffer", "bounded-buffer", "race-condition"] {
        assert!(told.contains(id), "{told}");
    }
}

#[test]
fn this_machine_can_judge_and_what_was_handed_out_is_still_to_do() {
    let starters = root().join("harness/starters/raw-segment");
    let folder = starters.to_str().unwrap();
    let (code, told) = lab(&["check", "raw-segment", "--submission", folder, "--json"]);
    assert_eq!(code, Some(1), "{told}");
    let records: serde_json::Value = serde_json::from_str(&told).unwrap();
    let steps = records[0]["steps"].as_array().unwrap();
    assert!(!steps.is_empty());
    for step in steps {
        assert_eq!(step["status"], "not-started", "{step}");
    }
}

#[test]
fn a_diagnosis_can_be_looked_up() {
    let (code, told) = lab(&["explain", "dies-of-sigbus"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("ftruncate"), "{told}");
}
