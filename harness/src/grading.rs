//! Grades one submission for one lab: collect, build, judge, record.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use sha2::{Digest, Sha256};

use crate::bench::{Bench, DEADLINE, Lazy};
use crate::check::{self, Check, Extent, Told};
use crate::checks;
use crate::compile::{Built, Workshop};
use crate::course::{Course, Lab, Step};
use crate::isolation::{Answer, Cut, Done, Isolation, Judge};
use crate::peer::to_hex;
use crate::record::{CheckRecord, Record, ResultKind, StepRecord, SubmissionRecord};
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
        workshop: &Workshop<'_>,
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

    /// Builds a stranger's submission, in a cell.
    ///
    /// # Errors
    ///
    /// When the machine is at fault; a program that does not compile is no error but a result.
    pub fn build_confined(
        &self,
        workshop: &Workshop<'_>,
        submission: &Submission,
    ) -> Result<Result<Judge, String>> {
        let program = match workshop.build(self.course, self.lab, submission)? {
            Built::Refused(words) => return Ok(Err(words)),
            Built::Program(program) => program,
        };
        let reads = checks::read_orderings(&self.lab.id);
        let intermediate = if reads { workshop.intermediate(self.lab)? } else { Vec::new() };
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let files = submission.files.iter();
        Ok(Ok(Judge {
            lab: self.lab.clone(),
            program,
            intermediate,
            files: files.map(|(path, bytes)| (path.clone(), text(bytes))).collect(),
            step: match self.extent {
                Extent::Step(step) => Some(step.to_owned()),
                Extent::Whole | Extent::FirstFailure => None,
            },
        }))
    }

    /// Judges in a cell what was built there of a stranger's submission since `start`.
    ///
    /// # Errors
    ///
    /// When the machine is at fault; a submission that fails is no error.
    pub fn judge_confined(
        &self,
        built: Result<Judge, String>,
        isolation: &Isolation,
        submission: SubmissionRecord,
        deadline: Duration,
        start: Instant,
        tell: impl Fn(&str),
    ) -> Result<Record> {
        let record = match built {
            Err(words) => Record::stopped(self.lab, submission, ResultKind::BuildFailed, words),
            Ok(judge) => {
                let done = isolation.judge(judge, deadline, |answer| {
                    if let Answer::Checking(step, title) = answer {
                        tell(&format!("{step}: {title}"));
                    }
                })?;
                summed_up(self.lab, submission, done, self.extent, start)
            }
        };
        Ok(Record { isolation: isolation.record().clone(), ..record })
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
            confined: None,
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
        let steps = check::judge(self.lab, bench, self.extent, |told| {
            if let Told::Check(step, check) = told {
                tell(Progress::Check(step, check));
            }
        });
        Record::graded(self.lab, submission, steps, start.elapsed())
    }
}

/// The record of what a judge has said before it was done or was cut off.
fn summed_up(
    lab: &Lab,
    submission: SubmissionRecord,
    done: Done,
    extent: Extent<'_>,
    start: Instant,
) -> Record {
    let broken = |why: String| Record::stopped(lab, submission.clone(), ResultKind::Broken, why);
    let mut steps: Vec<StepRecord> = Vec::new();
    for answer in done.answers {
        match answer {
            Answer::Step(step) => steps.push(*step),
            Answer::Refused(why) | Answer::Broken(why) => return broken(why),
            _ => {}
        }
    }
    match done.cut {
        None => {}
        Some(Cut::Died(how)) => return broken(format!("the judge {how}")),
        // What was judged by then counts; for what was not, there was no time left.
        Some(Cut::Deadline) => {
            let judged = |step: &&Step| match extent {
                Extent::Step(only) => step.id == only,
                Extent::Whole | Extent::FirstFailure => true,
            };
            for step in lab.steps.iter().filter(judged) {
                if !steps.iter().any(|done| done.id == step.id) {
                    steps.push(StepRecord::new(
                        step,
                        vec![CheckRecord::out_of_time(start.elapsed())],
                    ));
                }
            }
        }
    }
    Record::graded(lab, submission, steps, start.elapsed())
}
