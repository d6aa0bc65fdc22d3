//! What is asked of a cell, and what it answers: lines of JSON.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use sandbox::{Cell, Policy};
use serde::{Deserialize, Serialize};

use crate::course::Lab;
use crate::record::StepRecord;

/// Everything a cell needs to know.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// What it is like.
    pub cell: Cell,
    /// What each program in it may do.
    pub policy: Policy,
    /// What is done in it.
    pub task: Task,
}

/// What is done in a cell.
#[derive(Debug, Serialize, Deserialize)]
pub enum Task {
    /// Shows that a program runs in it and can be watched.
    Prove,
    /// Runs the compiler once.
    Compile(Compile),
    /// Unpacks an archive.
    Unpack(Unpack),
    /// Judges a program.
    Judge(Box<Judge>),
}

/// An archive and where its files go.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unpack {
    /// A `.zip`, `.tar` or `.tar.gz`.
    pub archive: PathBuf,
    /// An empty folder.
    pub into: PathBuf,
}

/// One run of the compiler.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Compile {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// All of its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Where it runs.
    pub folder: PathBuf,
}

/// What a judge needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Judge {
    /// The lab.
    pub lab: Lab,
    /// The student's program, built.
    pub program: PathBuf,
    /// Files of the compiler's intermediate code, where orderings are to be read.
    pub intermediate: Vec<PathBuf>,
    /// What was handed in, by path.
    pub files: BTreeMap<PathBuf, String>,
    /// The one step to judge, with those it needs; all where none is named.
    pub step: Option<String>,
}

/// One line of an answer.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// The cell cannot be made: which operation, and why.
    Refused(String),
    /// The work cannot be done, through no fault of the student's.
    Broken(String),
    /// A program runs and can be watched; with this version of Landlock's rules.
    Proved {
        /// 0 where there is none.
        landlock: u32,
    },
    /// The compiler has ended.
    Compiled {
        /// Its exit code.
        code: Option<i32>,
        /// What killed it.
        signal: Option<i32>,
        /// The end of what it said.
        words: String,
    },
    /// The archive is unpacked, or is not one that is taken, for this reason.
    Unpacked(Result<(), String>),
    /// A check begins: its step and its title.
    Checking(String, String),
    /// A step is done.
    Step(Box<StepRecord>),
    /// All steps are done.
    Judged,
}

impl Answer {
    /// Whether nothing comes after it.
    pub fn is_last(&self) -> bool {
        !matches!(self, Answer::Checking(..) | Answer::Step(_))
    }
}
