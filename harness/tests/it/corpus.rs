//! What the grader tells apart: plausible wrong submissions, each caught by the check and with the
//! cause that its `expect.toml` names, and correct ones unlike ours, which get full marks.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde::Deserialize;

use crate::lab::{LABS, lab, root};

/// What a wrong submission is rejected for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    /// The step that is lost.
    step: String,
    /// The check that finds it.
    check: String,
    /// The cause it names.
    code: String,
}

/// One submission of the corpus.
struct Case {
    lab: &'static str,
    folder: PathBuf,
}

fn cases(kind: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for lab in LABS {
        let folder = root().join("harness/tests/submissions").join(lab).join(kind);
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            cases.push(Case { lab, folder: entry.path() });
        }
    }
    cases.sort_by(|one, other| one.folder.cmp(&other.folder));
    cases
}

/// Judges all cases, two at a time, and collects what is not as it should be.
fn judge_all(cases: &[Case], judge: impl Fn(&Case) -> Result<(), String> + Sync) {
    assert!(!cases.is_empty(), "the corpus is empty");
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Relaxed)) {
                    if let Err(why) = judge(case) {
                        let name =
                            case.folder.strip_prefix(root()).unwrap_or(&case.folder).display();
                        wrong.lock().unwrap().push(format!("{name}: {why}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn every_wrong_submission_is_caught_by_the_named_check_with_the_named_cause() {
    judge_all(&cases("wrong"), |case| {
        let text =
            fs::read_to_string(case.folder.join("expect.toml")).map_err(|e| e.to_string())?;
        let expect: Expect = toml::from_str(&text).map_err(|error| error.to_string())?;
        let folder = case.folder.join("files");
        let arguments = [
            "check",
            case.lab,
            "--submission",
            &folder.to_string_lossy(),
            "--step",
            &expect.step,
            "--json",
        ];
        let finished = lab(&arguments);
        if finished.code != 1 {
            return Err(format!("exit {}: {}{}", finished.code, finished.out, finished.err));
        }
        let record = &finished.records()[0];
        let steps = record["steps"].as_array().ok_or("no steps")?;
        let checks = steps.iter().flat_map(|step| step["checks"].as_array().unwrap());
        let failed: Vec<String> = checks
            .filter(|check| check["status"] == "failed")
            .map(|check| {
                format!(
                    "{} {}",
                    check["id"].as_str().unwrap(),
                    check["diagnosis"]["code"].as_str().unwrap()
                )
            })
            .collect();
        let wanted = format!("{} {}", expect.check, expect.code);
        if failed.first() == Some(&wanted) {
            return Ok(());
        }
        Err(format!("want `{wanted}`, got {} {failed:?} {}", record["outcome"], record["message"]))
    });
}

#[test]
fn every_right_submission_gets_full_marks() {
    judge_all(&cases("right"), |case| {
        let arguments = [
            "check",
            case.lab,
            "--submission",
            &case.folder.join("files").to_string_lossy(),
            "--json",
        ];
        let finished = lab(&arguments);
        if finished.code == 0 {
            Ok(())
        } else {
            Err(format!("exit {}: {}{}", finished.code, finished.out, finished.err))
        }
    });
}
