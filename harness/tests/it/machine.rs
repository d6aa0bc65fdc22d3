//! A machine that lacks something is told as such: exit 3, and never a student's failure.

use std::process::Command;

use crate::lab::{command, finish, lab, root};

/// Runs a shell command in a mount namespace of its own, where `/dev` may be changed.
fn in_own_mounts(prepare: &str, arguments: &str) -> Option<crate::lab::Finished> {
    // Where the system refuses such a namespace (a plain container), this cannot be tried.
    let possible =
        Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|status| status.success());
    if !possible {
        eprintln!("not tried: no mount namespace can be made here");
        return None;
    }
    let mut command = Command::new("unshare");
    let harness = command_path();
    command
        .current_dir(root())
        .args(["-rm", "sh", "-c"])
        .arg(format!("{prepare} && {harness} {arguments}"));
    Some(finish(command))
}

fn command_path() -> String {
    command().get_program().to_string_lossy().into_owned()
}

#[test]
fn without_dev_shm_nothing_is_judged() {
    let Some(finished) =
        in_own_mounts("mount -t tmpfs none /dev", "check race-condition --solution")
    else {
        return;
    };
    assert_eq!(finished.code, 3, "{}", finished.err);
    assert!(finished.err.contains("there is no /dev/shm"), "{}", finished.err);
    assert!(finished.err.contains("what to do"), "{}", finished.err);
}

#[test]
fn with_a_full_dev_shm_nothing_is_judged() {
    let prepare = "mount -t tmpfs -o size=64k none /dev/shm";
    let Some(finished) = in_own_mounts(prepare, "check race-condition --solution") else { return };
    assert_eq!(finished.code, 3, "{}", finished.err);
    assert!(finished.err.contains("free in /dev/shm"), "{}", finished.err);
}

#[test]
fn without_cargo_it_says_what_to_install() {
    let mut command = command();
    command.args(["check", "race-condition", "--solution"]).env("CARGO", "/nonexistent/cargo");
    let finished = finish(command);
    assert_eq!(finished.code, 3, "{}", finished.err);
    assert!(finished.err.contains("cargo cannot be run"), "{}", finished.err);
    assert!(finished.err.contains("rustup"), "{}", finished.err);
}

#[test]
fn without_the_packages_it_says_to_fetch_them() {
    let course = crate::lab::copy_of_the_course();
    let home = tempfile::tempdir().unwrap();
    let mut command = command();
    // An empty cargo home behind a proxy that answers nobody: a machine without a network.
    command
        .current_dir(course.path())
        .args(["check", "race-condition", "--solution"])
        .env("CARGO_HOME", home.path())
        .env("CARGO_NET_RETRY", "0")
        .env("https_proxy", "http://127.0.0.1:9")
        .env("HTTPS_PROXY", "http://127.0.0.1:9");
    let finished = finish(command);
    assert_eq!(finished.code, 3, "{}{}", finished.out, finished.err);
    assert!(finished.err.contains("run `cargo fetch` once with a network"), "{}", finished.err);
}

#[test]
fn doctor_finds_this_machine_fit() {
    let finished = lab(&["doctor", "--json"]);
    assert_eq!(finished.code, 0, "{}", finished.out);
    let findings: Vec<serde_json::Value> = serde_json::from_str(&finished.out).unwrap();
    assert!(
        findings
            .iter()
            .any(|finding| finding["what"] == "two processes" && finding["status"] == "good")
    );
}

/// Ctrl-C in the middle of a check ends every process of it and removes every name.
#[test]
fn an_interrupted_check_leaves_nothing_behind() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use std::time::{Duration, Instant};

    // It must be built before, or the signal would find cargo at work.
    assert_eq!(
        lab(&["check", "bounded-buffer", "--solution", "--step", "create", "--json"]).code,
        0
    );
    let mut child = command()
        .args(["check", "bounded-buffer", "--solution", "--repeat", "1000"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while crate::lab::names_of(child.id()).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(120), "it never set a stage");
        std::thread::sleep(Duration::from_millis(1));
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert_eq!(crate::lab::names_of(child.id()), Vec::<String>::new());
}
