//! Sheets to be shown: one for each way in which a grading ends.

use std::time::Duration;

use harness::check::Check;
use harness::course::{Course, Lab};
use harness::diagnosis;
use harness::record::{
    Because, CheckRecord, Isolation, Record, ResultKind, StepRecord, SubmissionRecord, Tier,
};
use harness::sheet::Sheet;
use harness::verdict::Stop;

use crate::lab::root;

const HOLDS: Check = Check { step: "", id: "it-holds", title: "it holds", run: |_| Ok(()) };
const ALSO: Check = Check { step: "", id: "it-lasts", title: "it lasts", run: |_| Ok(()) };

/// What a student can choose: the words of their program, of their files, of their compiler.
#[derive(Clone)]
pub(super) struct Words {
    pub(super) name: String,
    pub(super) message: String,
    pub(super) seen: String,
    pub(super) place: String,
    pub(super) trace: String,
    pub(super) why: String,
}

impl Words {
    /// What an honest submission says.
    pub(super) fn honest() -> Words {
        Words {
            name: "somebody".into(),
            message: "error[E0308]: mismatched types\n --> labs/bounded-buffer/src/buffer.rs:3:5\n  |\n3 |     \
                      \"no\"\n  |     ^^^^ expected `u64`, found `&str`"
                .into(),
            seen: "it panics: index out of bounds: the len is 4 but the index is 4".into(),
            place: "src/buffer.rs:41".into(),
            trace: "producer  loads tail    0\nconsumer  loads tail    0\nproducer  stores tail   1\n"
                .into(),
            why: "step pop: the oldest message".into(),
        }
    }

    /// The same hostile text wherever a text can be chosen.
    pub(super) fn all(text: &str) -> Words {
        let text = text.to_owned();
        Words {
            name: text.clone(),
            message: text.clone(),
            seen: text.clone(),
            place: text.clone(),
            trace: text.clone(),
            why: text,
        }
    }
}

pub(super) fn course() -> Course {
    Course::read(&root()).unwrap()
}

fn lab(id: &str) -> Lab {
    course().lab(id).unwrap().clone()
}

fn submission(words: &Words) -> SubmissionRecord {
    SubmissionRecord { id: words.name.clone(), sha256: "0".repeat(64) }
}

fn sheet(words: &Words, labs: Vec<Record>) -> Sheet {
    let isolation = Isolation {
        tier: Tier::T2,
        features: vec!["namespaces".into(), "landlock-7".into()],
        missing: vec![format!("cgroup: {}", words.why)],
    };
    let mut sheet = Sheet::new(submission(words), words.name.clone(), isolation, labs);
    sheet.version = "1.2.3".into();
    sheet.grader = "d".repeat(64);
    sheet.labs.iter_mut().for_each(|lab| lab.version = "1.2.3".into());
    sheet
}

fn checked(check: &Check, outcome: Result<(), Stop>, remarks: Vec<String>) -> CheckRecord {
    CheckRecord::new(check, outcome, remarks, Duration::ZERO)
}

fn graded(lab: &Lab, words: &Words, checks: impl Fn(&str) -> Vec<CheckRecord>) -> Record {
    let steps = lab.steps.iter().map(|step| StepRecord::new(step, checks(&step.id))).collect();
    Record::graded(lab, submission(words), steps, Duration::ZERO)
}

/// Everything holds, in two labs.
pub(super) fn full_pass(words: &Words) -> Sheet {
    let pass = |_: &str| vec![checked(&HOLDS, Ok(()), Vec::new())];
    let labs = ["raw-segment", "bounded-buffer"].map(|id| graded(&lab(id), words, pass));
    sheet(words, labs.into())
}

/// One of each: what holds, what holds as far as can be seen, what fails with and without a trace,
/// what is not written, not run, not decided.
pub(super) fn mixed(words: &Words) -> Sheet {
    let fails = || {
        diagnosis::fail("panics")
            .expected(format!("your producer puts {} in", words.why))
            .seen(words.seen.clone())
            .at(Some(words.place.clone()))
    };
    let checks = |step: &str| match step {
        "create" => vec![checked(&HOLDS, Ok(()), vec![format!("all runs but {}", words.why)])],
        "semaphores" => vec![
            checked(&HOLDS, Ok(()), Vec::new()),
            checked(&ALSO, Err(Stop::NotChecked(words.why.clone())), Vec::new()),
        ],
        "push" => {
            let replay = Some(format!("push-{}", words.name));
            let failed = fails().with_trace(words.trace.clone(), replay);
            vec![
                checked(&HOLDS, Err(Stop::from(failed)), Vec::new()),
                CheckRecord::skipped(&ALSO, Because::Check("it-holds".into())),
            ]
        }
        "pop" => vec![checked(&HOLDS, Err(Stop::NotStarted(words.why.clone())), Vec::new())],
        "end" => vec![checked(&HOLDS, Err(Stop::NotChecked(words.why.clone())), Vec::new())],
        "robust" => vec![checked(&HOLDS, Err(Stop::from(fails())), Vec::new())],
        _ => vec![CheckRecord::skipped(&HOLDS, Because::Step("push".into()))],
    };
    sheet(words, vec![graded(&lab("bounded-buffer"), words, checks)])
}

fn stopped(words: &Words, outcome: ResultKind) -> Sheet {
    let pass = |_: &str| vec![checked(&HOLDS, Ok(()), Vec::new())];
    let passed = graded(&lab("raw-segment"), words, pass);
    let id = lab("bounded-buffer");
    let stopped = Record::stopped(&id, submission(words), outcome, words.message.clone());
    sheet(words, vec![passed, stopped])
}

/// One lab holds, the compiler refuses the other.
pub(super) fn build_failed(words: &Words) -> Sheet {
    stopped(words, ResultKind::BuildFailed)
}

/// One lab holds, the other is not there.
pub(super) fn invalid(words: &Words) -> Sheet {
    stopped(words, ResultKind::InvalidSubmission)
}

/// Nothing in it is a submission, so that there are no records at all.
pub(super) fn refused(words: &Words) -> Sheet {
    let mut sheet = sheet(words, Vec::new());
    sheet.outcome = ResultKind::InvalidSubmission;
    sheet.message = Some(words.message.clone());
    sheet.max_points = 100;
    sheet
}

/// The grader fails in one step of a lab whose other steps hold.
pub(super) fn broken(words: &Words) -> Sheet {
    let checks = |step: &str| match step {
        "push" => vec![checked(&HOLDS, Err(Stop::Broken(words.why.clone())), Vec::new())],
        _ => vec![checked(&HOLDS, Ok(()), Vec::new())],
    };
    sheet(words, vec![graded(&lab("bounded-buffer"), words, checks)])
}

/// All of them with their names.
pub(super) fn all(words: &Words) -> Vec<(&'static str, Sheet)> {
    vec![
        ("full-pass", full_pass(words)),
        ("mixed", mixed(words)),
        ("build-failed", build_failed(words)),
        ("invalid", invalid(words)),
        ("refused", refused(words)),
        ("broken", broken(words)),
    ]
}
