//! Hostile submissions are contained: each gets its right mark, nothing outside changes, and whoever
//! comes next is judged as if they had never been.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use crate::canary::{Canary, SECRET};
use crate::lab::{command, finish, root};

/// Graded in one go; between two of them the machine is looked at.
const GROUP: usize = 12;

/// What is to come of a hostile submission.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "its section and what stops it are for who reads the corpus")]
struct Expect {
    lab: String,
    attack: String,
    section: String,
    step: Option<String>,
    outcome: String,
    #[serde(default)]
    passes: bool,
    #[serde(default)]
    diagnosis: Vec<String>,
    #[serde(default)]
    defence: Vec<String>,
    /// What is not promised without namespaces.
    in_a_container: Option<String>,
}

#[derive(Clone, Debug)]
struct Case {
    name: String,
    files: PathBuf,
    expect: Expect,
}

fn corpus() -> Vec<Case> {
    let folder = root().join("harness/tests/submissions/hostile");
    let mut cases: Vec<Case> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| {
            let text = fs::read_to_string(path.join("expect.toml")).unwrap();
            let expect = toml::from_str(&text).unwrap_or_else(|e| panic!("{path:?}: {e}"));
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            Case { name, files: path.join("files"), expect }
        })
        .collect();
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    cases
}

/// Processes of the users that programs of strangers run as, and that nobody is at work with any more:
/// those of a grading that goes on, for another test, have its grader above them.
fn strangers() -> Vec<String> {
    let status = |pid: u32| fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |status: &str, name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().unwrap_or_default().to_owned()
    };
    let is_stranger = |status: &str| {
        let user = field(status, "Uid:");
        let number = user.parse().unwrap_or(0);
        (64_100..64_164).contains(&number) || user == Ordinary::NOBODY
    };
    let left = |pid: u32| -> Option<String> {
        let own = status(pid);
        if !is_stranger(&own) || field(&own, "State:") == "Z" {
            return None;
        }
        let mut above = own.clone();
        while is_stranger(&above) {
            above = status(field(&above, "PPid:").parse().unwrap_or(0));
        }
        let name = field(&above, "Name:");
        let at_work = name == "harness" || name.starts_with("it-");
        (!at_work).then(|| field(&own, "Name:"))
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // Looked at twice: who is seen while it ends has lost its parent already.
    let found: Vec<u32> = pids.filter(|&pid| left(pid).is_some()).collect();
    std::thread::sleep(std::time::Duration::from_millis(200));
    found.into_iter().filter_map(left).collect()
}

fn objects() -> Vec<String> {
    let names = fs::read_dir("/dev/shm").unwrap().flatten();
    // Other tests are at work at the same time, with names of their own.
    let own =
        |name: &String| ["shmlab-", "labkit-", "interleave-"].iter().any(|p| name.starts_with(p));
    let mut names: Vec<String> = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|n| !own(n))
        .collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(status.unwrap().success(), "{from:?}");
}

/// Lays a submission: the reference's listed files, and the case's over them.
fn lay(case: Option<&Case>, lab: &str, folder: &Path) {
    fs::create_dir_all(folder.join("src")).unwrap();
    let listed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("raw-segment", ["src/segment.rs", "src/table.rs"].as_slice()),
        ("unbounded-buffer", &["src/buffer.rs"]),
        ("bounded-buffer", &["src/semaphore.rs", "src/buffer.rs"]),
        ("race-condition", &["src/counter.rs", "schedules.toml"]),
    ]);
    for file in listed[lab] {
        fs::copy(root().join("solutions").join(lab).join(file), folder.join(file)).unwrap();
    }
    if let Some(case) = case {
        copy(&case.files.join("."), folder);
    }
}

/// How a group is graded.
#[derive(Clone, Copy, Default)]
struct Ground<'a> {
    /// In what a plain container refuses.
    container: bool,
    /// Without these defences.
    without: &'a [&'a str],
    /// By somebody who is not the superuser.
    ordinary: Option<&'a Ordinary>,
}

/// Somebody who owns nothing, with a course and a toolchain that they can use.
struct Ordinary {
    folder: tempfile::TempDir,
}

impl Ordinary {
    /// The user and the group.
    const NOBODY: &str = "65534";

    /// A copy of the course, and our own program. The toolchain is shown in it when it is used: as a
    /// rule it lies in a folder that is the superuser's alone.
    fn new() -> Ordinary {
        let folder = tempfile::tempdir().unwrap();
        let course = folder.path().join("course");
        for part in ["course", "sysroot", "cargo"] {
            fs::create_dir(folder.path().join(part)).unwrap();
        }
        for part in ["Cargo.toml", "Cargo.lock", "labs"] {
            copy(&root().join(part), &course);
        }
        copy(assert_cmd::cargo::cargo_bin!("harness"), folder.path());
        own(folder.path());
        Ordinary { folder }
    }

    fn command(&self) -> Command {
        let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
        let sysroot = String::from_utf8(sysroot.stdout).unwrap();
        let home = std::env::var("CARGO_HOME")
            .unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").unwrap()));
        let here = self.folder.path().display();
        let script = format!(
            "mount --bind '{}' {here}/sysroot && mount --bind '{home}' {here}/cargo && \
             exec setpriv --reuid {1} --regid {1} --clear-groups {here}/harness \"$@\"",
            sysroot.trim(),
            Ordinary::NOBODY
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, "sh"]);
        command.current_dir(self.folder.path().join("course"));
        command.env_remove("CARGO").env_remove("RUSTUP_HOME").env_remove("RUSTUP_TOOLCHAIN");
        command.env("CARGO_HOME", self.folder.path().join("cargo"));
        let path = format!("{here}/sysroot/bin:/usr/local/bin:/usr/bin:/bin");
        command.env("PATH", path).env("HOME", self.folder.path());
        command
    }
}

/// Makes a folder nobody's.
fn own(folder: &Path) {
    let owner = format!("{0}:{0}", Ordinary::NOBODY);
    let status = Command::new("chown").args(["-R", &owner]).arg(folder).status().unwrap();
    assert!(status.success());
}

/// Grades these cases, which are all of one step of one lab, and an honest one among them. Returns the
/// sheets by name, and what has changed outside.
fn grade(
    canary: &Canary,
    cases: &[&Case],
    ground: Ground<'_>,
) -> (BTreeMap<String, Value>, Vec<String>) {
    let (lab, step) = (&cases[0].expect.lab, cases[0].expect.step.as_deref());
    let folder = tempfile::tempdir().unwrap();
    let (handed_in, out) = (folder.path().join("in"), folder.path().join("out"));
    for case in cases {
        lay(Some(case), lab, &handed_in.join(&case.name));
    }
    // In the middle, and when all others are done.
    for honest in ["m-honest", "zz-honest"] {
        lay(None, lab, &handed_in.join(honest));
    }
    let before = objects();
    let mut grade = ground.ordinary.map_or_else(command, Ordinary::command);
    if ground.ordinary.is_some() {
        own(folder.path());
    }
    grade.arg("grade").arg(&handed_in).arg("--out").arg(&out).args(["--json", "--lab", lab]);
    if let Some(step) = step {
        grade.args(["--step", step]);
    }
    for defence in ground.without {
        grade.args(["--sabotage", defence]);
    }
    if !ground.without.is_empty() {
        grade.args(["--require-isolation", "T0"]);
    }
    grade.env("SHMLAB_CANARY", SECRET);
    let secret = canary.secret();
    let container = ground.container;
    let enter = move || {
        // SAFETY: dup2 takes two integers; the copy is inherited, which is what it is there for.
        unsafe { nix::libc::dup2(secret, 9) };
        if container {
            sandbox::plain_container().map_err(std::io::Error::other)?;
        }
        Ok(())
    };
    // SAFETY: the child makes system calls; where it allocates for the filter, libc has made its
    // allocator whole again after the fork.
    unsafe { grade.pre_exec(enter) };
    let finished = finish(grade);
    let mut changes = canary.touched();
    changes.extend(strangers().into_iter().map(|name| format!("the process {name} is left")));
    changes.extend(
        objects()
            .into_iter()
            .filter(|n| !before.contains(n))
            .map(|n| format!("/dev/shm/{n} is left")),
    );
    let mut sheets = BTreeMap::new();
    for entry in fs::read_dir(&out).into_iter().flatten().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap();
        let sheet: Value = serde_json::from_str(&text).unwrap();
        sheets.insert(sheet["submission"]["id"].as_str().unwrap().to_owned(), sheet);
    }
    if finished.code != 0 {
        changes.push(format!("grade ends with {}: {}", finished.code, finished.err));
    }
    (sheets, changes)
}

/// What is not as it should be with one sheet.
fn wrong_with(expect: &Expect, sheet: Option<&Value>) -> Option<String> {
    let Some(sheet) = sheet else { return Some("it has no sheet".to_owned()) };
    let text = sheet.to_string();
    if let Some(at) = text.find("escaped:") {
        let told: String = text[at..].chars().take(120).collect();
        return Some(told);
    }
    if text.contains(SECRET) {
        return Some("the secret is in its sheet".to_owned());
    }
    let outcome = sheet["outcome"].as_str().unwrap_or_default();
    if outcome != expect.outcome {
        let told: String = text.chars().take(1500).collect();
        return Some(format!("it is {outcome}, not {}: {told}", expect.outcome));
    }
    if outcome != "graded" {
        return None;
    }
    let steps = sheet["labs"][0]["steps"].as_array().unwrap();
    let judged = |step: &&Value| expect.step.as_ref().is_none_or(|id| step["id"] == **id);
    let steps: Vec<&Value> = steps.iter().filter(judged).collect();
    let passes = !steps.is_empty() && steps.iter().all(|step| step["status"] == "passed");
    let codes: Vec<&str> = steps
        .iter()
        .flat_map(|step| step["checks"].as_array().unwrap())
        .filter_map(|check| check["diagnosis"]["code"].as_str())
        .collect();
    if passes != expect.passes {
        let seen: Vec<String> = steps
            .iter()
            .flat_map(|step| step["checks"].as_array().unwrap())
            .filter(|check| check["status"] != "passed" && check["status"] != "skipped")
            .map(|check| {
                format!(
                    "{} {}: {} {}",
                    check["id"], check["status"], check["diagnosis"]["seen"], check["why"]
                )
            })
            .collect();
        return Some(format!("passes: {passes}, {codes:?}, {seen:?}"));
    }
    let first = codes.first().copied().unwrap_or_default();
    if !passes && !expect.diagnosis.is_empty() && !expect.diagnosis.iter().any(|code| code == first)
    {
        return Some(format!("the cause is {first}, none of {:?}", expect.diagnosis));
    }
    None
}

fn groups(cases: &[Case]) -> Vec<Vec<&Case>> {
    let mut by_step: BTreeMap<(&str, Option<&str>), Vec<&Case>> = BTreeMap::new();
    for case in cases {
        let key = (case.expect.lab.as_str(), case.expect.step.as_deref());
        by_step.entry(key).or_default().push(case);
    }
    let whole = by_step.into_values();
    whole.flat_map(|group| group.chunks(GROUP).map(<[_]>::to_vec).collect::<Vec<_>>()).collect()
}

/// What is not as it should be with a group.
fn wrong_with_group(canary: &Canary, group: &[&Case], ground: Ground<'_>) -> Vec<String> {
    let (sheets, changes) = grade(canary, group, ground);
    let mut wrong: Vec<String> = group
        .iter()
        .filter_map(|case| {
            if ground.container && case.expect.in_a_container.is_some() {
                return None;
            }
            let told = wrong_with(&case.expect, sheets.get(&case.name))?;
            Some(format!("{}: {told}", case.name))
        })
        .collect();
    let honest = Expect {
        outcome: "graded".into(),
        passes: true,
        diagnosis: Vec::new(),
        ..group[0].expect.clone()
    };
    for name in ["m-honest", "zz-honest"] {
        wrong.extend(wrong_with(&honest, sheets.get(name)).map(|told| format!("{name}: {told}")));
    }
    if !changes.is_empty() {
        let names: Vec<&str> = group.iter().map(|case| case.name.as_str()).collect();
        wrong.push(format!("after {names:?}: {changes:?}"));
    }
    wrong
}

fn all_are_contained(ground: Ground<'_>) {
    let mut cases = corpus();
    // One of them, by name, to look into it.
    if let Ok(only) = std::env::var("HOSTILE") {
        cases.retain(|case| case.name.contains(&only));
    } else {
        assert!(cases.len() >= 45, "only {} of them", cases.len());
    }
    if ground.container {
        // The limits of the compiler are the same in both tiers, and take their time.
        cases.retain(|case| !case.expect.defence.iter().any(|defence| defence == "build-deadline"));
    }
    let canary = Canary::new();
    let mut wrong = Vec::new();
    for group in groups(&cases) {
        wrong.extend(wrong_with_group(&canary, &group, ground));
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn hostile_submissions_are_contained_by_namespaces() {
    all_are_contained(Ground::default());
}

#[test]
fn hostile_submissions_are_contained_in_a_plain_container() {
    all_are_contained(Ground { container: true, ..Ground::default() });
}

#[test]
fn who_is_not_the_superuser_contains_them_too() {
    // Otherwise all the other tests have just shown it.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let cases: Vec<Case> = corpus().into_iter().step_by(12).collect();
    let ordinary = Ordinary::new();
    let canary = Canary::new();
    let mut wrong = Vec::new();
    for group in groups(&cases) {
        let ground = Ground { ordinary: Some(&ordinary), ..Ground::default() };
        wrong.extend(wrong_with_group(&canary, &group, ground));
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A defence, others that would do its work for it, and a submission that bites without it.
const WORTH: [(&str, &[&str], &str); 15] = [
    ("user-split", &[], "becomes-the-superuser"),
    ("pid-namespace", &[], "sees-the-processes-of-the-machine"),
    ("network-namespace", &[], "looks-at-the-network-of-the-machine"),
    ("ipc-namespace", &[], "reads-the-list-of-system-v-objects"),
    ("mount-namespace", &[], "asks-whether-files-are-there"),
    ("private-shm", &[], "fills-dev-shm-with-names"),
    ("landlock", &[], "leaves-a-folder-where-objects-are"),
    ("seccomp", &[], "fills-memory-without-a-name"),
    ("not-dumpable", &["landlock"], "writes-on-the-graders-output"),
    ("closed-descriptors", &[], "looks-through-inherited-descriptors"),
    ("empty-environment", &[], "demands-the-graders-variable"),
    ("process-limit", &[], "forks-without-end"),
    ("memory-limit", &[], "takes-all-addresses"),
    ("file-size-limit", &[], "grows-its-object"),
    ("open-files-limit", &[], "opens-descriptors-without-end"),
];

#[test]
fn each_defence_is_missed_by_a_submission() {
    let all = sandbox::Defence::ALL.map(|(word, _)| word);
    assert_eq!(WORTH.map(|(defence, _, _)| defence), all, "a row for each defence");
    let cases = corpus();
    let canary = Canary::new();
    let mut wrong = Vec::new();
    for (defence, others, name) in WORTH {
        // Only the superuser has another user to become, and is told from it.
        if defence == "user-split" && !nix::unistd::geteuid().is_root() {
            continue;
        }
        let case = cases.iter().find(|case| case.name == name);
        let case = [case.unwrap_or_else(|| panic!("there is no {name}"))];
        let bites = |without: &[&str]| {
            let (sheets, changes) = grade(&canary, &case, Ground { without, ..Ground::default() });
            !changes.is_empty() || wrong_with(&case[0].expect, sheets.get(name)).is_some()
        };
        // With all the rest in force it is harmless: that is the other test, where nothing else is
        // taken away.
        if !others.is_empty() && bites(others) {
            wrong.push(format!("{name} bites although {defence} is there, without {others:?}"));
        }
        let without: Vec<&str> = others.iter().copied().chain([defence]).collect();
        if !bites(&without) {
            wrong.push(format!("{name} does not notice that {defence} is missing"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_threat_model_tells_what_each_defence_is_there_for() {
    let page = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    for (defence, _, name) in WORTH {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{defence}` |")));
        assert!(row.is_some_and(|row| row.contains(&format!("`{name}`"))), "{defence}: {row:?}");
    }
}

#[test]
fn the_corpus_lists_itself() {
    let page = root().join("harness/tests/submissions/hostile/README.md");
    let page = fs::read_to_string(page).unwrap();
    for case in corpus() {
        let row = format!("| `{}` | {} |", case.name, case.expect.attack);
        assert!(page.contains(&row), "the README lacks `{row}`");
    }
}
