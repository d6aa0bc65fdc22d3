//! Runs `cargo lab` as a process, and proves after each run that it left no name behind.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// What a run of `cargo lab` came to.
pub(crate) struct Finished {
    /// Its process id, which the names it made carried.
    pub(crate) pid: u32,
    /// Its exit code.
    pub(crate) code: i32,
    /// What it printed.
    pub(crate) out: String,
    /// What it complained of.
    pub(crate) err: String,
}

impl Finished {
    /// The records of `check --json`.
    pub(crate) fn records(&self) -> Vec<Value> {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

/// The folder of the course.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the harness lies in the course")
        .to_owned()
}

/// The four labs in order.
pub(crate) const LABS: [&str; 4] =
    ["raw-segment", "unbounded-buffer", "bounded-buffer", "race-condition"];

/// The program, in the course's folder, with nothing on standard input.
pub(crate) fn command() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("harness"));
    command
        .current_dir(root())
        .stdin(Stdio::null())
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE");
    command
}

/// Runs the program with these arguments.
pub(crate) fn lab<S: AsRef<OsStr>>(arguments: &[S]) -> Finished {
    let mut command = command();
    command.args(arguments);
    finish(command)
}

/// Runs a prepared command and looks for names it left.
pub(crate) fn finish(mut command: Command) -> Finished {
    let child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the harness starts");
    let pid = child.id();
    let output = child.wait_with_output().expect("the harness ends");
    assert_eq!(names_of(pid), Vec::<String>::new(), "it leaves names in /dev/shm");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Finished {
        pid,
        code: output.status.code().unwrap_or(-1),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

/// The names in `/dev/shm` that the harness with this pid made.
pub(crate) fn names_of(pid: u32) -> Vec<String> {
    let prefix = format!("shmlab-{pid:x}-");
    let entries = std::fs::read_dir("/dev/shm").expect("there is a /dev/shm");
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.contains(&prefix)).collect()
}

/// A copy of the course without what is built, for commands that change it.
pub(crate) fn copy_of_the_course() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("there is room");
    for part in ["Cargo.toml", "Cargo.lock", "labs", "solutions", "harness/starters"] {
        let to = folder.path().join(part);
        std::fs::create_dir_all(to.parent().expect("it has a parent")).expect("there is room");
        let status =
            Command::new("cp").arg("-a").arg(root().join(part)).arg(&to).status().expect("cp runs");
        assert!(status.success());
    }
    folder
}
