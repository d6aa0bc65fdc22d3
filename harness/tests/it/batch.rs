//! A class is graded as its instructor does it: folders and archives in, sheets and tables out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use zip::write::SimpleFileOptions;

use crate::lab::{Finished, command, finish, root};

/// The quickest step of the quickest lab: what these tests are about is not the judging.
const QUICK: [&str; 4] = ["--lab", "race-condition", "--step", "lost-update"];

/// The reference's files of the lab, by their paths.
fn solved() -> BTreeMap<&'static str, String> {
    let folder = root().join("solutions/race-condition");
    let read = |file| (file, fs::read_to_string(folder.join(file)).unwrap());
    BTreeMap::from(["src/counter.rs", "schedules.toml"].map(read))
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Lays a submission of the reference, made another by a comment.
fn lay(folder: &Path, comment: &str) {
    for (file, text) in solved() {
        let mark = if file.ends_with(".rs") { "//" } else { "#" };
        put(&folder.join(file), &format!("{text}{mark} {comment}\n"));
    }
}

fn grade(paths: &[&Path], out: &Path, words: &[&str]) -> Finished {
    let mut grade = command();
    grade.arg("grade").args(paths).arg("--out").arg(out).args(QUICK).args(words);
    finish(grade)
}

fn sheet(out: &Path, id: &str) -> Value {
    let path = out.join(format!("{id}.sheet.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_str(&text).unwrap()
}

fn sheets(out: &Path) -> Vec<String> {
    let names = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// An archive of these entries: a name, a unix mode, and bytes.
fn zip(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, bytes) in entries {
        let options = SimpleFileOptions::default().unix_permissions(*mode);
        if mode & 0o170_000 == 0o120_000 {
            writer.add_symlink(*name, String::from_utf8_lossy(bytes), options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

fn tar(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        let link = matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link);
        header.set_size(if link { 0 } else { bytes.len() as u64 });
        if link {
            header.set_link_name(String::from_utf8_lossy(bytes).as_ref()).unwrap();
        }
        // Written as it is: the crate's own way would not take a name that leads elsewhere.
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, if link { &[][..] } else { bytes }).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn folders_and_archives_of_all_kinds_become_sheets() {
    let folder = tempfile::tempdir().unwrap();
    let (class, out) = (folder.path().join("class"), folder.path().join("out"));
    let files = solved();
    let entry = |name: &str| (name.to_owned(), files[name].as_bytes().to_vec());
    let both = [entry("src/counter.rs"), entry("schedules.toml")];
    // As students hand in: bare, in a folder of the lab, in the whole tree, one folder too deep.
    lay(&class.join("bare"), "bare");
    lay(&class.join("by-lab/race-condition"), "by lab");
    lay(&class.join("whole-tree/labs/race-condition"), "whole tree");
    lay(&class.join("too-deep/my work/labs 2026/race-condition"), "too deep");
    // As platforms name it.
    lay(&class.join("Jane Doe_123_assignsubmission_file_"), "moodle");
    let zipped: Vec<(String, u32, Vec<u8>)> = both
        .iter()
        .map(|(name, text)| (format!("race-condition/{name}"), 0o644, text.clone()))
        .collect();
    let zipped: Vec<(&str, u32, &[u8])> =
        zipped.iter().map(|(name, mode, text)| (name.as_str(), *mode, text.as_slice())).collect();
    fs::write(class.join("doejane_4711_90210_labs.zip"), zip(&zipped)).unwrap();
    let tarred: Vec<(&str, tar::EntryType, &[u8])> = both
        .iter()
        .map(|(name, text)| (name.as_str(), tar::EntryType::Regular, text.as_slice()))
        .collect();
    fs::write(class.join("bob.tar"), tar(&tarred)).unwrap();
    let gzip = File::create(class.join("carol.tar.gz")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(gzip, flate2::Compression::fast());
    gzip.write_all(&tar(&tarred)).unwrap();
    gzip.finish().unwrap();
    put(&class.join("with-archive/upload.zip"), "");
    fs::write(class.join("with-archive/upload.zip"), zip(&zipped)).unwrap();
    put(&class.join("submission_metadata.yml"), "nobody reads this");

    let graded = grade(&[&class], &out, &[]);
    assert_eq!(graded.code, 0, "{}{}", graded.out, graded.err);
    assert!(graded.out.contains("left aside"), "{}", graded.out);
    let names = sheets(&out);
    assert_eq!(names.len(), 9, "{names:?}");
    for name in &names {
        let sheet = sheet(&out, name.strip_suffix(".sheet.json").unwrap());
        assert_eq!(sheet["outcome"], "graded", "{name}: {sheet}");
        assert_eq!(sheet["points"], 15, "{name}: {sheet}");
    }

    // What the names tell is in the table; a roster adds the rest, and who has handed in nothing.
    let collect = |words: &[&str]| {
        let mut collect = command();
        collect.arg("collect").arg(&out).args(words);
        finish(collect)
    };
    let canvas = collect(&["--format", "canvas", "--assignment", "race-condition=77"]);
    assert!(
        canvas.out.starts_with("Student,ID,SIS User ID,SIS Login ID,Section,"),
        "{}",
        canvas.out
    );
    assert!(
        canvas.out.contains("The race (77)") && canvas.out.contains("doejane,4711,"),
        "{}",
        canvas.out
    );
    let roster = folder.path().join("roster.csv");
    fs::write(&roster, "submission,name,login\nbob,Bob B,bob1\nabsent,Ann A,ann1\n").unwrap();
    let moodle = collect(&["--format", "moodle", "--roster", roster.to_str().unwrap()]);
    assert!(moodle.out.contains("bob1,") && moodle.out.contains("ann1,"), "{}", moodle.out);
    assert!(moodle.err.contains("not on the roster"), "{}", moodle.err);
    fs::write(&roster, "submission\nbob\nbob\n").unwrap();
    let twice = collect(&["--roster", roster.to_str().unwrap()]);
    assert_eq!(twice.code, 2, "{}", twice.err);
}

#[test]
fn an_archive_that_is_none_of_ours_is_no_submission_and_hurts_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (class, out) = (folder.path().join("class"), folder.path().join("out"));
    fs::create_dir_all(&class).unwrap();
    let files = solved();
    let counter = files["src/counter.rs"].as_bytes();
    let canary = folder.path().join("canary");
    fs::write(&canary, "untouched").unwrap();
    let bomb = vec![0; 80 << 20];
    let mut many: Vec<(String, u32, Vec<u8>)> = Vec::new();
    for number in 0..6000 {
        many.push((format!("src/{number}.rs"), 0o644, Vec::new()));
    }
    let many: Vec<(&str, u32, &[u8])> =
        many.iter().map(|(n, m, b)| (n.as_str(), *m, b.as_slice())).collect();
    use tar::EntryType::{Block, Char, Fifo, Link, Regular, Symlink};
    let archives: Vec<(&str, Vec<u8>)> = vec![
        ("leads-up.zip", zip(&[("../../canary", 0o644, b"x"), ("src/counter.rs", 0o644, counter)])),
        ("leads-to-the-root.tar", tar(&[("/tmp/shmlab-planted", Regular, b"x")])),
        ("leads-up-deep.tar", tar(&[("src/../../../canary", Regular, b"x")])),
        ("a-link.zip", zip(&[("src/counter.rs", 0o120_777, b"/etc/passwd")])),
        ("a-symbolic-link.tar", tar(&[("src/counter.rs", Symlink, b"/etc/passwd")])),
        ("a-hard-link.tar", tar(&[("src/counter.rs", Link, b"/etc/passwd")])),
        (
            "through-a-link.tar",
            tar(&[("src", Symlink, b"/tmp"), ("src/shmlab-planted", Regular, b"x")]),
        ),
        ("a-device.tar", tar(&[("src/counter.rs", Char, b"")])),
        ("a-disk.tar", tar(&[("src/counter.rs", Block, b"")])),
        ("a-pipe.tar", tar(&[("src/counter.rs", Fifo, b"")])),
        ("a-bomb.zip", zip(&[("src/counter.rs", 0o644, &bomb)])),
        ("many-files.zip", zip(&many)),
        (
            "same-but-for-case.zip",
            zip(&[("src/counter.rs", 0o644, counter), ("src/Counter.rs", 0o644, b"")]),
        ),
        ("no-archive.zip", b"this is no archive".to_vec()),
        ("no-archive-either.tar.gz", b"nor is this".to_vec()),
        ("cut-short.zip", zip(&[("src/counter.rs", 0o644, counter)])[..100].to_vec()),
        ("empty.zip", zip(&[])),
        ("nothing.tar", Vec::new()),
        ("back-slashes.zip", zip(&[("..\\..\\canary", 0o644, b"x")])),
        ("\u{1b}[31mred.zip", zip(&[("\u{1b}[31m/evil", 0o120_777, b"x")])),
    ];
    for (name, bytes) in &archives {
        fs::write(class.join(name), bytes).unwrap();
    }
    lay(&class.join("honest"), "honest");
    let graded = grade(&[&class], &out, &["--json"]);
    assert_eq!(graded.code, 0, "{}{}", graded.out, graded.err);
    let summary: Value = serde_json::from_str(&graded.out).unwrap();
    assert_eq!(summary["invalid"], archives.len(), "{summary}");
    assert_eq!(summary["graded"], 1, "{summary}");
    assert_eq!(sheet(&out, "honest")["points"], 15);
    assert_eq!(fs::read_to_string(&canary).unwrap(), "untouched");
    assert!(!Path::new("/tmp/shmlab-planted").exists());
    for (name, _) in &archives {
        let id = harness::intake::safe_id(name);
        let told = sheet(&out, &id)["labs"][0]["message"].as_str().unwrap().to_owned();
        assert!(!told.is_empty() && !told.contains('\u{1b}'), "{name}: {told:?}");
    }
    let left = fs::read_dir(root().join("target/lab")).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name().into_string().unwrap()).collect();
    let ours = |name: &&String| name.starts_with(&format!("intake-{}", graded.pid));
    assert_eq!(left.iter().filter(ours).count(), 0, "{left:?}");
}

#[test]
fn a_batch_that_was_killed_goes_on_where_it_was() {
    killed("T2");
}

#[test]
fn so_does_one_without_namespaces() {
    killed("T1");
}

fn killed(tier: &str) {
    const SUBMISSIONS: usize = 6;
    let kills: usize = std::env::var("KILLS").map_or(4, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (class, out) = (folder.path().join("class"), folder.path().join("out"));
    for number in 0..SUBMISSIONS {
        lay(&class.join(format!("s{number}")), &format!("submission {number}"));
    }
    let batch = || {
        let mut grade = command();
        grade.arg("grade").arg(&class).arg("--out").arg(&out).args(QUICK).args([
            "--resume",
            "--json",
            "--at-most",
            tier,
        ]);
        grade.stdout(Stdio::piped()).stderr(Stdio::piped());
        grade
    };
    let mut pids = Vec::new();
    // A number that is no multiple of anything: the moment is another one each time.
    for kill in 0..kills {
        let mut child = batch().spawn().unwrap();
        sleep(Duration::from_millis(150 + (kill as u64 * 677) % 3300));
        child.kill().unwrap();
        child.wait().unwrap();
        pids.push(child.id());
        // Whatever is there is whole.
        for name in fs::read_dir(&out).into_iter().flatten().flatten() {
            let name = name.file_name().into_string().unwrap();
            if let Some(id) = name.strip_suffix(".sheet.json") {
                assert_eq!(sheet(&out, id)["points"], 15, "{id}");
            }
        }
        // A batch of which every submission is done shows nothing any more.
        if kill % 10 == 9 {
            fs::remove_dir_all(&out).unwrap();
        }
    }
    let done = finish(batch());
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    let names = sheets(&out);
    assert_eq!(names.len(), SUBMISSIONS, "{names:?}");
    for number in 0..SUBMISSIONS {
        let sheet = sheet(&out, &format!("s{number}"));
        assert_eq!(
            (sheet["points"].as_u64(), sheet["outcome"].as_str()),
            (Some(15), Some("graded")),
            "{sheet}"
        );
    }
    // Once more, and nothing is graded.
    let again = finish(batch());
    let summary: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(summary["kept"], SUBMISSIONS, "{summary}");
    // Nothing is left of the killed ones: no process in a cell, no name, no folder to build in.
    for pid in pids {
        assert_eq!(crate::lab::names_of(pid), Vec::<String>::new());
        let left: Vec<PathBuf> = fs::read_dir(root().join("target/lab"))
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.to_string_lossy().contains(&format!("-{pid}-")))
            .collect();
        assert_eq!(left, Vec::<PathBuf>::new());
    }
}

#[test]
fn a_changed_submission_is_graded_again_and_an_unchanged_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (class, out) = (folder.path().join("class"), folder.path().join("out"));
    lay(&class.join("same"), "same");
    lay(&class.join("changes"), "before");
    assert_eq!(grade(&[&class], &out, &[]).code, 0);
    put(&class.join("changes/src/counter.rs"), "this does not compile");
    let graded = grade(&[&class], &out, &["--resume", "--json"]);
    let summary: Value = serde_json::from_str(&graded.out).unwrap();
    assert_eq!((&summary["kept"], &summary["build_failed"]), (&1.into(), &1.into()), "{summary}");
    let sheet = sheet(&out, "changes");
    assert_eq!((&sheet["points"], &sheet["outcome"]), (&0.into(), &"build-failed".into()));
    let told = sheet["labs"][0]["message"].as_str().unwrap();
    assert!(told.contains("src/counter.rs"), "{told}");
}

#[test]
fn parts_of_a_batch_are_disjoint_and_complete() {
    let names: Vec<String> = (0..40).map(|number| format!("student-{number}")).collect();
    let sources: Vec<harness::intake::Source> = names
        .iter()
        .map(|name| harness::intake::Source {
            path: PathBuf::from(name),
            name: name.clone(),
            id: name.clone(),
        })
        .collect();
    let part = |index| harness::batch::shard(sources.clone(), index, 3);
    let mut all: Vec<String> = (0..3).flat_map(part).map(|source| source.id).collect();
    assert!((0..3).all(|index| !part(index).is_empty()));
    all.sort();
    let mut wanted = names.clone();
    wanted.sort();
    assert_eq!(all, wanted);
    // Which part one is in does not depend on who else is there.
    let alone = harness::batch::shard(sources[7..8].to_vec(), 0, 3).len();
    assert_eq!(alone, part(0).iter().filter(|source| source.id == names[7]).count());
}

#[test]
fn what_cannot_be_graded_is_a_clear_error_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, out) = (folder.path().join("empty"), folder.path().join("out"));
    fs::create_dir_all(&empty).unwrap();
    put(&folder.path().join("file.pdf"), "no archive");
    let missing = folder.path().join("missing");
    let pdf = folder.path().join("file.pdf");
    for path in [&empty, &missing, &pdf] {
        let refused = grade(&[path], &out, &[]);
        assert_eq!(refused.code, 2, "{path:?}: {}{}", refused.out, refused.err);
        assert!(refused.err.contains("what to do"), "{path:?}: {}", refused.err);
        assert!(!out.exists(), "{path:?}");
    }
    let words: [&[&str]; 4] = [
        &["--shard", "0/4"],
        &["--shard", "5/4"],
        &["--deadline", "0"],
        &["--require-isolation", "T9"],
    ];
    lay(&folder.path().join("honest"), "honest");
    for words in words {
        let refused = grade(&[&folder.path().join("honest")], &out, words);
        assert_eq!(refused.code, 2, "{words:?}: {}", refused.err);
    }
    // Less confinement than was asked for: nothing is graded.
    let refused = grade(&[&folder.path().join("honest")], &out, &["--at-most", "T0"]);
    assert_eq!(refused.code, 3, "{}{}", refused.out, refused.err);
    assert!(
        refused.err.contains("T1 is required") && refused.err.contains("what to do"),
        "{}",
        refused.err
    );
    let none = finish({
        let mut collect = command();
        collect.arg("collect").arg(&empty);
        collect
    });
    assert_eq!(none.code, 2, "{}", none.err);
}

#[test]
fn what_a_student_packs_can_be_graded() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("mine.zip");
    let pack = |words: &[&str]| {
        let mut pack = command();
        pack.arg("pack").args(words).arg("--out").arg(&archive);
        finish(pack)
    };
    let packed = pack(&["race-condition"]);
    assert_eq!(packed.code, 0, "{}{}", packed.out, packed.err);
    let first = fs::read(&archive).unwrap();
    assert_eq!(pack(&["race-condition"]).code, 2, "it is not written over");
    assert_eq!(pack(&["race-condition", "--force"]).code, 0);
    assert!(first == fs::read(&archive).unwrap(), "the same files give the same archive");
    let out = folder.path().join("out");
    let graded = grade(&[&archive], &out, &[]);
    assert_eq!(graded.code, 0, "{}{}", graded.out, graded.err);
    // What is packed here is the starter.
    assert_eq!(sheet(&out, "mine")["labs"][0]["steps"][0]["status"], "not-started");
}

#[test]
fn a_fault_of_the_machine_is_no_mark() {
    let folder = tempfile::tempdir().unwrap();
    let (submission, out) = (folder.path().join("honest"), folder.path().join("out"));
    lay(&submission, "honest");
    let mut grade = command();
    grade.arg("grade").arg(&submission).arg("--out").arg(&out).args(QUICK);
    // No Rust on this machine.
    let broken = finish({
        grade.env_remove("CARGO").env("PATH", "/nowhere");
        grade
    });
    assert_eq!(broken.code, 3, "{}{}", broken.out, broken.err);
    let sheet = sheet(&out, "honest");
    assert_eq!(sheet["outcome"], "broken");
    assert!(sheet["labs"][0]["message"].as_str().unwrap().contains("install Rust"), "{sheet}");
    let mut collect = command();
    collect.arg("collect").arg(&out).args(["--format", "canvas"]);
    let table = finish(collect).out;
    assert!(table.lines().last().unwrap().ends_with(','), "the cell is blank: {table}");
    // When the machine is well again, it is tried again.
    let mended = self::grade(&[&submission], &out, &["--resume"]);
    assert_eq!(mended.code, 0, "{}{}", mended.out, mended.err);
    assert_eq!(self::sheet(&out, "honest")["points"], 15);
}
