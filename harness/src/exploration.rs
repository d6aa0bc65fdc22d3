//! Every schedule of a student's real programs: small scenes, run by a disposable process of ours.
//!
//! The tracer shares memory with what it traces, so it is a process of its own, like the peer: the
//! deciding process sends it one request and reads one answer.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::unistd::Pid;
use sandbox::Policy;
use serde::{Deserialize, Serialize};

use crate::cleanup;
use crate::verdict::{Outcome, Stop};

pub mod pieces;
mod recipe;
mod tracer;

pub use recipe::Recipe;
pub use tracer::{main as tracer_main, play};

/// Most schedules of one piece, unless said otherwise.
pub const SCHEDULES: usize = 1500;

/// How long the tracer may take for one request. It counts schedules, and ends every run that
/// computes without end; this is only for a machine on which nothing runs any more.
const PATIENCE: Duration = Duration::from_secs(900);

/// By which rules memory behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// Sequentially consistent: every store is seen by all at once
    Sc,
    /// As on x86: a store waits in its process's buffer before others see it
    Tso,
    /// As the source's orderings allow: what nothing orders may be seen late
    Weak,
}

/// Which schedules are tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// All with at most so many interruptions.
    Bounded(usize),
    /// Random priorities, with this seed.
    Pct(u64),
    /// Every decision by chance, with this seed.
    Walk(u64),
    /// This process is killed before each of its steps; A is 0.
    Deaths(usize),
    /// One schedule, by its string.
    Replay(String),
}

/// What the tracer is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The student's program.
    pub program: PathBuf,
    /// This program, to play the peer.
    pub harness: PathBuf,
    /// The lab's id.
    pub lab: String,
    /// The piece that is played.
    pub piece: String,
    /// The segment's name, the asker's to remove.
    pub name: String,
    /// By which rules memory behaves.
    pub model: Model,
    /// Which schedules.
    pub way: Way,
    /// Most schedules.
    pub schedules: usize,
    /// What the programs may do; anything where there is none.
    pub policy: Option<Policy>,
    /// The processor it keeps to, counted round among those it may use.
    pub seat: usize,
}

/// What kind of fault was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Every process ended well, and the result is wrong.
    Wrong,
    /// Nobody can go on, and somebody sleeps.
    Deadlock,
    /// Nobody gets on, and everybody is busy.
    NoEnd,
    /// A process ended badly.
    Dies,
    /// The result is right, but nothing orders two accesses of which one is not atomic.
    Race,
}

/// What the tracer answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explored {
    /// The piece.
    pub piece: String,
    /// The fault, if there is one.
    pub fault: Option<Fault>,
    /// The code of the diagnosis that fits the fault, where the piece knows one.
    pub code: Option<String>,
    /// The fault or the result, as a clause.
    pub told: String,
    /// The schedule that shows it.
    pub schedule: Option<String>,
    /// The run, told line by line.
    pub timeline: String,
    /// The same for a program: rows with step, process, text, file and line.
    pub rows: serde_json::Value,
    /// What was tried, as a clause.
    pub coverage: String,
    /// How many schedules were run.
    pub schedules: usize,
    /// Whether nothing is left to run.
    pub complete: bool,
    /// The same run has the same number.
    pub hash: String,
}

/// Proves by doing that this machine lets us control schedules: a program that does nothing is run
/// under the tracer.
///
/// # Errors
///
/// `NotChecked` with the reason.
pub fn can_explore(harness: &Path) -> Outcome {
    let request = Request {
        program: PathBuf::from("/bin/true"),
        harness: harness.to_owned(),
        lab: String::new(),
        piece: String::new(),
        name: cleanup::fresh_name(),
        model: Model::Sc,
        way: Way::Bounded(0),
        schedules: 1,
        policy: None,
        seat: 0,
    };
    request.ask().map(drop)
}

impl Explored {
    /// What shows this run again, if it is not simply the one without interruptions.
    pub fn recipe(&self, lab: &str, model: Model) -> Option<Recipe> {
        Some(Recipe {
            lab: lab.to_owned(),
            piece: self.piece.clone(),
            model,
            schedule: self.schedule.clone()?,
            hash: self.hash.get(..8).map(str::to_owned),
        })
    }
}

/// The answer on the line: done, or why it cannot be done.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Explored(Box<Explored>),
    Unsupported(String),
    Broken(String),
}

impl Answer {
    fn outcome(self) -> Outcome<Explored> {
        match self {
            Answer::Explored(explored) => Ok(*explored),
            Answer::Unsupported(why) => Err(Stop::NotChecked(why)),
            Answer::Broken(why) => Err(Stop::Broken(why)),
        }
    }
}

impl Request {
    /// Asks a tracer of our own.
    ///
    /// # Errors
    ///
    /// `NotChecked` where the program or the machine cannot be explored, `Broken` when the tracer
    /// fails.
    pub fn ask(&self) -> Outcome<Explored> {
        let mut command = Command::new(&self.harness);
        command.arg("__explore");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        cleanup::tell_helper(&mut command);
        let mut tracer = command.process_group(0).spawn()?;
        let group = Pid::from_raw(tracer.id() as i32);
        cleanup::watch_group(group);
        let told = self.tell(&mut tracer);
        // Its processes die with it: they are traced on that condition.
        let _ = tracer.kill();
        let status = tracer.wait();
        cleanup::forget_group(group);
        let (answer, words) = told?;
        match serde_json::from_slice::<Answer>(&answer) {
            Ok(answer) => answer.outcome(),
            Err(_) => {
                let words = String::from_utf8_lossy(&words).trim().to_owned();
                Err(Stop::Broken(format!("the tracer said nothing ({status:?}): {words}")))
            }
        }
    }

    /// Sends the request; returns what comes on standard output and standard error.
    fn tell(&self, tracer: &mut Child) -> Outcome<(Vec<u8>, Vec<u8>)> {
        if let Some(stdin) = tracer.stdin.take() {
            serde_json::to_writer(stdin, self).map_err(|error| Stop::Broken(error.to_string()))?;
        }
        let (Some(mut out), Some(mut errors)) = (tracer.stdout.take(), tracer.stderr.take()) else {
            return Err(Stop::Broken("the tracer has no pipes".to_owned()));
        };
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut answer = Vec::new();
            let read = out.read_to_end(&mut answer);
            let mut words = Vec::new();
            let _ = errors.read_to_end(&mut words);
            let _ = sender.send(read.map(|_| (answer, words)));
        });
        let late = |_| Stop::Broken("the tracer does not come back".to_owned());
        Ok(receiver.recv_timeout(PATIENCE).map_err(late)??)
    }
}
