//! Where a student is in the course, kept in `.lab/progress.json`: a text file one may delete.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::course::{Course, Lab};
use crate::record::{Record, ResultKind};

/// Progress by lab id. Ids it does not know are kept as they are.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    labs: BTreeMap<String, LabProgress>,
}

/// The last grading of one lab.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LabProgress {
    /// Points earned.
    pub points: u32,
    /// Bonus points earned.
    pub bonus: u32,
    /// Whether every step, the bonus apart, has passed.
    pub passed: bool,
    /// The first step that had not passed.
    pub next_step: Option<String>,
    /// The files that were graded, as a hash.
    pub sha256: String,
    /// Hints shown, by step.
    pub hints: BTreeMap<String, usize>,
    /// Whether the solution was shown before the lab was passed.
    pub gave_up: bool,
}

impl Progress {
    /// Reads the file; a missing or damaged one is an empty start.
    pub fn read(course: &Course) -> Progress {
        fs::read_to_string(path(course))
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn write(&self, course: &Course) -> Result<()> {
        write_whole(&path(course), serde_json::to_string_pretty(self)?.as_bytes())
    }

    /// What is known of a lab.
    pub fn lab(&self, lab: &Lab) -> LabProgress {
        self.labs.get(&lab.id).cloned().unwrap_or_default()
    }

    /// What is known of a lab, to be changed.
    pub fn lab_mut(&mut self, lab: &Lab) -> &mut LabProgress {
        self.labs.entry(lab.id.clone()).or_default()
    }

    /// Notes a grading of the whole lab.
    pub fn note(&mut self, lab: &Lab, record: &Record) {
        let entry = self.lab_mut(lab);
        entry.points = record.points;
        entry.bonus = record.bonus;
        entry.passed = record.outcome == ResultKind::Graded && record.points == record.max_points;
        entry.next_step = record.next_step().map(|step| step.id.clone());
        entry.sha256.clone_from(&record.submission.sha256);
    }

    /// How many labs have been checked or helped with so far.
    pub fn labs_seen(&self) -> usize {
        self.labs.len()
    }

    /// The lab to work on: the first that is not passed.
    pub fn next_lab<'a>(&self, course: &'a Course) -> Option<&'a Lab> {
        course.labs.iter().find(|lab| !self.lab(lab).passed)
    }
}

/// Writes a file by way of a temporary one beside it, so that nobody ever sees half of it.
///
/// # Errors
///
/// What the system says.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn path(course: &Course) -> PathBuf {
    course.root.join(".lab/progress.json")
}
