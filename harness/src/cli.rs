//! The words of the command line.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::exploration::Model;

const AFTER: &str = "Exit codes: 0 all passed, 1 something failed, 2 wrong usage, 3 the grader or the machine failed.\n\
                     Without a command: where you are and what comes next.";

/// Learn inter-process communication through shared memory: four labs, checked by running your
/// real processes.
#[derive(Debug, Parser)]
#[command(name = "lab", bin_name = "cargo lab", version, after_help = AFTER, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build a lab and judge it by running its programs
    Check(Check),
    /// Run a lab's programs live, side by side, without judging
    Run(Run),
    /// Run a lab's programs under every schedule, and show the first that goes wrong
    Trace(Trace),
    /// Run one schedule again, exactly
    Replay(Replay),
    /// Show the next hint for a step
    Hint(Hint),
    /// Explain a diagnosis at length
    Explain {
        /// Its code, as in `never-sized`; without one, all codes are listed
        code: Option<String>,
    },
    /// List the labs and their steps
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Put a lab's files back as they were handed out; yours are kept in .lab/backup
    Reset {
        /// The lab
        lab: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Show a lab's reference solution, once you have passed or given up
    Solution {
        /// The lab
        lab: String,
        /// Show it before you have passed; this is noted in your progress
        #[arg(long)]
        give_up: bool,
    },
    /// Remove what a killed run left in /dev/shm and /tmp; only what is ours
    Clean {
        /// Remove everything the grader has built as well
        #[arg(long)]
        build: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Look whether this machine can run the labs, and say what to do if not
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Prove the course: starters, solutions, wrong and right submissions (for instructors)
    Verify(Verify),
    /// Make a new lab that passes verify, to be filled with life (for instructors)
    New {
        /// Its name, as in message-queue
        id: String,
    },
    /// Print the completions for a shell
    #[command(
        after_help = "As in: cargo lab completions bash > ~/.local/share/bash-completion/completions/lab"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Grade submissions: folders, archives, or folders of them
    #[command(display_order = 20)]
    Grade(Grade),
    /// Merge results into a table for the platform, or a page about the class
    #[command(display_order = 21)]
    Collect(Collect),
    /// Write the students' tree: no solutions, nothing that gives them away
    #[command(display_order = 22)]
    Handout {
        /// A folder that does not exist yet
        dir: PathBuf,
    },
    /// Put what you hand in into one archive
    #[command(display_order = 12)]
    Pack(Pack),
    /// Plays the grader's own partner of a student's program.
    #[command(name = "__peer", hide = true)]
    Peer,
    /// Explores one piece, asked on standard input.
    #[command(name = "__explore", hide = true)]
    Explore,
    /// Does one piece of work in a cell, asked on standard input.
    #[command(name = "__cell", hide = true)]
    Cell,
}

/// Whose program is meant.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub struct Whose {
    /// The reference solution instead of your work
    #[arg(long)]
    pub solution: bool,
    /// The files in this folder instead of your work
    #[arg(long, value_name = "DIR")]
    pub submission: Option<PathBuf>,
    /// A program that is already built, in any language, instead of your work
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
}

/// Arguments of `check`.
#[derive(Args, Debug)]
pub struct Check {
    /// The labs; all of them when none is named
    pub labs: Vec<String>,
    /// Whose work
    #[command(flatten)]
    pub whose: Whose,
    /// Only this step, and those it needs
    #[arg(long, value_name = "STEP")]
    pub step: Option<String>,
    /// Judge this many times; every time must give the same verdict
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Judge only where every schedule can be tried; otherwise end with 3
    #[arg(long)]
    pub require_exploration: bool,
    /// Tell every failure in full, and each check with its time
    #[arg(long, short)]
    pub verbose: bool,
    /// Print the records as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `run`.
#[derive(Args, Debug)]
pub struct Run {
    /// The lab
    pub lab: String,
    /// Whose work
    #[command(flatten)]
    pub whose: Whose,
    /// The text to send, a line a message
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
}

/// Arguments of `hint`.
#[derive(Args, Debug)]
pub struct Hint {
    /// The lab; the one you are at when none is named
    pub lab: Option<String>,
    /// The step; the one you are at when none is named
    #[arg(long, value_name = "STEP")]
    pub step: Option<String>,
    /// All hints at once
    #[arg(long)]
    pub all: bool,
}

/// Arguments of `verify`.
#[derive(Args, Debug)]
pub struct Verify {
    /// Only this lab; may be given several times
    #[arg(long, value_name = "LAB")]
    pub only: Vec<String>,
    /// Judge each submission this many times; the verdict must be the same each time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Only submissions whose name contains this, as in `wrong/forgets`
    #[arg(long = "match", value_name = "TEXT")]
    pub matching: Option<String>,
    /// Judge the Ith of N parts of the corpus, as 2/8; starters and solutions are in each
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    pub shard: Option<(u64, u64)>,
    /// Keep all processors busy meanwhile
    #[arg(long)]
    pub load: bool,
    /// How many submissions are judged at once; one a processor unless told
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub jobs: Option<usize>,
    /// Write down anew what the authors of wrong submissions read
    #[arg(long, conflicts_with = "blunt")]
    pub update: bool,
    /// Let one check, as LAB/CHECK, pass whatever it sees: the corpus must notice
    #[arg(long, value_name = "LAB/CHECK")]
    pub blunt: Option<String>,
    /// Let each check pass in turn whatever it sees, and show which submission notices
    #[arg(long, conflicts_with_all = ["blunt", "update", "repeat"])]
    pub blunt_each: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `trace`.
#[derive(Args, Debug)]
pub struct Trace {
    /// The lab
    pub lab: String,
    /// Whose work
    #[command(flatten)]
    pub whose: Whose,
    /// Which piece is played; all of the lab's when none is named
    #[arg(long, value_name = "PIECE")]
    pub piece: Option<String>,
    /// Decide yourself, step by step, who goes next
    #[arg(long, conflicts_with_all = ["bound", "pct", "walk", "deaths", "json"])]
    pub play: bool,
    /// By which rules memory behaves
    #[arg(long, value_enum, default_value_t = Model::Sc)]
    pub model: Model,
    /// All schedules with at most this many interruptions
    #[arg(long, value_name = "N", conflicts_with_all = ["pct", "walk", "deaths"])]
    pub bound: Option<usize>,
    /// Schedules by random priorities, from this seed
    #[arg(long, value_name = "SEED", conflicts_with_all = ["walk", "deaths"])]
    pub pct: Option<u64>,
    /// Schedules by chance, from this seed
    #[arg(long, value_name = "SEED", conflicts_with = "deaths")]
    pub walk: Option<u64>,
    /// Kill this process (A, B, …) before each of its steps
    #[arg(long, value_name = "PROCESS")]
    pub deaths: Option<char>,
    /// The most schedules of a piece
    #[arg(long, value_name = "N", default_value_t = crate::exploration::SCHEDULES)]
    pub schedules: usize,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `replay`.
#[derive(Args, Debug)]
pub struct Replay {
    /// Which run, as a report tells it: `race-condition/racy:2B`
    pub run: String,
    /// Whose work
    #[command(flatten)]
    pub whose: Whose,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `grade`.
#[derive(Args, Debug)]
pub struct Grade {
    /// A submission (folder, .zip, .tar, .tar.gz), or a folder with one entry a submission
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Where the results go, one mark sheet a submission
    #[arg(long, short, value_name = "DIR")]
    pub out: PathBuf,
    /// Each PATH is one submission, whatever it holds: one that is empty gets a sheet too
    #[arg(long)]
    pub one: bool,
    /// Write this format beside each sheet; may be given several times
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Vec<crate::report::views::Format>,
    /// Only this lab; may be given several times. Without it, the labs that a submission holds
    #[arg(long = "lab", value_name = "LAB")]
    pub labs: Vec<String>,
    /// Judge this step only, and those it needs
    #[arg(long, value_name = "STEP", requires = "labs")]
    pub step: Option<String>,
    /// Submissions graded at once; one a processor unless told
    #[arg(long, short, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub jobs: Option<usize>,
    /// Grade the Ith of N parts, as 2/8: which part a submission is in never changes
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    pub shard: Option<(u64, u64)>,
    /// Keep sheets that are there, of the same files and by the same grader
    #[arg(long)]
    pub resume: bool,
    /// The least confinement to grade under: T2, T1, or T0 for submissions you trust
    #[arg(long, value_name = "TIER", default_value = "T1", value_parser = clap::builder::ValueParser::new(|text: &str| text.parse::<sandbox::Tier>()))]
    pub require_isolation: sandbox::Tier,
    /// End where schedules cannot be controlled, instead of leaving those checks out
    #[arg(long)]
    pub require_exploration: bool,
    /// Seconds that one lab of a submission may be judged
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub deadline: u64,
    /// Print a summary as JSON
    #[arg(long)]
    pub json: bool,
    /// At most this confinement, for tests of the weaker ones
    #[arg(long, hide = true, default_value = "T2", value_parser = clap::builder::ValueParser::new(|text: &str| text.parse::<sandbox::Tier>()))]
    pub at_most: sandbox::Tier,
    /// Leave this defence out, for tests that show what it is there for
    #[arg(long, hide = true, value_name = "DEFENCE", value_parser = clap::builder::ValueParser::new(|text: &str| text.parse::<sandbox::Defence>()))]
    pub sabotage: Vec<sandbox::Defence>,
}

/// `2/8` as (1, 8): the second of eight.
fn parse_shard(text: &str) -> Result<(u64, u64), String> {
    let numbers = text
        .split_once('/')
        .and_then(|(index, count)| Some((index.parse::<u64>().ok()?, count.parse::<u64>().ok()?)));
    match numbers {
        Some((index, count)) if (1..=count).contains(&index) => Ok((index - 1, count)),
        _ => Err("a part is written I/N, from 1/N to N/N".to_owned()),
    }
}

/// Arguments of `pack`.
#[derive(Args, Debug)]
pub struct Pack {
    /// The labs to hand in; all four when none is named
    #[arg(value_name = "LAB")]
    pub labs: Vec<String>,
    /// The archive to write
    #[arg(long, short, value_name = "FILE", default_value = "submission.zip")]
    pub out: PathBuf,
    /// Write over an archive that is there
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `collect`.
#[derive(Args, Debug)]
pub struct Collect {
    /// Folders that `cargo lab grade --out` wrote; of a submission in several, the last counts
    #[arg(required = true, value_name = "DIR")]
    pub folders: Vec<PathBuf>,
    /// What to make of it
    #[arg(long, value_enum, default_value = "csv")]
    pub format: crate::report::views::Table,
    /// Who handed in what: a CSV with the column `submission` and any of name, id, sis_id, login,
    /// email, section
    #[arg(long, value_name = "FILE")]
    pub roster: Option<PathBuf>,
    /// A Canvas assignment's id, as LAB=ID; may be given several times
    #[arg(long, value_name = "LAB=ID")]
    pub assignment: Vec<String>,
    /// The file to write; standard output when none is named
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}
