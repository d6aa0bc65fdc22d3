//! The record of one grading, `ipc-labs/result/1`: every view is derived from it, and the score is
//! a pure function of it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::course::{Lab, Step};
use crate::diagnosis;
use crate::verdict::{Outcome, Stop};

/// The name and version of this format.
pub const SCHEMA: &str = "ipc-labs/result/1";

/// One grading of one submission for one lab.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Always `ipc-labs/result/1`.
    pub schema: String,
    /// The lab's id.
    pub lab: String,
    /// The version of the labs and of the grader, which are released together.
    pub version: String,
    /// What was graded.
    pub submission: SubmissionRecord,
    /// How far the grading got.
    pub outcome: ResultKind,
    /// Why it got no further, for all outcomes but `graded`: the compiler's own words, or ours.
    pub message: Option<String>,
    /// What the student's programs were kept away from while they ran.
    pub isolation: Isolation,
    /// Points earned of the 100, by the steps that are no bonus.
    pub points: u32,
    /// Points there are, without the bonus.
    pub max_points: u32,
    /// Bonus points earned on top.
    pub bonus: u32,
    /// Bonus points there are.
    pub max_bonus: u32,
    /// The steps in the order of the lab.
    pub steps: Vec<StepRecord>,
    /// Wall time of the whole grading, in milliseconds.
    pub duration_ms: u64,
}

/// What was graded.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SubmissionRecord {
    /// `workspace`, `solution`, a folder's or a program's name.
    pub id: String,
    /// SHA-256 over the paths and contents of the graded files, in hex; of the program where it was
    /// handed in built.
    pub sha256: String,
}

/// What a student's programs were kept away from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Isolation {
    /// How much of it there was.
    pub tier: Tier,
    /// What was in force, as short words: `namespaces`, `landlock-7`, `seccomp`.
    pub features: Vec<String>,
    /// What this machine refused, each with its reason.
    pub missing: Vec<String>,
}

/// How much confinement there was; a later one is more.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Tier {
    /// None but limits: right for a student's own work, wrong for strangers'.
    #[default]
    T0,
    /// A user of its own, refused system calls, limits: what a plain container allows.
    T1,
    /// Namespaces of its own and all of the above.
    T2,
}

/// How far a grading got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ResultKind {
    /// The checks ran; the points count.
    Graded,
    /// The compiler refused the submission; 0 points.
    BuildFailed,
    /// What was handed in is not what the lab asks for; 0 points.
    InvalidSubmission,
    /// The grader or the machine failed; the points mean nothing.
    Broken,
}

/// One step of the lab.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StepRecord {
    /// The step's id.
    pub id: String,
    /// What the step asks for.
    pub title: String,
    /// Whether its points are on top of the 100.
    pub bonus: bool,
    /// Points earned: all or none.
    pub points: u32,
    /// Points there are.
    pub max_points: u32,
    /// What came of it.
    pub status: Status,
    /// Where to read, a path in the repository with its anchor.
    pub docs: String,
    /// Its checks in the order of causes.
    pub checks: Vec<CheckRecord>,
}

/// One check.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CheckRecord {
    /// The check's id.
    pub id: String,
    /// What holds when it passes.
    pub title: String,
    /// What came of it.
    pub status: Status,
    /// The cause of a failure.
    pub diagnosis: Option<DiagnosisRecord>,
    /// Why it was not judged or not run: the `todo!` that was reached, the reason, what failed
    /// before.
    pub why: Option<String>,
    /// What a pass does not cover.
    pub remarks: Vec<String>,
    /// Wall time in milliseconds.
    pub duration_ms: u64,
}

/// What came of a check or a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It holds.
    Passed,
    /// It does not hold.
    Failed,
    /// A `todo!` of the starter was reached, or stands in a step that this one needs.
    NotStarted,
    /// Something it needs does not hold.
    Skipped,
    /// It cannot be decided here; costs no points.
    NotChecked,
    /// The grader or the machine failed.
    Broken,
}

/// The cause of a failure.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DiagnosisRecord {
    /// The stable code.
    pub code: String,
    /// What is required.
    pub required: String,
    /// What should have been seen.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// Where it happened, when known.
    pub place: Option<String>,
    /// The run in which it happened, told line by line, where a schedule was found.
    #[serde(default)]
    pub trace: Option<String>,
    /// The word after `cargo lab replay` that shows it again.
    #[serde(default)]
    pub replay: Option<String>,
    /// What usually causes it.
    pub likely: String,
    /// Where to read.
    pub docs: String,
}

/// Why a check is skipped.
pub enum Because {
    /// A step it needs is not written yet, so neither is this one.
    Unwritten(String),
    /// A step it needs has not passed.
    Step(String),
    /// An earlier check of its step has not passed.
    Check(String),
}

impl From<sandbox::Tier> for Tier {
    fn from(tier: sandbox::Tier) -> Tier {
        match tier {
            sandbox::Tier::T0 => Tier::T0,
            sandbox::Tier::T1 => Tier::T1,
            sandbox::Tier::T2 => Tier::T2,
        }
    }
}

impl Record {
    /// A grading that ran its checks.
    pub fn graded(
        lab: &Lab,
        submission: SubmissionRecord,
        steps: Vec<StepRecord>,
        took: Duration,
    ) -> Record {
        let broken = steps.iter().any(|step| step.status == Status::Broken);
        let outcome = if broken { ResultKind::Broken } else { ResultKind::Graded };
        let sum = |bonus: bool| steps.iter().filter(|s| s.bonus == bonus).map(|s| s.points).sum();
        let (points, bonus) = (sum(false), sum(true));
        let message = broken.then(|| "a check of the grader failed; see its step".to_owned());
        let duration_ms = took.as_millis() as u64;
        Record {
            points,
            bonus,
            outcome,
            message,
            duration_ms,
            ..Record::empty(lab, submission, steps)
        }
    }

    /// A grading that stopped before its checks.
    pub fn stopped(
        lab: &Lab,
        submission: SubmissionRecord,
        outcome: ResultKind,
        message: String,
    ) -> Record {
        Record { outcome, message: Some(message), ..Record::empty(lab, submission, Vec::new()) }
    }

    fn empty(lab: &Lab, submission: SubmissionRecord, steps: Vec<StepRecord>) -> Record {
        let sum =
            |bonus: bool| lab.steps.iter().filter(|s| s.bonus == bonus).map(|s| s.points).sum();
        Record {
            schema: SCHEMA.to_owned(),
            lab: lab.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            submission,
            outcome: ResultKind::Graded,
            message: None,
            isolation: Isolation::default(),
            points: 0,
            max_points: sum(false),
            bonus: 0,
            max_bonus: sum(true),
            steps,
            duration_ms: 0,
        }
    }

    /// Whether every step that was judged has passed, the bonus included.
    pub fn passed(&self) -> bool {
        self.outcome == ResultKind::Graded
            && !self.steps.is_empty()
            && self.steps.iter().all(|step| step.status == Status::Passed)
    }

    /// The first step that has not passed: what to do next.
    pub fn next_step(&self) -> Option<&StepRecord> {
        self.steps.iter().find(|step| step.status != Status::Passed)
    }
}

impl StepRecord {
    /// Sums up its checks: all points when none stands against it, else none.
    pub fn new(step: &Step, checks: Vec<CheckRecord>) -> StepRecord {
        let worst = [Status::Broken, Status::NotStarted, Status::Failed, Status::Skipped];
        let found = worst.into_iter().find(|status| checks.iter().any(|c| c.status == *status));
        // A check that cannot be decided here costs nothing, but a step with nothing decided at all
        // has not been seen to hold.
        let decided = checks.iter().any(|check| check.status == Status::Passed);
        let otherwise = if decided { Status::Passed } else { Status::NotChecked };
        let status = found.unwrap_or(otherwise);
        StepRecord {
            id: step.id.clone(),
            title: step.title.clone(),
            bonus: step.bonus,
            points: if status == Status::Passed { step.points } else { 0 },
            max_points: step.points,
            status,
            docs: step.docs.clone(),
            checks,
        }
    }

    /// The check that decided against the step.
    pub fn deciding(&self) -> Option<&CheckRecord> {
        self.checks
            .iter()
            .find(|check| check.status == self.status && self.status != Status::Passed)
    }
}

impl CheckRecord {
    /// The record of a check that ran.
    pub fn new(
        check: &Check,
        outcome: Outcome,
        remarks: Vec<String>,
        took: Duration,
    ) -> CheckRecord {
        let (status, diagnosis, why) = match outcome {
            Ok(()) => (Status::Passed, None, None),
            Err(Stop::Fail(diagnosis)) => {
                (Status::Failed, Some(DiagnosisRecord::new(*diagnosis)), None)
            }
            Err(Stop::NotStarted(todo)) => (Status::NotStarted, None, Some(todo)),
            Err(Stop::NotChecked(reason)) => (Status::NotChecked, None, Some(reason)),
            Err(Stop::Broken(reason)) => (Status::Broken, None, Some(reason)),
        };
        let duration_ms = took.as_millis() as u64;
        CheckRecord { status, diagnosis, why, remarks, duration_ms, ..CheckRecord::of(check) }
    }

    /// The record of a check that was not run.
    pub fn skipped(check: &Check, because: Because) -> CheckRecord {
        let (status, why) = match because {
            Because::Unwritten(step) => (Status::NotStarted, format!("after the step {step}")),
            Because::Step(step) => (Status::Skipped, format!("needs the step {step}")),
            Because::Check(check) => (Status::Skipped, format!("comes after {check}")),
        };
        CheckRecord { status, why: Some(why), ..CheckRecord::of(check) }
    }

    /// The record of the step at which the time for the whole submission was up.
    pub fn out_of_time(took: Duration) -> CheckRecord {
        let seen = "the time for the whole submission was up".to_owned();
        let diagnosis = diagnosis::fail("takes-too-long")
            .expected("all checks together are done in the time there is")
            .seen(seen);
        CheckRecord {
            id: "it-is-done-in-time".to_owned(),
            title: "it is done in time".to_owned(),
            status: Status::Failed,
            diagnosis: Some(DiagnosisRecord::new(diagnosis)),
            why: None,
            remarks: Vec::new(),
            duration_ms: took.as_millis() as u64,
        }
    }

    /// Whether the rest of its step would only show consequences.
    pub fn stops_the_step(&self) -> bool {
        !matches!(self.status, Status::Passed | Status::NotChecked)
    }

    fn of(check: &Check) -> CheckRecord {
        CheckRecord {
            id: check.id.to_owned(),
            title: check.title.to_owned(),
            status: Status::Skipped,
            diagnosis: None,
            why: None,
            remarks: Vec::new(),
            duration_ms: 0,
        }
    }
}

impl DiagnosisRecord {
    fn new(diagnosis: diagnosis::Diagnosis) -> DiagnosisRecord {
        let entry = diagnosis::entry(diagnosis.code);
        let text =
            |field: fn(&diagnosis::Entry) -> &String| entry.map(field).cloned().unwrap_or_default();
        DiagnosisRecord {
            code: diagnosis.code.to_owned(),
            required: text(|entry| &entry.required),
            expected: diagnosis.expected,
            seen: diagnosis.seen,
            place: diagnosis.place,
            trace: diagnosis.trace,
            replay: diagnosis.replay,
            likely: text(|entry| &entry.likely),
            docs: text(|entry| &entry.docs),
        }
    }
}
