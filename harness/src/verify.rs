//! The course proves itself: starters are not started, solutions get full marks, every wrong
//! submission of the corpus is caught by the named check for the named cause, every right one
//! passes, and every check catches something.
//!
//! A grader is worth what it tells apart, and this is where that is measured.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::bench::{Bench, Lazy};
use crate::check::{Check, Extent};
use crate::checks;
use crate::compile::{Built, Workshop};
use crate::course::{Course, Lab};
use crate::grading::Order;
use crate::in_c;
use crate::overlay::put;
use crate::record::{Record, ResultKind, Status, SubmissionRecord};
use crate::report::text;
use crate::side_by_side::side_by_side;
use crate::submission::{Origin, Submission};

/// What a wrong submission is rejected for, as its `expect.toml` says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The step that is lost.
    pub step: String,
    /// The check that finds it.
    pub check: String,
    /// The cause it names.
    pub code: String,
    /// Whether only a schedule shows it: then it is not judged where none can be controlled.
    #[serde(default)]
    pub exploration: bool,
}

/// What kind of submission a case is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As handed out: nothing is written.
    Starter,
    /// The reference.
    Solution,
    /// With one plausible mistake.
    Wrong(Expect),
    /// Correct, and unlike the reference.
    Right,
}

/// One submission to be judged.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// Its lab.
    pub lab: &'a Lab,
    /// What it is.
    pub kind: Kind,
    /// The folder of its files.
    pub folder: PathBuf,
    /// How it is called in a table: `bounded-buffer wrong/forgets-the-post`.
    pub name: String,
}

/// What came of one case.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The case.
    pub case: String,
    /// How often it was judged.
    pub times: u32,
    /// What was not as expected, each time it was not.
    pub unexpected: Vec<String>,
}

/// How to judge.
pub struct Plan<'a> {
    /// The course.
    pub course: &'a Course,
    /// The harness's own program.
    pub harness: PathBuf,
    /// How often each case is judged.
    pub repeat: u32,
    /// How many cases are judged at once.
    pub jobs: usize,
    /// A check that passes whatever it sees, as `lab/check`.
    pub blunt: Option<String>,
    /// Whether what the authors of wrong submissions read is written down anew.
    pub update: bool,
}

/// The folder of the corpus.
const CORPUS: &str = "harness/tests/submissions";

/// All cases of the labs, in a stable order.
///
/// # Errors
///
/// When an `expect.toml` cannot be read, or names what does not exist.
pub fn cases<'a>(course: &'a Course, labs: &[&'a Lab]) -> Result<Vec<Case<'a>>> {
    let mut cases = Vec::new();
    for &lab in labs {
        let case = |kind, folder, name: &str| Case {
            lab,
            kind,
            folder,
            name: format!("{} {name}", lab.id),
        };
        let starter = course.root.join("harness/starters").join(&lab.id);
        cases.push(case(Kind::Starter, starter, "starter"));
        cases.push(case(Kind::Solution, course.solution_folder(lab), "solution"));
        // The right ones first: each is judged to its end and takes longest, and what takes long should
        // not begin when all else is done.
        for sort in ["right", "wrong"] {
            let folder = course.root.join(CORPUS).join(&lab.id).join(sort);
            let mut folders: Vec<PathBuf> = fs::read_dir(&folder)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .collect();
            folders.sort();
            for folder in folders {
                let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let kind =
                    if sort == "wrong" { Kind::Wrong(expect(lab, &folder)?) } else { Kind::Right };
                cases.push(case(kind, folder.join("files"), &format!("{sort}/{name}")));
            }
        }
    }
    Ok(cases)
}

fn expect(lab: &Lab, folder: &std::path::Path) -> Result<Expect> {
    let path = folder.join("expect.toml");
    let read = || -> Result<Expect> {
        let expect: Expect = toml::from_str(&fs::read_to_string(&path)?)?;
        lab.known_step(&expect.step)?;
        let known = |check: &&Check| check.id == expect.check && check.step == expect.step;
        checks::table(&lab.id).iter().find(known).with_context(|| {
            format!("{} has no check `{}` in the step {}", lab.id, expect.check, expect.step)
        })?;
        Ok(expect)
    };
    read().with_context(|| format!("{} is not as it should be", path.display()))
}

/// Judges all cases, so many at once, and tells after each how many are done and what was found. Where
/// the machine cannot build or run a case, that is what was found of it: the others count all the same.
pub fn judge(
    plan: &Plan<'_>,
    cases: &[Case<'_>],
    done: impl Fn(usize, &Finding) + Sync,
) -> Vec<Finding> {
    let judge = |case: &Case<'_>| {
        plan.judge(case).unwrap_or_else(|error| Finding {
            case: case.name.clone(),
            times: plan.repeat,
            unexpected: vec![format!("could not be judged: {error:#}")],
        })
    };
    side_by_side(plan.jobs, cases, judge, |number, _, finding| done(number, finding))
}

/// One check that was made to pass whatever it sees.
#[derive(Clone, Debug, Serialize)]
pub struct Weakened {
    /// The check, as `lab/check`.
    pub check: String,
    /// The wrong submission that it alone should have caught.
    pub case: String,
    /// What came of that one instead; nothing where nobody noticed.
    pub noticed: Option<String>,
}

/// Makes each check pass in turn, and judges a wrong submission that it catches: the verdict must be
/// another. Checks that catch nothing are left out; see [`idle_checks`].
///
/// # Errors
///
/// When the machine cannot build or run anything.
pub fn weaken(
    plan: &Plan<'_>,
    cases: &[Case<'_>],
    done: impl Fn(usize, &str) + Sync,
) -> Result<Vec<Weakened>> {
    let mut seen = BTreeSet::new();
    let catchers: Vec<(String, &Case<'_>)> = cases
        .iter()
        .filter_map(|case| match &case.kind {
            Kind::Wrong(expect) => Some((format!("{}/{}", case.lab.id, expect.check), case)),
            _ => None,
        })
        .filter(|(check, _)| seen.insert(check.clone()))
        .collect();
    let work = |(check, case): &(String, &Case<'_>)| {
        let blunt = Plan { blunt: Some(check.clone()), harness: plan.harness.clone(), ..*plan };
        let noticed = blunt.judge(case)?.unexpected.into_iter().next();
        Ok(Weakened { check: check.clone(), case: case.name.clone(), noticed })
    };
    let weakened =
        side_by_side(plan.jobs, &catchers, work, |number, (check, _), _| done(number, check));
    weakened.into_iter().collect()
}

impl Plan<'_> {
    fn judge(&self, case: &Case<'_>) -> Result<Finding> {
        let blunt = self.blunt.as_deref().and_then(|blunt| blunt.split_once('/'));
        let blunt = blunt.filter(|(lab, _)| *lab == case.lab.id).map(|(_, check)| check);
        let extent = match case.kind {
            Kind::Wrong(_) => Extent::FirstFailure,
            _ => Extent::Whole,
        };
        let order = Order {
            course: self.course,
            lab: case.lab,
            extent,
            harness: self.harness.clone(),
            blunt,
        };
        let mut finding =
            Finding { case: case.name.clone(), times: self.repeat, unexpected: Vec::new() };
        let mut refused = |words: String| {
            let first = words.lines().next().unwrap_or("");
            finding.unexpected.push(format!("does not compile: {first}"));
        };
        if let Some(submission) = in_c::submission(case.lab, &case.folder)? {
            let folder = tempfile::tempdir()?;
            match in_c::build(&submission, folder.path())? {
                Built::Refused(words) => refused(words),
                Built::Program(program) => {
                    let bench = order.bench(program, Lazy::default(), submission.files.clone());
                    finding.unexpected = self.repeat(case, &order, &bench, &submission.record())?;
                }
            }
            return Ok(finding);
        }
        let origin = match case.kind {
            Kind::Solution => Origin::Solution,
            Kind::Starter => Origin::Folder(case.folder.clone()),
            Kind::Wrong(_) | Kind::Right => Origin::Change(case.folder.clone()),
        };
        let submission = Submission::collect(self.course, case.lab, &origin)?;
        // A workshop of its own also for the solution: nothing of an earlier day is in it.
        let workshop = Workshop::open(self.course, &Origin::Folder(case.folder.clone()), |_| {})?;
        match workshop.build(self.course, case.lab, &submission)? {
            Built::Refused(words) => refused(words),
            Built::Program(program) => {
                let orderings = Lazy::new(workshop.orderings(case.lab, &submission));
                let bench = order.bench(program, orderings, submission.files.clone());
                finding.unexpected = self.repeat(case, &order, &bench, &submission.record())?;
            }
        }
        Ok(finding)
    }

    /// Judges as often as is planned, and returns what was not as expected.
    fn repeat(
        &self,
        case: &Case<'_>,
        order: &Order<'_>,
        bench: &Bench,
        submission: &SubmissionRecord,
    ) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for _ in 0..self.repeat {
            let record = order.judge(bench, submission.clone(), Instant::now(), |_| {});
            let unexpected = unexpected(case, &record);
            let caught = matches!(case.kind, Kind::Wrong(_)) && unexpected.is_none();
            all.extend(unexpected);
            if caught {
                all.extend(self.compare(case, &text::first_failure(&record))?);
            }
        }
        Ok(all)
    }

    /// Compares what the author reads with what is written down beside the submission, so that a
    /// change of any message is seen where changes are reviewed.
    fn compare(&self, case: &Case<'_>, told: &str) -> Result<Option<String>> {
        let path = case.folder.with_file_name("report.txt");
        if self.update {
            put(&path, told.as_bytes())?;
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        let differs = written.lines().zip(told.lines()).find(|(one, other)| one != other);
        Ok(match differs {
            _ if written == told => None,
            Some((one, other)) => {
                Some(format!("report.txt has `{}`, and it reads `{}`", one.trim(), other.trim()))
            }
            None => Some("report.txt is not what is read (`cargo lab verify --update`)".to_owned()),
        })
    }
}

/// What is not as the case demands.
fn unexpected(case: &Case<'_>, record: &Record) -> Option<String> {
    if record.outcome != ResultKind::Graded {
        return Some(format!("{:?}: {}", record.outcome, broken(record)));
    }
    match &case.kind {
        Kind::Starter => {
            let step = record.steps.iter().find(|step| step.status != Status::NotStarted)?;
            Some(format!("step {} is {:?}, not NotStarted", step.id, step.status))
        }
        Kind::Solution | Kind::Right => {
            let full = record.points == record.max_points && record.bonus == record.max_bonus;
            (!full).then(|| {
                format!("{}/{}: {}", record.points, record.max_points, first_failure(record))
            })
        }
        Kind::Wrong(expect) => {
            let wanted = format!("{} {} {}", expect.step, expect.check, expect.code);
            let seen = first_failure(record);
            (seen != wanted).then(|| format!("want `{wanted}`, got `{seen}`"))
        }
    }
}

/// Step, check and cause of what a student reads first.
fn first_failure(record: &Record) -> String {
    for step in &record.steps {
        for check in &step.checks {
            match (&check.diagnosis, check.status) {
                (Some(diagnosis), _) => {
                    return format!("{} {} {}", step.id, check.id, diagnosis.code);
                }
                (None, Status::NotStarted) => {
                    return format!("{} {} not started", step.id, check.id);
                }
                _ => {}
            }
        }
    }
    "nothing".to_owned()
}

fn broken(record: &Record) -> String {
    let checks = record.steps.iter().flat_map(|step| &step.checks);
    let broken = checks.filter(|check| check.status == Status::Broken);
    broken.filter_map(|check| check.why.clone()).next().unwrap_or_default()
}

/// Checks that no wrong submission of the corpus is caught by, as `lab/check`: nothing shows that
/// they can fail.
pub fn idle_checks(labs: &[&Lab], cases: &[Case<'_>]) -> Vec<String> {
    let mut caught = BTreeSet::new();
    for case in cases {
        if let Kind::Wrong(expect) = &case.kind {
            caught.insert((case.lab.id.as_str(), expect.check.as_str()));
        }
    }
    let mut idle = Vec::new();
    for lab in labs {
        for check in checks::table(&lab.id) {
            if !caught.contains(&(lab.id.as_str(), check.id)) {
                idle.push(format!("{}/{}", lab.id, check.id));
            }
        }
    }
    idle
}
