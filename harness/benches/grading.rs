//! What grading a class costs: submissions an hour beside the way of one container a submission (a
//! clean target folder, `cargo build`, run), in one run on the same machine; and whether memory grows
//! with the class. `cargo bench -p harness --bench grading`, with `-- memory` for the latter.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::available_parallelism;
use std::time::Instant;

const LABS: [(&str, &[&str]); 4] = [
    ("raw-segment", &["src/segment.rs", "src/table.rs"]),
    ("unbounded-buffer", &["src/buffer.rs"]),
    ("bounded-buffer", &["src/semaphore.rs", "src/buffer.rs"]),
    ("race-condition", &["src/counter.rs", "schedules.toml"]),
];

fn main() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    if std::env::args().any(|word| word == "memory") {
        memory(folder.path());
    } else {
        throughput(folder.path());
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it lies in the course").to_owned()
}

/// Lays so many submissions, no two of them the same.
fn lay(folder: &Path, count: usize) {
    for number in 0..count {
        for (lab, files) in LABS {
            for file in files {
                let from = root().join("solutions").join(lab).join(file);
                let mut text = fs::read_to_string(from).expect("the solutions are there");
                let comment = if file.ends_with(".rs") { "//" } else { "#" };
                text += &format!("{comment} {number}\n");
                let to = folder.join(format!("s{number:03}")).join(lab).join(file);
                fs::create_dir_all(to.parent().expect("it has one")).expect("there is room");
                fs::write(to, text).expect("there is room");
            }
        }
    }
}

fn grade(submissions: &Path, out: &Path) -> Command {
    let mut grade = Command::new(env!("CARGO_BIN_EXE_harness"));
    grade
        .current_dir(root())
        .arg("grade")
        .arg(submissions)
        .arg("--out")
        .arg(out)
        .stdout(Stdio::null());
    grade
}

fn throughput(folder: &Path) {
    const OURS: usize = 8;
    lay(&folder.join("warm"), 1);
    run(&mut grade(&folder.join("warm"), &folder.join("warm-out")), &[]);
    lay(&folder.join("in"), OURS);
    let start = Instant::now();
    run(&mut grade(&folder.join("in"), &folder.join("out")), &[]);
    let ours = start.elapsed().as_secs_f64() / OURS as f64;
    println!("{ours:7.2} s a submission of four labs  grade");

    // One a processor: they compute all the time.
    let containers = available_parallelism().map_or(1, usize::from);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for container in 0..containers {
            let folder = folder.join(format!("container-{container}"));
            scope
                .spawn(move || LABS.iter().for_each(|(lab, files)| contained(&folder, lab, files)));
        }
    });
    let theirs = start.elapsed().as_secs_f64() / containers as f64;
    println!(
        "{theirs:7.2} s a submission of four labs  {containers} containers at once: clean target, cargo build, run"
    );
    println!("{:7.1} times as many submissions an hour", theirs / ours);
}

/// What happens in the container of one lab of one submission.
fn contained(folder: &Path, lab: &str, files: &[&str]) {
    let (tree, target) = (folder.join(format!("{lab}-tree")), folder.join(lab));
    fs::create_dir_all(&tree).expect("there is room");
    run(&mut Command::new("cp"), &["-r", "labs", "Cargo.lock", &tree.to_string_lossy()]);
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("it is there");
    fs::write(tree.join("Cargo.toml"), labs_only(&manifest)).expect("there is room");
    for file in files {
        let solved = root().join("solutions").join(lab).join(file);
        fs::copy(solved, tree.join("labs").join(lab).join(file)).expect("there is room");
    }
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(&tree).env("CARGO_TARGET_DIR", &target);
    run(&mut build, &["build", "--quiet", "--offline", "--profile", "grade", "--package", lab]);
    let program = target.join("grade").join(lab);
    let mut check = Command::new(env!("CARGO_BIN_EXE_harness"));
    run(check.stdout(Stdio::null()), &["check", lab, "--program", &program.to_string_lossy()]);
}

/// The manifest with the labs as the only members.
fn labs_only(manifest: &str) -> String {
    let mut kept = String::new();
    let mut about_others = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            about_others =
                line.starts_with("[profile.dev.") || line.starts_with("[profile.release.");
        }
        if line.starts_with("members =") {
            kept += "members = [\"labs/*\"]\n";
        } else if !about_others && !line.starts_with("default-members") {
            kept += line;
            kept.push('\n');
        }
    }
    kept
}

fn memory(folder: &Path) {
    for count in [20, 200] {
        let submissions = folder.join(format!("in-{count}"));
        lay(&submissions, count);
        let words = ["--lab", "race-condition", "--step", "lost-update"];
        let mut grade = grade(&submissions, &folder.join(format!("out-{count}")));
        let mut child = grade.args(words).spawn().expect("it starts");
        let mut most = 0;
        while child.try_wait().expect("it can be waited for").is_none() {
            let status = fs::read_to_string(format!("/proc/{}/status", child.id()));
            let status = status.unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            most = most.max(kib.unwrap_or(0_u64));
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        println!("{count:4} submissions: at most {:.1} MiB of memory", most as f64 / 1024.0);
    }
}

fn run(command: &mut Command, words: &[&str]) {
    let folder = command.get_current_dir().map_or_else(root, Path::to_owned);
    let status = command.args(words).current_dir(folder).status().expect("it starts");
    // A lab that is judged by its program alone is judged without its schedules, and so not wholly.
    assert!(status.code().is_some_and(|code| code <= 1), "{command:?}: {status}");
}
