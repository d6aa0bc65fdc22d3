//! What a student hands in: the listed files of one lab, and nothing else.
//!
//! A submission is a list of files, never a package: no build script, no manifest, no configuration
//! of cargo can come in, so nothing of the student's runs while it is compiled.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};

use crate::course::{Course, Lab};
use crate::peer::to_hex;
use crate::record::SubmissionRecord;

/// No source file of a lab comes near this many bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// Folders that editors, version control and cargo leave beside the student's files.
const NOT_LOOKED_INTO: [&str; 2] = ["target", "node_modules"];

/// Where a submission comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The student's own work in `labs/`.
    Workspace,
    /// The reference in `solutions/`.
    Solution,
    /// A folder somewhere else: the files of one lab, or a folder a lab.
    Folder(PathBuf),
    /// A folder with some files of one lab; the others are the reference's.
    Change(PathBuf),
}

/// The files of one lab, read whole.
#[derive(Clone, Debug)]
pub struct Submission {
    /// What to call it in a record.
    pub id: String,
    /// Contents by path relative to the lab's folder.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Submission {
    /// Reads the listed files of `lab`.
    ///
    /// # Errors
    ///
    /// When one is missing, a link, no text or too large, or when the folder holds a file that is
    /// neither listed nor the lab's own: each with what to do.
    pub fn collect(course: &Course, lab: &Lab, origin: &Origin) -> Result<Submission> {
        let (id, folder) = match origin {
            Origin::Workspace => ("workspace".to_owned(), course.lab_folder(lab)),
            Origin::Solution => ("solution".to_owned(), course.solution_folder(lab)),
            Origin::Folder(folder) => (name_of(folder), handed_in(course, lab, folder)?),
            Origin::Change(folder) => (name_of(folder), handed_in(course, lab, folder)?),
        };
        let mut files = BTreeMap::new();
        for path in &lab.student_files {
            let changed = !matches!(origin, Origin::Change(_)) || folder.join(path).exists();
            let from = if changed { &folder } else { &course.solution_folder(lab) };
            files.insert(path.clone(), read(from, path)?);
        }
        if let Origin::Folder(_) | Origin::Change(_) = origin {
            refuse_strangers(course, lab, &folder)?;
        }
        Ok(Submission { id, files })
    }

    /// SHA-256 over the paths and contents, in hex: equal for equal submissions only.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for (path, bytes) in &self.files {
            for part in [path.as_os_str().as_encoded_bytes(), bytes] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
        to_hex(&hash.finalize())
    }

    /// How it appears in a record.
    pub fn record(&self) -> SubmissionRecord {
        SubmissionRecord { id: self.id.clone(), sha256: self.sha256() }
    }

    /// Whether every file is still as the course hands it out.
    pub fn is_untouched(&self, pristine: &Submission) -> bool {
        self.files == pristine.files
    }
}

/// The labs that a folder with a folder a lab holds.
///
/// # Errors
///
/// When there is none: a folder with bare files does not say of which lab they are.
pub fn labs_in<'a>(course: &'a Course, folder: &Path) -> Result<Vec<&'a Lab>> {
    let holds =
        |lab: &&Lab| folder.join(&lab.id).is_dir() || folder.join("labs").join(&lab.id).is_dir();
    let labs: Vec<&Lab> = course.labs.iter().filter(holds).collect();
    if labs.is_empty() {
        let all: Vec<&str> = course.labs.iter().map(|lab| lab.id.as_str()).collect();
        bail!(
            "{} has no folder named after a lab, so it does not say which lab it is\n  \
             what to do: name the lab, as in `cargo lab check LAB --submission {0}`, LAB being one of {}",
            folder.display(),
            all.join(", ")
        );
    }
    Ok(labs)
}

/// The last part of a path, for a record.
pub fn name_of(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.file_name()
        .map_or_else(|| "submission".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The folder of this lab's files in a folder that was handed in: itself, or `<lab>/`, or
/// `labs/<lab>/`.
fn handed_in(course: &Course, lab: &Lab, folder: &Path) -> Result<PathBuf> {
    let meta = fs::symlink_metadata(folder).map_err(|error| {
        anyhow!(
            "the submission {} cannot be read ({error})\n  what to do: name a folder that exists",
            folder.display()
        )
    })?;
    if !meta.is_dir() {
        bail!(
            "the submission {} is not a folder\n  what to do: unpack it first, then name the folder",
            folder.display()
        );
    }
    let mut places =
        vec![folder.join("labs").join(&lab.id), folder.join(&lab.id), folder.to_owned()];
    places.retain(|place| {
        lab.student_files.iter().any(|file| place.join(file).symlink_metadata().is_ok())
    });
    places.into_iter().next().ok_or_else(|| {
        let files: Vec<String> = lab.student_files.iter().map(|f| f.display().to_string()).collect();
        let others: Vec<&str> = course.labs.iter().map(|other| other.id.as_str()).collect();
        anyhow!(
            "{} holds no file of the lab {}\n  expected: {} in it, or in a folder `{}` inside it\n  \
             what to do: hand in those files, or name another lab ({})",
            folder.display(), lab.id, files.join(" and "), lab.id, others.join(", ")
        )
    })
}

fn read(folder: &Path, path: &Path) -> Result<Vec<u8>> {
    let full = folder.join(path);
    let shown = path.display();
    // Every folder on the way counts too: a link to a folder is a link.
    let mut part = folder.to_owned();
    for component in path.components() {
        part.push(component);
        let meta = fs::symlink_metadata(&part).map_err(|error| {
            anyhow!(
                "{shown} is missing from {} ({error})\n  what to do: hand in this file",
                folder.display()
            )
        })?;
        if meta.is_symlink() {
            bail!(
                "{shown} in {} is a link\n  what to do: hand in the file itself",
                folder.display()
            );
        }
    }
    let meta = fs::symlink_metadata(&full)?;
    if !meta.is_file() {
        bail!("{shown} in {} is not a file\n  what to do: hand in a plain file", folder.display());
    }
    if meta.len() > LARGEST_FILE {
        bail!(
            "{shown} has {} bytes; a file of a lab may have {LARGEST_FILE}\n  what to do: hand in the source only",
            meta.len()
        );
    }
    let bytes = fs::read(&full)
        .with_context(|| format!("{shown} in {} cannot be read", folder.display()))?;
    if let Err(error) = std::str::from_utf8(&bytes) {
        bail!(
            "{shown} is not UTF-8 text (first bad byte: number {})\n  what to do: save it as UTF-8",
            error.valid_up_to() + 1
        );
    }
    Ok(bytes)
}

/// Refuses what the lab does not list, unless it is the lab's own file unchanged.
fn refuse_strangers(course: &Course, lab: &Lab, folder: &Path) -> Result<()> {
    let pristine = course.lab_folder(lab);
    let mut unread = vec![PathBuf::new()];
    while let Some(inside) = unread.pop() {
        let here = folder.join(&inside);
        for entry in
            fs::read_dir(&here).with_context(|| format!("cannot read {}", here.display()))?
        {
            let entry = entry?;
            let name = entry.file_name();
            let path = inside.join(&name);
            let hidden = name.as_encoded_bytes().starts_with(b".");
            let other_lab = course.labs.iter().any(|l| path == Path::new(&l.id) && l.id != lab.id);
            let ignored =
                hidden || other_lab || NOT_LOOKED_INTO.iter().any(|folder| name == **folder);
            let kind = entry.file_type()?;
            if ignored || lab.student_files.contains(&path) {
                continue;
            }
            if kind.is_dir() {
                unread.push(path);
                continue;
            }
            let shown = path.display();
            let taken: Vec<String> =
                lab.student_files.iter().map(|f| f.display().to_string()).collect();
            let taken = taken.join(" and ");
            if !kind.is_file() {
                bail!("{shown} is a link or a special file\n  what to do: hand in {taken} only");
            }
            match fs::read(pristine.join(&path)) {
                Ok(given) if given == fs::read(entry.path())? => {}
                Ok(_) => bail!(
                    "{shown} is given with the lab and was changed; only {taken} are yours to change\n  \
                     what to do: put it back as it was, or leave it out"
                ),
                Err(_) => bail!(
                    "{shown} does not belong to the lab {}\n  what to do: hand in {taken} only",
                    lab.id
                ),
            }
        }
    }
    Ok(())
}
