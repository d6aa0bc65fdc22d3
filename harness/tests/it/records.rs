//! The record has one documented shape, and the report is a pure function of it.

use std::time::Duration;

use harness::check::Check;
use harness::course::{Course, Lab};
use harness::record::{CheckRecord, Record, ResultKind, Status, StepRecord, SubmissionRecord};
use harness::report::text::{Detail, report};
use harness::verdict::Stop;

use crate::lab::root;

fn lab() -> Lab {
    Course::read(&root()).unwrap().lab("bounded-buffer").unwrap().clone()
}

fn submission() -> SubmissionRecord {
    SubmissionRecord { id: "somebody".into(), sha256: "0".repeat(64) }
}

fn shown(record: &Record) -> String {
    let text =
        report(record, "The bounded buffer", "cargo lab check bounded-buffer", Detail::default());
    anstream::adapter::strip_str(&text).to_string()
}

/// A record in which each step has one check, which ends as `end` says of the step's number.
fn record(end: impl Fn(usize) -> Result<(), Stop>) -> Record {
    let lab = lab();
    let check = Check { step: "", id: "it-holds", title: "it holds", run: |_| Ok(()) };
    let steps = lab.steps.iter().enumerate().map(|(index, step)| {
        let outcome = end(index + 1);
        StepRecord::new(
            step,
            vec![CheckRecord::new(&check, outcome, Vec::new(), Duration::from_millis(7))],
        )
    });
    let steps = steps.collect();
    Record::graded(&lab, submission(), steps, Duration::from_millis(70))
}

#[test]
fn the_committed_schema_is_that_of_the_record() {
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(Record)).unwrap() + "\n";
    let path = root().join("harness/schema/result-1.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &schema).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == schema, "run `UPDATE_SCHEMA=1 cargo test` and commit {}", path.display());
}

#[test]
fn a_full_pass_is_told_in_a_line_a_step() {
    let record = record(|_| Ok(()));
    assert!(record.passed());
    insta::assert_snapshot!(shown(&record));
}

#[test]
fn only_the_first_failure_is_told_in_full() {
    let fail = || {
        Stop::from(
            harness::diagnosis::fail("panics")
                .expected("your producer puts a message in")
                .seen("it panics: index out of bounds")
                .at(Some("src/buffer.rs:41".into())),
        )
    };
    let record = record(|number| if number > 3 { Err(fail()) } else { Ok(()) });
    assert!(!record.passed());
    insta::assert_snapshot!(shown(&record));
}

#[test]
fn what_is_not_written_not_checked_or_broken_is_told_apart_from_a_failure() {
    let record = record(|number| match number % 3 {
        0 => Err(Stop::NotStarted("step create: the object".into())),
        1 => Err(Stop::NotChecked("the program was not built from Rust here".into())),
        _ => Ok(()),
    });
    assert_eq!(record.outcome, ResultKind::Graded);
    insta::assert_snapshot!(shown(&record));
    let broken = self::record(|number| {
        if number == 2 { Err(Stop::Broken("no process can be started".into())) } else { Ok(()) }
    });
    assert_eq!(broken.outcome, ResultKind::Broken);
    insta::assert_snapshot!(shown(&broken));
}

#[test]
fn a_refused_build_shows_the_compilers_words() {
    let words =
        "error[E0308]: mismatched types\n --> labs/bounded-buffer/src/buffer.rs:3:5".to_owned();
    let record = Record::stopped(&lab(), submission(), ResultKind::BuildFailed, words);
    insta::assert_snapshot!(shown(&record));
}

#[test]
fn a_check_that_cannot_be_decided_costs_no_points_but_earns_none_alone() {
    let step = &lab().steps[0];
    let check = Check { step: "", id: "it-holds", title: "it holds", run: |_| Ok(()) };
    let record_of = |outcome| CheckRecord::new(&check, outcome, Vec::new(), Duration::ZERO);
    let undecided = StepRecord::new(
        step,
        vec![record_of(Ok(())), record_of(Err(Stop::NotChecked("no".into())))],
    );
    assert_eq!((undecided.status, undecided.points), (Status::Passed, step.points));
    let nothing = record(|_| Err(Stop::NotChecked("no".into())));
    assert_eq!(nothing.points, 0);
    assert!(nothing.steps.iter().all(|step| step.status == Status::NotChecked));
}

#[test]
fn a_record_survives_json() {
    let record = record(|number| if number == 1 { Err(Stop::Broken("x".into())) } else { Ok(()) });
    let json = serde_json::to_string(&record).unwrap();
    let back: Record = serde_json::from_str(&json).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), json);
}
