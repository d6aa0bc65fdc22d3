//! Grades many submissions: each is opened, compiled and judged in cells, and has a mark sheet of its
//! own the moment it is done. Stopped at any moment, nothing that was done is lost.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use sha2::{Digest, Sha256};

use crate::check::Extent;
use crate::compile::Workshop;
use crate::course::{Course, Lab};
use crate::grading::Order;
use crate::intake::{self, Source};
use crate::isolation::Isolation;
use crate::peer::to_hex;
use crate::record::{Record, ResultKind, SubmissionRecord};
use crate::report::views::{Context, Format};
use crate::results::Results;
use crate::sheet::Sheet;
use crate::side_by_side::side_by_side;
use crate::submission::{Origin, Submission, labs_in};

/// How many labs of one submission are graded at once: while one is judged, which is waiting for half
/// of the time, another is compiled.
const LABS_AT_ONCE: usize = 2;

/// How a batch is graded.
pub struct Batch<'a> {
    /// The course.
    pub course: &'a Course,
    /// The labs that are asked for; those that a submission holds where none is.
    pub labs: Vec<&'a Lab>,
    /// The one step to judge; all where none is named.
    pub step: Option<String>,
    /// The harness's own program.
    pub harness: PathBuf,
    /// How the submissions are kept in.
    pub isolation: &'a Isolation,
    /// How long one lab of a submission may be judged.
    pub deadline: Duration,
    /// Where the sheets go.
    pub results: &'a Results,
    /// Formats that are written beside each sheet.
    pub formats: &'a [Format],
    /// What these need and a sheet does not know.
    pub context: Context,
    /// Whether a sheet that is there and still true is kept.
    pub resume: bool,
    /// What the sheets were made by; see [`grader`].
    pub grader: String,
}

/// What came of one submission.
pub struct Graded {
    /// Its sheet.
    pub sheet: Sheet,
    /// Whether it was there already.
    pub kept: bool,
}

/// A digest of everything that decides a mark apart from the submission: this program, and the labs as
/// they are given. A sheet by another grader is not kept when a batch is resumed.
///
/// # Errors
///
/// What the system says.
pub fn grader(course: &Course, harness: &std::path::Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut file = std::fs::File::open(harness).context("cannot read our own program")?;
    std::io::copy(&mut file, &mut hash)?;
    for path in crate::overlay::given_by_the_course(course)? {
        hash.update(std::fs::read(path)?);
    }
    for lab in &course.labs {
        hash.update(serde_json::to_vec(lab)?);
        for file in crate::overlay::given_files(course, lab)? {
            hash.update(std::fs::read(file)?);
        }
    }
    Ok(to_hex(&hash.finalize()))
}

/// The part of a batch that one of several machines takes: stable, whatever the order.
pub fn shard(sources: Vec<Source>, index: u64, count: u64) -> Vec<Source> {
    let ours = |source: &Source| {
        let digest = Sha256::digest(&source.id);
        let number = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        number % count == index
    };
    sources.into_iter().filter(ours).collect()
}

impl<'a> Batch<'a> {
    /// Grades all of them, so many at once. `tell` hears what is being done for which, `done` each
    /// sheet when it has been written.
    ///
    /// # Errors
    ///
    /// When a result cannot be written. What the machine fails at otherwise is a sheet that is
    /// `broken`.
    pub fn grade(
        &self,
        sources: &[Source],
        jobs: usize,
        tell: impl Fn(&Source, &str) + Sync,
        done: impl Fn(usize, &Graded) + Sync,
    ) -> Result<Vec<Graded>> {
        let work = |source: &Source| -> Result<Graded> {
            let graded = self.grade_one(source, |text| tell(source, text));
            // Other formats first: a sheet that is there says that they are too.
            self.results.render(&graded.sheet, self.formats, &self.context)?;
            if !graded.kept {
                self.results.keep(&graded.sheet)?;
            }
            Ok(graded)
        };
        let graded = side_by_side(jobs, sources, work, |number, _, graded| {
            if let Ok(graded) = graded {
                done(number, graded);
            }
        });
        graded.into_iter().collect()
    }

    fn grade_one(&self, source: &Source, tell: impl Fn(&str) + Sync) -> Graded {
        match self.try_one(source, tell) {
            Ok(graded) => graded,
            Err(error) => {
                let why = format!("{error:#}");
                let broken = |lab: &&Lab| {
                    Record::stopped(lab, self.named(source, ""), ResultKind::Broken, why.clone())
                };
                let labs = if self.labs.is_empty() { self.all_labs() } else { self.labs.clone() };
                let records = labs.iter().map(broken).collect();
                Graded { sheet: self.sheet(source, "", records, Some(why)), kept: false }
            }
        }
    }

    fn try_one(&self, source: &Source, tell: impl Fn(&str) + Sync) -> Result<Graded> {
        tell("opening");
        let content = intake::open(self.course, self.isolation, source)?;
        let folder = content.as_ref().map(|content| content.folder.clone());
        let labs = match (&folder, self.labs.is_empty()) {
            (_, false) => self.labs.clone(),
            (Ok(folder), true) => labs_in(self.course, folder).unwrap_or_else(|_| self.all_labs()),
            (Err(_), true) => self.all_labs(),
        };
        // What is wrong with a submission is as much part of it as its files.
        let read: Vec<(&Lab, Result<Submission, String>)> = labs
            .into_iter()
            .map(|lab| {
                let submission = folder.clone().map_err(String::clone).and_then(|folder| {
                    let origin = Origin::Folder(folder);
                    Submission::collect(self.course, lab, &origin).map_err(|e| format!("{e:#}"))
                });
                (lab, submission.map(|s| Submission { id: source.id.clone(), ..s }))
            })
            .collect();
        let tree = digest(&read);
        if self.resume
            && let Some(sheet) = self.results.sheet(&source.id)
            && self.still_holds(&sheet, &tree, &read)
        {
            return Ok(Graded { sheet, kept: true });
        }
        // One place to compile in for all its labs, one after the other.
        let workshop = Mutex::new(None);
        let records = side_by_side(
            LABS_AT_ONCE,
            &read,
            |(lab, submission)| {
                let told = |text: &str| tell(&format!("{}: {text}", lab.id));
                match submission {
                    Ok(submission) => self
                        .grade_lab(source, lab, submission, &workshop, told)
                        .unwrap_or_else(|error| {
                            let (named, why) = (submission.record(), format!("{error:#}"));
                            Record::stopped(lab, named, ResultKind::Broken, why)
                        }),
                    Err(why) => {
                        let kind = ResultKind::InvalidSubmission;
                        Record::stopped(lab, self.named(source, &tree), kind, why.clone())
                    }
                }
            },
            |_, _, _| {},
        );
        Ok(Graded { sheet: self.sheet(source, &tree, records, None), kept: false })
    }

    /// Grades one lab of a submission, in the workshop of the submission, which the first lab opens.
    fn grade_lab(
        &self,
        source: &Source,
        lab: &Lab,
        submission: &Submission,
        workshop: &Mutex<Option<Workshop<'a>>>,
        tell: impl Fn(&str),
    ) -> Result<Record> {
        let order = Order {
            course: self.course,
            lab,
            extent: self.step.as_deref().map_or(Extent::Whole, Extent::Step),
            harness: self.harness.clone(),
            blunt: None,
        };
        let (start, built) = {
            let mut workshop = workshop.lock().unwrap_or_else(PoisonError::into_inner);
            tell("building");
            let start = Instant::now();
            let workshop = match &mut *workshop {
                Some(workshop) => workshop,
                none => {
                    let origin = Origin::Folder(source.path.clone());
                    let isolation = Some(self.isolation);
                    none.insert(Workshop::open_with(self.course, &origin, isolation, &tell)?)
                }
            };
            (start, order.build_confined(workshop, submission)?)
        };
        let named = submission.record();
        order.judge_confined(built, self.isolation, named, self.deadline, start, tell)
    }

    fn sheet(
        &self,
        source: &Source,
        tree: &str,
        records: Vec<Record>,
        message: Option<String>,
    ) -> Sheet {
        let isolation = self.isolation.record().clone();
        let sheet = Sheet::new(self.named(source, tree), source.name.clone(), isolation, records);
        Sheet { message, grader: self.grader.clone(), ..sheet }
    }

    /// Whether a sheet of an earlier day is what we would write now.
    fn still_holds(
        &self,
        sheet: &Sheet,
        tree: &str,
        read: &[(&Lab, Result<Submission, String>)],
    ) -> bool {
        let labs = sheet.labs.iter().map(|record| record.lab.as_str());
        sheet.counts()
            && sheet.submission.sha256 == tree
            && sheet.grader == self.grader
            && sheet.isolation.tier == self.isolation.record().tier
            && labs.eq(read.iter().map(|(lab, _)| lab.id.as_str()))
    }

    fn named(&self, source: &Source, tree: &str) -> SubmissionRecord {
        SubmissionRecord { id: source.id.clone(), sha256: tree.to_owned() }
    }

    fn all_labs(&self) -> Vec<&Lab> {
        self.course.labs.iter().collect()
    }
}

/// A digest of what was handed in, for all labs together.
fn digest(read: &[(&Lab, Result<Submission, String>)]) -> String {
    let mut hash = Sha256::new();
    for (lab, submission) in read {
        let text = match submission {
            Ok(submission) => submission.sha256(),
            Err(why) => format!("not taken: {why}"),
        };
        for part in [lab.id.as_str(), &text] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    to_hex(&hash.finalize())
}
