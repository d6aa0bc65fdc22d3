//! The course as it lies on disk: its root, its labs and their steps, read from each `lab.toml`.
//!
//! The harness knows the labs by path only and depends on none of them, so that a starter that does
//! not compile cannot stop it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

/// The four labs in teaching order, and where they are.
#[derive(Debug)]
pub struct Course {
    /// The folder that holds `labs/` and `solutions/`.
    pub root: PathBuf,
    /// The labs in teaching order.
    pub labs: Vec<Lab>,
}

/// One lab, as its `lab.toml` describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lab {
    /// Its stable id: its package, its folder, its program and its word on the command line.
    pub id: String,
    /// Its place in the course, from 1.
    pub order: u32,
    /// Its title.
    pub title: String,
    /// What it is about, one sentence.
    pub summary: String,
    /// The files the student writes, relative to the lab's folder.
    pub student_files: Vec<PathBuf>,
    /// Its steps in order.
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
}

/// One step of a lab.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its id, unique in the lab.
    pub id: String,
    /// What it asks for, as a sentence without its full stop.
    pub title: String,
    /// Its points.
    pub points: u32,
    /// Whether its points are on top of the 100.
    #[serde(default)]
    pub bonus: bool,
    /// Steps without which it cannot be judged.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Where to read: a path in the repository with its anchor.
    pub docs: String,
    /// Hints, each saying more than the one before.
    pub hints: Vec<String>,
}

impl Course {
    /// Finds the course around the folder `from` and reads its labs.
    ///
    /// # Errors
    ///
    /// When no folder above holds a course, or a `lab.toml` cannot be read.
    pub fn find(from: &Path) -> Result<Course> {
        let is_root = |folder: &&Path| {
            folder.join("labs/labkit").is_dir() && folder.join("Cargo.toml").is_file()
        };
        let root = from.ancestors().find(is_root).ok_or_else(|| {
            anyhow!(
                "{} is not inside the course: no folder above it has labs/ and Cargo.toml\n  \
                 what to do: run `cargo lab` inside the folder you cloned",
                from.display()
            )
        })?;
        Course::read(root)
    }

    /// Reads the course whose root is this folder.
    ///
    /// # Errors
    ///
    /// When a `lab.toml` cannot be read.
    pub fn read(root: &Path) -> Result<Course> {
        let folder = root.join("labs");
        let mut labs = Vec::new();
        for entry in
            fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
        {
            let path = entry?.path().join("lab.toml");
            if path.is_file() {
                let text = fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                let mut lab: Lab = toml::from_str(&text)
                    .with_context(|| format!("{} is not as it should be", path.display()))?;
                for step in &mut lab.steps {
                    step.docs = format!("labs/{}/{}", lab.id, step.docs);
                }
                labs.push(lab);
            }
        }
        if labs.is_empty() {
            bail!("{} holds no lab\n  what to do: clone the course again", folder.display());
        }
        labs.sort_by_key(|lab| lab.order);
        Ok(Course { root: root.to_owned(), labs })
    }

    /// The lab with this id.
    ///
    /// # Errors
    ///
    /// When there is none; says which there are.
    pub fn lab(&self, id: &str) -> Result<&Lab> {
        self.labs.iter().find(|lab| lab.id == id).ok_or_else(|| {
            let all: Vec<&str> = self.labs.iter().map(|lab| lab.id.as_str()).collect();
            anyhow!(
                "no lab is called `{}`\n  what to do: choose one of {}",
                id.escape_debug(),
                all.join(", ")
            )
        })
    }

    /// The labs with these ids, all of them when there are none.
    ///
    /// # Errors
    ///
    /// When one does not exist.
    pub fn chosen(&self, ids: &[String]) -> Result<Vec<&Lab>> {
        if ids.is_empty() {
            Ok(self.labs.iter().collect())
        } else {
            ids.iter().map(|id| self.lab(id)).collect()
        }
    }

    /// The folder of a lab.
    pub fn lab_folder(&self, lab: &Lab) -> PathBuf {
        self.root.join("labs").join(&lab.id)
    }

    /// The folder of a lab's solution.
    pub fn solution_folder(&self, lab: &Lab) -> PathBuf {
        self.root.join("solutions").join(&lab.id)
    }

    /// Where everything the harness builds goes; `cargo clean` removes it.
    pub fn build_folder(&self) -> PathBuf {
        self.root.join("target/lab")
    }
}

impl Lab {
    /// The step with this id.
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == id)
    }

    /// The step with this id.
    ///
    /// # Errors
    ///
    /// When there is none; says which there are.
    pub fn known_step(&self, id: &str) -> Result<&Step> {
        self.step(id).ok_or_else(|| {
            let all: Vec<&str> = self.steps.iter().map(|step| step.id.as_str()).collect();
            anyhow!(
                "{} has no step `{}`\n  what to do: choose one of {}",
                self.id,
                id.escape_debug(),
                all.join(", ")
            )
        })
    }
}
