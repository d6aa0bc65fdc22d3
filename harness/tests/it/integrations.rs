//! The platforms' scripts are run in folders that look like the platforms', with real submissions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::lab::root;

/// The quickest step there is: what these tests are about is the way of the result.
const QUICK: &str = "--step lost-update";

fn integrations() -> PathBuf {
    root().join("harness/integrations")
}

fn harness() -> PathBuf {
    assert_cmd::cargo::cargo_bin!("harness").to_owned()
}

/// Lays the reference of the lab, or something that does not compile.
fn lay(folder: &Path, compiles: bool) {
    let solution = root().join("solutions/race-condition");
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::copy(solution.join("schedules.toml"), folder.join("schedules.toml")).unwrap();
    fs::copy(solution.join("src/counter.rs"), folder.join("src/counter.rs")).unwrap();
    if !compiles {
        fs::write(folder.join("src/counter.rs"), "fn this is no Rust").unwrap();
    }
}

/// A grader that fails as a machine does.
fn broken(folder: &Path) -> PathBuf {
    let path = folder.join("broken");
    fs::write(&path, "#!/bin/sh\necho the machine failed >&2\nexit 3\n").unwrap();
    let status = Command::new("chmod").arg("+x").arg(&path).status();
    assert!(status.unwrap().success());
    path
}

fn script(path: &Path) -> Command {
    let mut command = Command::new("bash");
    command.arg(path).stdin(Stdio::null());
    command.env("HARNESS", harness()).env("COURSE", root()).env("LAB", "race-condition");
    command.env("GRADE_OPTIONS", QUICK);
    command
}

fn run(mut command: Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn gradescope_gets_a_result_or_none_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("autograder.zip");
    let mut make = script(&integrations().join("gradescope/make-zip"));
    let made = run({
        make.arg("race-condition").arg(&archive);
        make
    });
    assert!(made.status.success(), "{}", told(&made));
    // As Gradescope lays it out.
    let platform = folder.path().join("autograder");
    let unpack = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])";
    let mut python = Command::new("python3");
    python.args(["-c", unpack]).arg(&archive).arg(platform.join("source"));
    assert!(run(python).status.success());
    let course = platform.join("source/course");
    assert!(course.join("labs").exists() && !course.join("solutions").exists());
    for needed in ["setup.sh", "run_autograder", "grade-one", "lab"] {
        assert!(platform.join("source").join(needed).exists(), "{needed}");
    }
    let result = platform.join("results/results.json");
    let grade = |harness: &Path, options: &str| {
        let mut command = script(&platform.join("source/run_autograder"));
        command.env("AUTOGRADER_ROOT", &platform).env("HARNESS", harness);
        command.env("GRADE_OPTIONS", format!("{QUICK} {options}"));
        // The toolchain is where it is on this machine.
        let home = std::env::var("HOME").unwrap();
        let variable = |name, usual| std::env::var(name).unwrap_or(format!("{home}/{usual}"));
        command.env("RUSTUP_HOME", variable("RUSTUP_HOME", ".rustup"));
        command.env("CARGO_HOME", variable("CARGO_HOME", ".cargo"));
        run(command)
    };
    // In a container as well: what lies here is not for everybody, and it must work all the same.
    for options in ["", "--at-most T1"] {
        lay(&platform.join("submission"), true);
        let output = grade(&harness(), options);
        assert!(output.status.success(), "{options}: {}", told(&output));
        let tests = json(&result)["tests"].as_array().unwrap().clone();
        let points: f64 = tests.iter().filter_map(|test| test["score"].as_f64()).sum();
        assert_eq!(points, 15.0, "{tests:?}");
    }
    lay(&platform.join("submission"), false);
    let output = grade(&harness(), "");
    assert!(output.status.success(), "{}", told(&output));
    assert!(json(&result).to_string().contains("compile"), "{}", json(&result));
    // What the student's folder holds is no fault of ours: neither nothing nor two of everything.
    fs::remove_dir_all(platform.join("submission")).unwrap();
    fs::create_dir(platform.join("submission")).unwrap();
    for copies in [&[][..], &["final", "really-final"]] {
        for copy in copies {
            lay(&platform.join("submission").join(copy), true);
        }
        let output = grade(&harness(), "");
        assert!(output.status.success(), "{copies:?}: {}", told(&output));
        assert_eq!(json(&result)["score"], 0, "{copies:?}");
    }
    let left = fs::read_dir(platform.join("results")).unwrap().count();
    assert_eq!(left, 1, "something lies beside the result");
    let output = grade(&broken(folder.path()), "");
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(!result.exists(), "a zero would be recorded");
}

#[test]
fn classroom50_gets_a_result_in_the_checkout() {
    let folder = tempfile::tempdir().unwrap();
    let checkout = folder.path().join("checkout");
    lay(&checkout.join("labs/race-condition"), true);
    let grade = |harness: &Path| {
        let mut command = Command::new("python3");
        command.arg(integrations().join("classroom50/autograder.py")).current_dir(&checkout);
        command.env("HARNESS", harness).env("COURSE", root()).env("LAB", "race-condition");
        command.env("GRADE_OPTIONS", QUICK).env("OWNER", "alice").env("ASSIGNMENT", "race");
        run(command)
    };
    let output = grade(&harness());
    assert!(output.status.success(), "{}", told(&output));
    let result = json(&checkout.join("result.json"));
    assert_eq!(result["schema"], "classroom50/result/v1");
    assert_eq!((&result["owner"], &result["score"]), (&"alice".into(), &15.into()));
    lay(&checkout.join("labs/race-condition"), false);
    assert!(grade(&harness()).status.success());
    assert_eq!(json(&checkout.join("result.json"))["score"], 0);
    // One that is there already, from before or from the student, is no result either.
    let output = grade(&broken(folder.path()));
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    let left: Vec<_> = fs::read_dir(&checkout).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["labs"]);
}

#[test]
fn github_actions_gets_outcome_summary_and_annotations() {
    let folder = tempfile::tempdir().unwrap();
    let submission = folder.path().join("submission");
    let (outputs, summary) = (folder.path().join("output"), folder.path().join("summary"));
    let grade = |harness: &Path| {
        // As the runner gives them: empty, and new in each step.
        fs::write(&outputs, "").unwrap();
        fs::write(&summary, "").unwrap();
        let mut command = script(&integrations().join("github-actions/run"));
        command.arg(&submission).env("HARNESS", harness);
        command.env("GITHUB_OUTPUT", &outputs).env("GITHUB_STEP_SUMMARY", &summary);
        run(command)
    };
    lay(&submission, true);
    let done = grade(&harness());
    assert!(done.status.success(), "{}", told(&done));
    assert_eq!(outcome(&outputs)["max_score"], 100);
    let tests = outcome(&outputs)["tests"].as_array().unwrap().clone();
    let points: u64 = tests.iter().filter_map(|test| test["score"].as_u64()).sum();
    assert_eq!(points, 15, "{tests:?}");
    assert!(fs::read_to_string(&summary).unwrap().contains("race-condition"));
    lay(&submission, false);
    let done = grade(&harness());
    assert!(done.status.success(), "{}", told(&done));
    let log = String::from_utf8(done.stdout).unwrap();
    assert!(log.lines().any(|line| line.starts_with("::error")), "{log}");
    assert_eq!(outcome(&outputs)["status"], "fail");
    let done = grade(&broken(folder.path()));
    assert_eq!(done.status.code(), Some(3), "{}", told(&done));
    assert_eq!(fs::read_to_string(&outputs).unwrap(), "", "an outcome of nothing");
}

/// The outcome as the next step of the workflow gets it.
fn outcome(outputs: &Path) -> Value {
    let text = fs::read_to_string(outputs).unwrap();
    let result = text.trim_end().strip_prefix("result=").unwrap_or_else(|| panic!("{text}"));
    let decode = "import base64, sys; print(base64.b64decode(sys.argv[1]).decode())";
    let mut python = Command::new("python3");
    python.args(["-c", decode, result]);
    serde_json::from_slice(&run(python).stdout).unwrap()
}

#[test]
fn prairielearn_gets_a_share_and_no_attempt_is_lost_by_our_fault() {
    let folder = tempfile::tempdir().unwrap();
    let platform = folder.path().join("grade");
    let result = platform.join("results/results.json");
    let grade = |harness: &Path| {
        let mut command = script(&integrations().join("prairielearn/entrypoint"));
        command.env("GRADE_ROOT", &platform).env("HARNESS", harness);
        run(command)
    };
    lay(&platform.join("student"), true);
    let output = grade(&harness());
    assert!(output.status.success(), "{}", told(&output));
    let share = json(&result)["score"].as_f64().unwrap();
    assert!((share - 0.15).abs() < 1e-9, "{share}");
    lay(&platform.join("student"), false);
    assert!(grade(&harness()).status.success());
    assert_eq!(json(&result)["gradable"], false);
    let output = grade(&broken(folder.path()));
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(!result.exists());
    json(&integrations().join("prairielearn/info.json"));
}

#[test]
fn autolab_reads_the_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    let mut make = script(&integrations().join("autolab/make-tar"));
    let made = run({
        make.arg("race-condition").arg(&work);
        make
    });
    assert!(made.status.success(), "{}", told(&made));
    // As Autolab does it: the Makefile under its own name, the archive of the student beside it.
    fs::rename(work.join("autograde-Makefile"), work.join("Makefile")).unwrap();
    let submission = folder.path().join("submission");
    lay(&submission.join("race-condition"), true);
    let pack = "import os, sys, zipfile\nos.chdir(sys.argv[2])\nz = zipfile.ZipFile(sys.argv[1], 'w')\n\
                [z.write(os.path.join(d, n)) for d, _, ns in os.walk('.') for n in ns]\nz.close()";
    let mut python = Command::new("python3");
    python.args(["-c", pack]).arg(work.join("handin.zip")).arg(&submission);
    assert!(run(python).status.success());
    let grade = |harness: &Path| {
        let mut command = Command::new("sh");
        // The two lines of the Makefile: not every machine has make.
        let recipe = fs::read_to_string(work.join("Makefile")).unwrap();
        let lines = recipe.lines().filter_map(|line| line.strip_prefix("\t@"));
        let lines = lines.collect::<Vec<_>>().join(" && ");
        command.args(["-c", &lines]).current_dir(&work).env_remove("LAB");
        command.env("HARNESS", harness).env("COURSE", root()).env("GRADE_OPTIONS", QUICK);
        run(command)
    };
    let output = grade(&harness());
    assert!(output.status.success(), "{}", told(&output));
    let out = String::from_utf8(output.stdout).unwrap();
    let last = out.trim_end().lines().last().unwrap();
    let scores: Value = serde_json::from_str(&as_autolab_reads(last)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(last).unwrap(), scores);
    let sum: f64 = scores["scores"].as_object().unwrap().values().filter_map(Value::as_f64).sum();
    assert_eq!(sum, 15.0, "{scores}");
    let output = grade(&broken(folder.path()));
    assert!(!output.status.success() && output.stdout.is_empty(), "{}", told(&output));
}

/// Autolab puts quotation marks around every word before a colon, and only then reads JSON.
fn as_autolab_reads(line: &str) -> String {
    let quote = "import re, sys; print(re.sub(r'([a-zA-Z0-9]+):', r'\"\\1\":', sys.argv[1]))";
    let mut python = Command::new("python3");
    python.args(["-c", quote, line]);
    String::from_utf8(run(python).stdout).unwrap()
}

#[test]
fn the_parts_of_a_class_are_graded_once_each_by_slurm_and_by_kubernetes() {
    let folder = tempfile::tempdir().unwrap();
    let class = folder.path().join("class");
    for name in ["ann", "bob", "cyd"] {
        // What does not compile is graded quickest.
        lay(&class.join(name), false);
        fs::write(class.join(name).join("src/counter.rs"), format!("no Rust of {name}")).unwrap();
    }
    for platform in ["slurm/grade.sbatch", "kubernetes/grade-part"] {
        let results = folder.path().join(platform.split('/').next().unwrap());
        let mut graded = 0;
        for part in 0..2 {
            let mut command = script(&integrations().join(platform));
            command.env("SUBMISSIONS", &class).env("RESULTS", &results);
            command.env("SLURM_ARRAY_TASK_ID", (part + 5).to_string());
            command.env("SLURM_ARRAY_TASK_MIN", "5").env("SLURM_ARRAY_TASK_COUNT", "2");
            command.env("JOB_COMPLETION_INDEX", part.to_string()).env("PARTS", "2");
            command.env("GRADE_OPTIONS", "--lab race-condition --step lost-update --json");
            let output = run(command);
            assert!(output.status.success(), "{platform}: {}", told(&output));
            let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(summary["kept"], 0, "{platform}: each is in one part only");
            graded += summary["submissions"].as_u64().unwrap();
        }
        assert_eq!(graded, 3, "{platform}");
        assert_eq!(fs::read_dir(&results).unwrap().count(), 3, "{platform}");
    }
}

#[test]
fn a_part_counts_from_one_however_the_scheduler_counts() {
    let folder = tempfile::tempdir().unwrap();
    let stub = folder.path().join("stub");
    fs::write(&stub, "#!/bin/sh\necho \"$@\"\n").unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&stub).status().unwrap().success());
    let shard = |platform: &str, variables: &[(&str, &str)]| {
        let mut command = script(&integrations().join(platform));
        command.env("HARNESS", &stub).env("SUBMISSIONS", "class").env("RESULTS", "results");
        let output = run({
            command.envs(variables.iter().copied());
            command
        });
        let words = String::from_utf8(output.stdout).unwrap();
        let after = words.split("--shard ").nth(1).unwrap_or_else(|| panic!("{words}"));
        after.split_whitespace().next().unwrap().to_owned()
    };
    for (id, min, count, expected) in [
        ("0", "0", "8", "1/8"),
        ("7", "0", "8", "8/8"),
        ("1", "1", "8", "1/8"),
        ("8", "1", "8", "8/8"),
    ] {
        let task = ("SLURM_ARRAY_TASK_ID", id);
        let array = [("SLURM_ARRAY_TASK_MIN", min), ("SLURM_ARRAY_TASK_COUNT", count)];
        assert_eq!(shard("slurm/grade.sbatch", &[task, array[0], array[1]]), expected);
    }
    for (index, expected) in [("0", "1/8"), ("7", "8/8")] {
        let variables = [("JOB_COMPLETION_INDEX", index), ("PARTS", "8")];
        assert_eq!(shard("kubernetes/grade-part", &variables), expected);
    }
}

#[test]
fn the_files_that_are_no_scripts_say_what_they_must() {
    let read = |path: &str| fs::read_to_string(integrations().join(path)).unwrap();
    let job = read("kubernetes/job.yaml");
    // A job with as many pods as parts, or some of the class is graded never or by nobody.
    let number = |before: &str| {
        let rest = job.split(before).nth(1).unwrap_or_else(|| panic!("no {before}"));
        rest.trim_start_matches([' ', '"'])
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(number("\n  completions:"), number("PARTS, value:"));
    for needed in [
        "completionMode: Indexed",
        "backoffLimitPerIndex:",
        "action: FailIndex",
        "values: [2]",
        "restartPolicy: Never",
        "automountServiceAccountToken: false",
        "mountPath: /dev/shm",
        "medium: Memory, sizeLimit:",
    ] {
        assert!(job.contains(needed), "{needed}");
    }
    let workflow = read("github-actions/grade.yml");
    for needed in [
        "kernel.apparmor_restrict_unprivileged_userns=0",
        "persist-credentials: false",
        "harness/integrations/github-actions/run submission",
    ] {
        assert!(workflow.contains(needed), "{needed}");
    }
    // Nothing that somebody types becomes part of a command.
    let runs = workflow.split("run:").skip(1);
    assert!(runs.into_iter().all(|run| !run.split("- name").next().unwrap().contains("${{")));
    for file in ["kubernetes/job.yaml", "github-actions/grade.yml"] {
        let read = "import sys\ntry: import yaml\nexcept ImportError: sys.exit(0)\n\
                    assert isinstance(yaml.safe_load(open(sys.argv[1])), dict)";
        let mut python = Command::new("python3");
        python.args(["-c", read]).arg(integrations().join(file));
        let output = run(python);
        assert!(output.status.success(), "{file}: {}", told(&output));
    }
}

#[test]
fn every_platform_has_five_steps_a_word_on_what_was_not_tried_and_a_line_in_the_overview() {
    let overview = fs::read_to_string(root().join("docs/platforms.md")).unwrap();
    let mut platforms = 0;
    for entry in fs::read_dir(integrations()).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let readme = fs::read_to_string(folder.join("README.md")).unwrap();
        let steps = |number: usize| readme.contains(&format!("\n{number}. "));
        assert!((1..=5).all(steps) && !steps(6), "{folder:?}");
        assert!(readme.contains("\nNot tried "), "{folder:?}");
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        assert!(overview.contains(&format!("harness/integrations/{name}/README.md")), "{name}");
        platforms += 1;
    }
    assert_eq!(platforms, 7);
}

#[test]
fn every_script_is_one_that_bash_can_read() {
    let mut unread = vec![integrations()];
    let mut scripts = 0;
    while let Some(folder) = unread.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                unread.push(path);
            } else if fs::read_to_string(&path).unwrap().starts_with("#!/usr/bin/env bash") {
                let output = run({
                    let mut bash = Command::new("bash");
                    bash.arg("-n").arg(&path);
                    bash
                });
                assert!(output.status.success(), "{path:?}: {}", told(&output));
                scripts += 1;
            }
        }
    }
    assert!(scripts >= 9, "only {scripts}");
}
