//! Grades one submission for one lab: collect, build, judge, record.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use sha2::{Digest, Sha256};

use crate::bench::{Bench, DEADLINE, Lazy};
use crate::check::{self, Check, Extent};
use crate::checks;
use crate::compile::{Built, Workshop};
use crate::course::{Course, Lab, Step};
use crate::peer::to_hex;
use crate::record::{Record, ResultKind, SubmissionRecord};
use crate::submission::{Submission, name_of};

/// What is to be graded.
pub struct Order<'a> {
    /// The course.
    pub course: &'a Course,
    /// The lab.
    pub lab: &'a Lab,
    /// Which of its steps.
    pub extent: Extent<'a>,
    /// The harness's own program, which plays the peer.
    pub harness: PathBuf,
    /// A check that passes whatever it sees; see [`Bench::blunt`].
    pub blunt: Option<&'a str>,
}

/// Something to tell a person who waits.
pub enum Progress<'a> {
    /// Long work begins.
    Work(&'a str),
    /// A check begins.
    Check(&'a Step, &'a Check),
}

impl Order<'_> {
    /// Builds and grades a submission in the workshop of its origin.
    ///
    /// # Errors
    ///
    /// When the machine is at fault; a submission that fails is no error.
    pub fn grade(
        &self,
        workshop: &Workshop,
        submission: &Submission,
        tell: impl Fn(Progress<'_>),
    ) -> Result<Record> {
        let start = Instant::now();
        tell(Progress::Work("building"));
        match workshop.build(self.course, self.lab, submission)? {
            Built::Refused(words) => {
                Ok(Record::stopped(self.lab, submission.record(), ResultKind::BuildFailed, words))
            }
            Built::Program(program) => {
                let orderings = Lazy::new(workshop.orderings(self.lab, submission));
                if checks::read_orderings(&self.lab.id) {
                    orderings.begin();
                }
                let bench = self.bench(program, orderings, submission.files.clone());
                Ok(self.judge(&bench, submission.record(), start, tell))
            }
        }
    }

    /// Judges a program that was handed in built, in whatever language.
    ///
    /// # Errors
    ///
    /// When the program cannot be read.
    pub fn grade_program(&self, program: &Path, tell: impl Fn(Progress<'_>)) -> Result<Record> {
        let program = program.canonicalize().map_err(|error| {
            anyhow!(
                "the program {} cannot be read ({error})\n  what to do: name a program that exists",
                program.display()
            )
        })?;
        let bytes = std::fs::read(&program)
            .with_context(|| format!("cannot read {}", program.display()))?;
        let submission =
            SubmissionRecord { id: name_of(&program), sha256: to_hex(&Sha256::digest(bytes)) };
        let bench = self.bench(program, Lazy::default(), BTreeMap::new());
        Ok(self.judge(&bench, submission, Instant::now(), tell))
    }

    /// What the checks are run with.
    pub fn bench(
        &self,
        program: PathBuf,
        orderings: Lazy,
        files: BTreeMap<PathBuf, Vec<u8>>,
    ) -> Bench {
        Bench {
            program,
            peer_program: self.harness.clone(),
            words: checks::words(&self.lab.id),
            deadline: DEADLINE,
            orderings,
            files,
            blunt: self.blunt.map(str::to_owned),
        }
    }

    /// Judges what is on the bench.
    pub fn judge(
        &self,
        bench: &Bench,
        submission: SubmissionRecord,
        start: Instant,
        tell: impl Fn(Progress<'_>),
    ) -> Record {
        let steps = check::judge(self.lab, bench, self.extent, |step, check| {
            tell(Progress::Check(step, check))
        });
        Record::graded(self.lab, submission, steps, start.elapsed())
    }
}
