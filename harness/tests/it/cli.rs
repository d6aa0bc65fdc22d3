//! The command line: help, errors and exit codes, as a user meets them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use crate::lab::{LABS, command, copy_of_the_course, finish, lab, root};

/// A folder with the files of the race lab's starter.
fn submission() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    let starter = root().join("harness/starters/race-condition");
    for file in ["src/counter.rs", "schedules.toml"] {
        fs::copy(starter.join(file), folder.path().join(file)).unwrap();
    }
    folder
}

/// The complaint about a folder, which stands as DIR in it.
fn complaint(folder: &Path) -> String {
    let finished = lab(&["check", "race-condition", "--submission", &folder.to_string_lossy()]);
    assert_eq!(finished.code, 2, "{}{}", finished.out, finished.err);
    assert_eq!(finished.out, "");
    finished.err.replace(&*folder.to_string_lossy(), "DIR")
}

#[test]
fn help_tells_every_command() {
    insta::assert_snapshot!("help", lab(&["--help"]).out);
    insta::assert_snapshot!("help-check", lab(&["check", "--help"]).out);
}

#[test]
fn a_wrong_lab_step_code_command_or_number_is_a_usage_error_that_says_what_there_is() {
    let cases: [&[&str]; 8] = [
        &["check", "no-such-lab"],
        &["check", "bounded-buffer", "--step", "no-such-step"],
        &["check", "--step", "create"],
        &["check", "--program", "/bin/true"],
        &["explain", "never-siezd"],
        &["chekc"],
        &["verify", "--jobs", "0"],
        &["grade", "submissions", "--out", "marks", "--jobs", "0"],
    ];
    let mut told = String::new();
    for arguments in cases {
        let finished = lab(arguments);
        assert_eq!(finished.code, 2, "{arguments:?}");
        assert_eq!(finished.out, "", "{arguments:?}");
        told += &format!("$ cargo lab {}\n{}\n", arguments.join(" "), finished.err);
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_submission_that_is_not_one_is_refused_with_what_to_do() {
    let mut told = String::new();
    let mut tell =
        |what: &str, folder: &Path| told += &format!("-- {what}\n{}\n", complaint(folder));

    tell("no such folder", Path::new("/nonexistent/folder"));
    let folder = tempfile::tempdir().unwrap();
    tell("an empty folder", folder.path());
    let file = folder.path().join("archive.zip");
    fs::write(&file, "PK").unwrap();
    tell("a file instead of a folder", &file);

    let folder = submission();
    let counter = folder.path().join("src/counter.rs");
    fs::write(&counter, b"// caf\xe9\n").unwrap();
    tell("a file that is not UTF-8", folder.path());
    fs::write(&counter, vec![b' '; (1 << 20) + 1]).unwrap();
    tell("a file too large", folder.path());
    fs::remove_file(&counter).unwrap();
    symlink("/etc/passwd", &counter).unwrap();
    tell("a link", folder.path());
    fs::remove_file(&counter).unwrap();
    fs::create_dir(&counter).unwrap();
    tell("a folder in its place", folder.path());

    let folder = submission();
    fs::write(folder.path().join("build.rs"), "fn main() {}").unwrap();
    tell("a foreign file", folder.path());
    let folder = submission();
    fs::copy(root().join("labs/race-condition/Cargo.toml"), folder.path().join("Cargo.toml"))
        .unwrap();
    fs::write(folder.path().join("src/gate.rs"), "// mine now").unwrap();
    tell("a given file that was changed", folder.path());
    let folder = submission();
    symlink("/etc", folder.path().join("etc")).unwrap();
    tell("a link beside the files", folder.path());
    insta::assert_snapshot!(told);

    let finished = lab(&["check", "--submission", "/usr"]);
    assert_eq!(finished.code, 2);
    assert!(finished.err.contains("does not say which lab it is"), "{}", finished.err);
}

#[test]
fn a_whole_lab_folder_with_the_given_files_unchanged_is_a_submission() {
    let folder = tempfile::tempdir().unwrap();
    let mut cp = std::process::Command::new("cp");
    cp.arg("-a").arg(root().join("labs/race-condition")).arg(folder.path());
    assert!(cp.status().unwrap().success());
    let finished = lab(&["check", "--submission", &folder.path().to_string_lossy(), "--json"]);
    assert_eq!(finished.code, 1, "{}", finished.err);
    let records = finished.records();
    assert_eq!(records.len(), 1, "only the lab that is there");
    assert_eq!(records[0]["lab"], "race-condition");
    assert_eq!(records[0]["outcome"], "graded");
}

#[test]
fn a_program_that_does_not_compile_is_told_in_the_compilers_words() {
    let folder = submission();
    fs::write(folder.path().join("src/counter.rs"), "fn broken( {\n").unwrap();
    let folder = folder.path().to_string_lossy().into_owned();
    let finished = lab(&["check", "race-condition", "--submission", &folder]);
    assert_eq!(finished.code, 1, "{}", finished.err);
    assert!(finished.out.contains("--> labs/race-condition/src/counter.rs:1:"), "{}", finished.out);
    assert!(!finished.out.contains("target/lab"), "{}", finished.out);
    let finished = lab(&["check", "race-condition", "--submission", &folder, "--json"]);
    assert_eq!(finished.records()[0]["outcome"], "build-failed");
    assert_eq!(finished.records()[0]["points"], 0);
}

#[test]
fn outside_the_course_it_says_where_to_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command();
    command.current_dir(folder.path()).arg("check");
    let finished = finish(command);
    assert_eq!(finished.code, 2);
    assert!(finished.err.contains("is not inside the course"), "{}", finished.err);
    assert!(finished.err.contains("what to do"), "{}", finished.err);
}

#[test]
fn a_pipe_gets_no_colours_and_a_terminal_that_wants_none_neither() {
    let plain = lab(&["list"]).out;
    assert!(!plain.contains('\x1b'), "{plain}");
    let mut forced = command();
    forced.arg("list").env("CLICOLOR_FORCE", "1");
    assert!(finish(forced).out.contains('\x1b'));
    let mut quiet = command();
    quiet.arg("list").env("NO_COLOR", "1");
    assert!(!finish(quiet).out.contains('\x1b'));
}

#[test]
fn a_reader_that_goes_away_is_no_crash() {
    let mut command = command();
    command
        .args(["explain"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn list_names_the_labs_in_teaching_order() {
    let finished = lab(&["list", "--json"]);
    let labs: Vec<serde_json::Value> = serde_json::from_str(&finished.out).unwrap();
    let ids: Vec<&str> = labs.iter().map(|lab| lab["id"].as_str().unwrap()).collect();
    assert_eq!(ids, LABS);
    insta::assert_snapshot!(lab(&["list"]).out);
}

#[test]
fn hints_come_one_after_the_other_and_reset_keeps_what_was_there() {
    let course = copy_of_the_course();
    let run = |arguments: &[&str]| {
        let mut command = command();
        command.current_dir(course.path()).args(arguments);
        finish(command)
    };
    assert!(run(&[]).out.contains("cargo lab check raw-segment"), "{}", run(&[]).out);
    assert!(run(&["hint"]).out.contains("hint 1 of"));
    assert!(run(&["hint"]).out.contains("hint 2 of"));
    let all = run(&["hint", "race-condition", "--step", "mutex", "--all"]).out;
    assert!(all.contains("hint 1 of") && all.contains("hint 2 of"), "{all}");

    let counter = course.path().join("labs/race-condition/src/counter.rs");
    let handed_out = fs::read(&counter).unwrap();
    fs::write(&counter, "// my work").unwrap();
    let refused = run(&["reset", "race-condition"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert_eq!(fs::read(&counter).unwrap(), b"// my work");
    let finished = run(&["reset", "race-condition", "--yes"]);
    assert_eq!(finished.code, 0, "{}", finished.err);
    assert_eq!(fs::read(&counter).unwrap(), handed_out);
    let kept = finished.out.split("yours is now ").nth(1).unwrap().lines().next().unwrap();
    assert_eq!(fs::read(course.path().join(kept)).unwrap(), b"// my work");
}

#[test]
fn the_solution_is_shown_to_those_who_have_passed_or_given_up() {
    let course = copy_of_the_course();
    let run = |arguments: &[&str]| {
        let mut command = command();
        command.current_dir(course.path()).args(arguments);
        finish(command)
    };
    let refused = run(&["solution", "race-condition"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("--give-up"), "{}", refused.err);
    let shown = run(&["solution", "race-condition", "--give-up"]);
    assert_eq!(shown.code, 0);
    assert!(shown.out.contains("solutions/race-condition/src/counter.rs"));
    let progress = fs::read_to_string(course.path().join(".lab/progress.json")).unwrap();
    assert!(progress.contains("\"gave_up\": true"), "{progress}");
    fs::remove_dir_all(course.path().join("solutions")).unwrap();
    assert_eq!(run(&["solution", "race-condition"]).code, 2);
}

#[test]
fn clean_removes_only_what_is_ours_and_whose_owner_is_gone() {
    // The owner of these would be a process with a pid no system gives.
    let gone = format!("shmlab-7ffffff0-1-{:x}", std::process::id());
    let object = format!("/dev/shm/{gone}");
    let semaphore = format!("/dev/shm/sem.{gone}");
    let folder = format!("/tmp/{gone}-tmp");
    let theirs = format!("/dev/shm/somebody-elses-{}", std::process::id());
    for file in [&object, &semaphore, &theirs] {
        fs::write(file, "x").unwrap();
    }
    fs::create_dir(&folder).unwrap();
    fs::write(format!("{folder}/copy"), "x").unwrap();
    let finished = lab(&["clean"]);
    assert_eq!(finished.code, 0, "{}", finished.err);
    for ours in [object, semaphore, folder] {
        assert!(!Path::new(&ours).exists(), "{ours}");
        assert!(finished.out.contains(&ours), "{}", finished.out);
    }
    assert!(Path::new(&theirs).exists());
    fs::remove_file(&theirs).unwrap();
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let finished = lab(&["completions", shell]);
        assert_eq!(finished.code, 0);
        assert!(finished.out.contains("doctor"), "{shell}");
    }
}
