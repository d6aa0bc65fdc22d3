//! Real programs, really confined: what is refused is refused by the kernel, and what a program needs
//! still works.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use sandbox::{Cell, Confinement, Limits, Policy, Purpose, Tier};

fn policy() -> Policy {
    Policy {
        purpose: Purpose::Program,
        limits: Limits::NONE,
        read: Vec::new(),
        write: Vec::new(),
        share: vec!["/dev/shm".into()],
        see_processes: true,
        without: Vec::new(),
    }
}

/// Runs a script of the shell under the policy.
fn confined(policy: &Policy, script: &str) -> Output {
    let confinement = Arc::new(Confinement::new(policy).unwrap());
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    // SAFETY: entering makes system calls and nothing else.
    unsafe { command.pre_exec(move || confinement.enter()) };
    command.output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Where Landlock is missing, files are not kept from programs by this alone.
fn has_landlock() -> bool {
    Confinement::new(&policy()).unwrap().landlock() > 0
}

#[test]
fn a_program_runs_and_prints() {
    let output = confined(&policy(), "echo works");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(told(&output), "works");
}

#[test]
fn files_are_read_and_written_only_where_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "here").unwrap();
    let script = format!("cat {0}; echo more >> {0}; echo new > {0}.new", file.display());
    let with = |read: Vec<PathBuf>, write: Vec<PathBuf>| {
        told(&confined(&Policy { read, write, ..policy() }, &script))
    };
    if has_landlock() {
        assert_eq!(with(Vec::new(), Vec::new()), "");
        assert_eq!(with(vec![folder.path().into()], Vec::new()), "here");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "here");
    }
    assert_eq!(with(Vec::new(), vec![folder.path().into()]), "here");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "heremore\n");
    assert!(folder.path().join("file.new").exists());
}

#[test]
fn a_shared_folder_takes_plain_files_and_nothing_else() {
    if !has_landlock() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let shared = Policy { share: vec![folder.path().into()], ..policy() };
    let script = format!(
        "cd {} && echo a > plain; mkdir folder; ln -s plain link; mkfifo pipe; rm plain; echo b > other",
        folder.path().display()
    );
    confined(&shared, &script);
    let names = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["other"]);
}

#[test]
fn limits_are_those_that_were_asked_for() {
    let limits = Limits {
        processes: Some(77),
        address_space: Some(1 << 30),
        data: Some(1 << 28),
        file_size: Some(1 << 20),
        open_files: Some(33),
        cpu_seconds: Some(9),
    };
    let output = confined(&Policy { limits, ..policy() }, "cat /proc/self/limits");
    let table = told(&output);
    let limit = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line[name.len()..].split_whitespace().next().unwrap_or_default().to_owned()
    };
    assert_eq!(limit("Max processes"), "77");
    assert_eq!(limit("Max address space"), (1_u64 << 30).to_string());
    assert_eq!(limit("Max data size"), (1_u64 << 28).to_string());
    assert_eq!(limit("Max file size"), (1_u64 << 20).to_string());
    assert_eq!(limit("Max open files"), "33");
    assert_eq!(limit("Max cpu time"), "9");
    assert_eq!(limit("Max core file size"), "0");
}

#[test]
fn no_privilege_is_left_and_none_can_be_had() {
    let status = told(&confined(&policy(), "cat /proc/self/status"));
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    assert_eq!(field("CapEff:"), "0000000000000000", "{status}");
    assert_eq!(field("CapPrm:"), "0000000000000000");
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2");
}

/// Enters the cell in a process of its own and runs the script there; what it printed, or why there is
/// no cell.
fn in_a_cell(cell: &Cell, script: &str) -> Result<String, String> {
    let cell = cell.clone();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    // SAFETY: the child has one thread, the one that forks; libc has made its allocator whole again.
    unsafe { command.pre_exec(move || cell.enter().map_err(|refused| refused.why)) };
    let output = command.output().map_err(|error| error.to_string())?;
    Ok(told(&output))
}

fn cell() -> Cell {
    Cell {
        tier: Tier::T2,
        user: None,
        shm_bytes: 1 << 20,
        shm_files: 16,
        tmp_bytes: 1 << 20,
        read: Vec::new(),
        write: Vec::new(),
        without: Vec::new(),
    }
}

#[test]
fn a_cell_is_a_world_of_its_own() {
    // A machine that refuses namespaces says so, which is all that can be tried there.
    let pid = match in_a_cell(&cell(), "echo $$") {
        Ok(pid) => pid,
        Err(why) => {
            println!("no cell here: {why}");
            return;
        }
    };
    assert_eq!(pid, "1", "its first process");
    let inside = |script: &str| in_a_cell(&cell(), script).unwrap();
    assert_eq!(inside("ls /dev/shm | wc -l"), "0");
    assert!(!inside("ls /").contains("home"));
    assert_eq!(inside("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"), "lo");
    assert_eq!(inside("head -c 2M /dev/zero > /dev/shm/a; stat -c %s /dev/shm/a"), "1048576");
    assert_eq!(inside("touch /usr/planted /planted; ls /planted /usr/planted 2>/dev/null"), "");
    let secret = tempfile::tempdir().unwrap();
    let path = secret.path().join("secret");
    std::fs::write(&path, "hidden").unwrap();
    let cat = format!("cat {}", path.display());
    assert_eq!(inside(&cat), "");
    let shown = Cell { read: vec![path.clone()], ..cell() };
    assert_eq!(in_a_cell(&shown, &cat).unwrap(), "hidden");
    assert!(Path::new(&path).exists());
}

#[test]
fn a_tier_is_read_as_it_is_written() {
    for tier in [Tier::T0, Tier::T1, Tier::T2] {
        assert_eq!(tier.to_string().parse(), Ok(tier));
    }
    assert!("T3".parse::<Tier>().is_err());
}
