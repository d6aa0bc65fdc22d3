//! What came of an exploration.

use std::fmt;

use crate::happens_before::Race;
use crate::schedule::letter;
use crate::timeline::Timeline;
use crate::{Exit, Schedule};

/// What came of an exploration.
#[derive(Clone, Debug)]
pub struct Report {
    /// The first fault that was found, as it shows in the shortest schedule; or that there is none.
    pub verdict: Verdict,
    /// The schedule that shows it. It replays.
    pub schedule: Option<Schedule>,
    /// How many interruptions and old values there are in it.
    pub interruptions: usize,
    /// What happened in that schedule, or in one without interruptions.
    pub timeline: Timeline,
    /// Accesses in that run that nothing orders. Numbers are those of the timeline's rows.
    pub races: Vec<Race>,
    /// What was tried.
    pub coverage: Coverage,
    /// A number for all that happened in the run of the timeline: the same run has the same number.
    pub hash: u64,
}

/// How a run is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is wrong with it.
    Pass,
    /// Every process ended well, and the check said this.
    Wrong(String),
    /// Nobody can go on, and somebody sleeps.
    Deadlock(Vec<Waits>),
    /// Nobody can go on: all that are left look at the same words again and again.
    Livelock(Vec<Waits>),
    /// A process ended badly.
    Failed {
        /// Which.
        process: usize,
        /// How.
        exit: Exit,
    },
    /// It took more steps than the budget allows.
    TooLong,
    /// The player stopped it.
    Stopped,
}

/// What a process waits for.
///
/// ```
/// use interleave::{Verdict, Waits};
///
/// let both = (0..2).map(|process| Waits { process, asleep: true, offsets: vec![64] }).collect();
/// assert_eq!(Verdict::Deadlock(both).to_string(), "a deadlock: A sleeps on +64, B sleeps on +64");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Which process.
    pub process: usize,
    /// Whether it sleeps; otherwise it looks again and again.
    pub asleep: bool,
    /// Offsets in the segment.
    pub offsets: Vec<usize>,
}

impl Verdict {
    /// Whether something is wrong.
    pub fn is_bad(&self) -> bool {
        !matches!(self, Verdict::Pass | Verdict::Stopped)
    }

    /// Whether two verdicts name the same kind of fault.
    pub fn is_like(&self, other: &Verdict) -> bool {
        match (self, other) {
            (Verdict::Failed { exit: one, .. }, Verdict::Failed { exit: other, .. }) => {
                one == other
            }
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Pass => write!(f, "nothing is wrong"),
            Verdict::Wrong(why) => write!(f, "{why}"),
            Verdict::Deadlock(waits) => told(f, "a deadlock", waits),
            Verdict::Livelock(waits) => told(f, "nobody gets on", waits),
            Verdict::Failed { process, exit } => match exit {
                Exit::Code(code) => write!(f, "{} exits with {code}", letter(*process)),
                Exit::Signal(signal) => write!(f, "{} dies of signal {signal}", letter(*process)),
                Exit::Endless => write!(f, "{} computes without end", letter(*process)),
            },
            Verdict::TooLong => write!(f, "the run takes more steps than are allowed"),
            Verdict::Stopped => write!(f, "stopped by the player"),
        }
    }
}

fn told(f: &mut fmt::Formatter<'_>, what: &str, waits: &[Waits]) -> fmt::Result {
    write!(f, "{what}")?;
    for (at, wait) in waits.iter().enumerate() {
        let verb = if wait.asleep { "sleeps on" } else { "keeps looking at" };
        write!(f, "{} {} {verb}", if at == 0 { ":" } else { "," }, letter(wait.process))?;
        match wait.offsets.as_slice() {
            [] => write!(f, " something of its own")?,
            offsets => {
                for (at, offset) in offsets.iter().enumerate() {
                    write!(f, "{} +{offset}", if at == 0 { "" } else { "," })?;
                }
            }
        }
    }
    Ok(())
}

/// What was tried.
///
/// ```
/// use interleave::Coverage;
///
/// let all = Coverage { schedules: 212, bound: Some(2), complete: true, ..Coverage::default() };
/// assert!(all.to_string().starts_with("all 212 schedules with at most 2 interruptions"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// How many schedules were run.
    pub schedules: usize,
    /// How many of them differed in more than the order of steps that do not concern each other.
    pub classes: usize,
    /// The most interruptions of which all schedules were run.
    pub bound: Option<usize>,
    /// Whether there was nothing left to run.
    pub complete: bool,
    /// The most decisions in a run.
    pub longest: usize,
    /// How many interruptions and old values there were in the schedule that was found first.
    pub found_with: Option<usize>,
    /// Runs that shrinking took.
    pub shrinking: usize,
    /// Accesses that were not done one by one, but all at a time: where it is not 0, there are
    /// schedules that were not seen.
    pub imprecise: usize,
    /// Whether the orderings of the source are known; where not, no race is reported and the weak
    /// model is no weaker than the strong one.
    pub orderings: bool,
    /// Whether runs were forks.
    pub forked: bool,
    /// Where the victim was killed, and what came of it.
    pub crash_points: Vec<CrashPoint>,
    /// Processes of which no access to the segment was seen in the run of the timeline: of what they
    /// do to it, nothing was tried.
    pub unseen: Vec<usize>,
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.complete, self.bound) {
            (true, Some(bound)) => write!(
                f,
                "all {} schedules with at most {bound} interruptions of these programs on this input",
                self.schedules
            ),
            _ => write!(f, "{} schedules", self.schedules),
        }
    }
}

/// One place at which a process was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashPoint {
    /// The schedule that replays it.
    pub schedule: Schedule,
    /// The step before which it was killed.
    pub step: usize,
    /// How the others got on.
    pub verdict: Verdict,
}
