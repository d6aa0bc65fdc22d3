//! Programs that were built elsewhere: one in C that keeps the wire format, and some that misbehave.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::lab::{lab, root};

/// Compiles the corpus's program in C of this lab.
fn compile(lab: &str, folder: &TempDir) -> PathBuf {
    let files = format!("harness/tests/submissions/{lab}/right/in-c/files");
    let program = folder.path().join(lab);
    let output = Command::new("cc")
        .args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
        .arg(&program)
        .arg(root().join(files).join("program.c"))
        .output()
        .expect("there is a C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

#[test]
fn a_program_in_c_from_the_wire_format_alone_gets_full_marks() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile("bounded-buffer", &folder);
    let finished =
        lab(&["check", "bounded-buffer", "--program", &program.to_string_lossy(), "--json"]);
    assert_eq!(finished.code, 0, "{}{}", finished.out, finished.err);
    assert_eq!(finished.records()[0]["points"], 100);
    assert_eq!(finished.records()[0]["bonus"], 10);
}

/// Judges a shell script in the place of the race's program; returns the record.
fn judge(script: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let finished = lab(&[
        "check",
        "race-condition",
        "--program",
        &program.to_string_lossy(),
        "--step",
        "lost-update",
        "--json",
    ]);
    assert_eq!(finished.code, 1, "{}{}", finished.out, finished.err);
    finished.records().remove(0)
}

fn codes(record: &Value) -> Vec<String> {
    let steps = record["steps"].as_array().unwrap().iter();
    let checks = steps.flat_map(|step| step["checks"].as_array().unwrap());
    checks.filter_map(|check| check["diagnosis"]["code"].as_str().map(str::to_owned)).collect()
}

#[test]
fn a_program_that_does_nothing_earns_nothing() {
    let record = judge("exit 0");
    assert_eq!(record["points"], 0, "{record:#}");
    assert!(!codes(&record).is_empty());
}

#[test]
fn a_program_that_prints_what_it_thinks_we_want_earns_nothing() {
    let record = judge(
        "echo attached; while read -r line; do echo done; done; echo 'test result: ok. 9 passed'",
    );
    assert_eq!(record["points"], 0, "{record:#}");
}

#[test]
fn a_program_that_prints_without_end_is_stopped() {
    let record = judge("yes");
    assert_eq!(record["points"], 0);
    assert!(codes(&record).iter().all(|code| code != "never-answers"), "{record:#}");
}

#[test]
fn a_process_that_is_left_behind_is_ended() {
    let marker = format!("{}.5", 40_000 + std::process::id() % 1000);
    let record = judge(&format!("setsid sleep {marker} >/dev/null 2>&1 </dev/null & exec sleep 0"));
    assert_eq!(record["points"], 0);
    let output = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stdout).contains(&marker), "it still runs");
}

#[test]
fn a_program_that_is_no_program_is_the_users_mistake_or_a_broken_machine_never_a_mark() {
    let finished = lab(&["check", "race-condition", "--program", "/nonexistent/program"]);
    assert_eq!(finished.code, 2, "{}", finished.err);
    let finished = lab(&["check", "race-condition", "--program", "/etc/passwd", "--json"]);
    assert_eq!(finished.code, 3, "{}{}", finished.out, finished.err);
    assert_eq!(finished.records()[0]["outcome"], "broken");
}
