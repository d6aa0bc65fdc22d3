//! The mark sheet of one submission: the records of its labs, and what they sum up to. One submission
//! in, one file out; every platform's format is derived from it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::{Isolation, Record, ResultKind, SubmissionRecord};

/// The name and version of this format.
pub const SCHEMA: &str = "ipc-labs/sheet/1";

/// One submission, graded.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Sheet {
    /// Always `ipc-labs/sheet/1`.
    pub schema: String,
    /// The version of the labs and of the grader, which are released together.
    pub version: String,
    /// A digest of the grader and the labs as they were given: the same marks only by the same.
    pub grader: String,
    /// Who or what was graded; its id is safe as a file's name.
    pub submission: SubmissionRecord,
    /// What it was called where it came from, as it was: not safe as a file's name or in a terminal.
    pub source: String,
    /// The worst of its labs: `broken` before `invalid-submission` before `build-failed` before
    /// `graded`.
    pub outcome: ResultKind,
    /// Why nothing could be graded at all, where that is so.
    pub message: Option<String>,
    /// What the student's programs were kept away from.
    pub isolation: Isolation,
    /// Points earned in all labs together; they mean nothing where the outcome is `broken`.
    pub points: u32,
    /// Points there are in the labs that were asked for.
    pub max_points: u32,
    /// Bonus points earned on top.
    pub bonus: u32,
    /// Bonus points there are.
    pub max_bonus: u32,
    /// One record for each lab that was asked for, in teaching order.
    pub labs: Vec<Record>,
    /// Wall time of the whole, in milliseconds.
    pub duration_ms: u64,
}

impl Sheet {
    /// Sums up the records of a submission's labs.
    pub fn new(
        submission: SubmissionRecord,
        source: String,
        isolation: Isolation,
        labs: Vec<Record>,
    ) -> Sheet {
        let sum = |field: fn(&Record) -> u32| labs.iter().map(field).sum();
        let severity = |outcome: ResultKind| match outcome {
            ResultKind::Graded => 0,
            ResultKind::BuildFailed => 1,
            ResultKind::InvalidSubmission => 2,
            ResultKind::Broken => 3,
        };
        let worst = labs.iter().map(|lab| lab.outcome).max_by_key(|&outcome| severity(outcome));
        Sheet {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            grader: String::new(),
            submission,
            source,
            outcome: worst.unwrap_or(ResultKind::Broken),
            message: None,
            isolation,
            points: sum(|lab| lab.points),
            max_points: sum(|lab| lab.max_points),
            bonus: sum(|lab| lab.bonus),
            max_bonus: sum(|lab| lab.max_bonus),
            duration_ms: labs.iter().map(|lab| lab.duration_ms).sum(),
            labs,
        }
    }

    /// Whether the points mean anything: a fault of ours is never 0 points.
    pub fn counts(&self) -> bool {
        self.outcome != ResultKind::Broken
    }
}
