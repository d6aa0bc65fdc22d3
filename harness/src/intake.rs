//! Finds the submissions in what an instructor names: folders, archives, and folders of them as
//! platforms export them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::cleanup;
use crate::course::Course;
use crate::isolation::Isolation;
use crate::peer::to_hex;
use crate::scene::shown;

/// What an archive's name ends in.
const ARCHIVES: [&str; 4] = [".zip", ".tar", ".tar.gz", ".tgz"];

/// Bytes of an archive; what comes out of it is counted too.
const LARGEST_ARCHIVE: u64 = 64 << 20;

/// The folder of what was in an archive, below the one that goes with it.
const CONTENT: &str = "content";

/// How many folders with nothing else in them may be around a submission.
const DEEPEST: usize = 4;

/// One submission as it lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// A folder or an archive.
    pub path: PathBuf,
    /// Its name as it is: somebody else's text.
    pub name: String,
    /// The same, safe as a file's name, and another for each submission of a batch.
    pub id: String,
}

/// What is in a source, ready to be read.
pub struct Content {
    /// The folder with the labs' files.
    pub folder: PathBuf,
    /// Where an archive was unpacked; goes with this.
    unpacked: Option<TempDir>,
}

impl Drop for Content {
    fn drop(&mut self) {
        if let Some(folder) = &self.unpacked {
            cleanup::forget_folder(folder.path());
        }
    }
}

/// All submissions at these paths, in the order of their names, and what was left aside because it
/// is neither a folder nor an archive. A folder in which no lab's files are holds one submission an
/// entry, unless it is known to be `one`: a platform's folder, whose content is the student's word.
///
/// # Errors
///
/// When a path cannot be read or holds no submission.
pub fn sources(
    course: &Course,
    paths: &[PathBuf],
    one: bool,
) -> Result<(Vec<Source>, Vec<PathBuf>)> {
    let (mut found, mut aside) = (Vec::new(), Vec::new());
    for path in paths {
        let meta = path.metadata().map_err(|error| {
            anyhow!(
                "{} cannot be read ({error})\n  what to do: name a folder or an archive that exists",
                path.display()
            )
        })?;
        if meta.is_file() && !is_archive(path) {
            bail!(
                "{} is neither a folder nor an archive\n  what to do: name a folder, or a file that ends in {}",
                path.display(),
                ARCHIVES.join(", ")
            );
        }
        if meta.is_file() || one || is_submission(course, path) {
            found.push(path.clone());
            continue;
        }
        let before = found.len();
        let mut entries: Vec<PathBuf> = fs::read_dir(path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .collect::<std::io::Result<Vec<_>>>()?
            .into_iter()
            .map(|entry| entry.path())
            .filter(|path| !name_of(path).starts_with('.'))
            .collect();
        entries.sort();
        for entry in entries {
            // A link to a folder is no folder: what it leads to is not the instructor's word.
            let is_folder = entry.symlink_metadata().is_ok_and(|meta| meta.is_dir());
            let is_file = entry.symlink_metadata().is_ok_and(|meta| meta.is_file());
            if is_folder || is_file && is_archive(&entry) {
                found.push(entry);
            } else {
                aside.push(entry);
            }
        }
        if found.len() == before {
            bail!(
                "{} holds no submission\n  what to do: name a submission, or a folder with a folder \
                 or an archive for each of them",
                path.display()
            );
        }
    }
    let mut sources: Vec<Source> = found
        .into_iter()
        .map(|path| {
            let name = name_of(&path);
            Source { id: safe_id(&name), name, path }
        })
        .collect();
    tell_apart(&mut sources);
    Ok((sources, aside))
}

/// Opens a source: unpacks what is packed, and goes down to where the labs' files are. The inner
/// error says why it is no submission.
///
/// # Errors
///
/// The machine's fault.
pub fn open(
    course: &Course,
    isolation: &Isolation,
    source: &Source,
) -> Result<Result<Content, String>> {
    let mut folder = source.path.clone();
    let mut unpacked = None;
    if !folder.is_dir() {
        match unpack(course, isolation, &folder)? {
            Ok(new) => {
                folder = new.path().join(CONTENT);
                unpacked = Some(new);
            }
            Err(why) => return Ok(Err(not_taken(&source.name, &why))),
        }
    }
    for _ in 0..DEEPEST {
        if is_submission(course, &folder) {
            break;
        }
        let (folders, archives) = contents(&folder)?;
        match (folders.as_slice(), archives.as_slice()) {
            ([only], _) => folder = only.clone(),
            ([], [only]) if unpacked.is_none() => match unpack(course, isolation, only)? {
                Ok(new) => {
                    folder = new.path().join(CONTENT);
                    unpacked = Some(new);
                }
                Err(why) => return Ok(Err(not_taken(&name_of(only), &why))),
            },
            ([], [_, ..]) => {
                return Ok(Err("it holds archives; one of the files is enough".to_owned()));
            }
            _ => break,
        }
    }
    Ok(Ok(Content { folder, unpacked }))
}

fn not_taken(archive: &str, why: &str) -> String {
    format!("the archive {}: {why}", shown(archive))
}

fn unpack(
    course: &Course,
    isolation: &Isolation,
    archive: &Path,
) -> Result<Result<TempDir, String>> {
    let above = course.build_folder();
    fs::create_dir_all(&above)?;
    let prefix = format!("intake-{}-", std::process::id());
    let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(above)?;
    cleanup::watch_folder(folder.path());
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
    if archive.metadata()?.len() > LARGEST_ARCHIVE {
        return Ok(Err("it is larger than any submission is".to_owned()));
    }
    // A copy of ours: whoever unpacks it may not be allowed to where it lies.
    let name = name_of(archive).to_lowercase();
    let end = ARCHIVES.into_iter().find(|end| name.ends_with(end)).unwrap_or_default();
    let packed = folder.path().join(format!("archive{end}"));
    fs::copy(archive, &packed).with_context(|| format!("cannot read {}", archive.display()))?;
    fs::set_permissions(&packed, PermissionsExt::from_mode(0o644))?;
    let content = folder.path().join(CONTENT);
    fs::create_dir(&content)?;
    Ok(isolation.unpack(&packed.canonicalize()?, &content.canonicalize()?)?.map(|()| folder))
}

/// Whether a folder holds files of a lab, by itself or a folder a lab.
fn is_submission(course: &Course, folder: &Path) -> bool {
    course.labs.iter().any(|lab| {
        let places = [folder.to_owned(), folder.join(&lab.id), folder.join("labs").join(&lab.id)];
        places.iter().any(|place| {
            lab.student_files.iter().any(|file| place.join(file).symlink_metadata().is_ok())
        })
    })
}

/// The folders and archives in a folder, hidden ones left out.
fn contents(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut folders, mut archives) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let meta = path.symlink_metadata()?;
        if name_of(&path).starts_with('.') || name_of(&path) == "__MACOSX" {
            continue;
        }
        if meta.is_dir() {
            folders.push(path);
        } else if meta.is_file() && is_archive(&path) {
            archives.push(path);
        }
    }
    Ok((folders, archives))
}

fn is_archive(path: &Path) -> bool {
    let name = name_of(path).to_lowercase();
    ARCHIVES.iter().any(|end| name.ends_with(end))
}

fn name_of(path: &Path) -> String {
    let full = if path.file_name().is_none() { path.canonicalize().ok() } else { None };
    let path = full.as_deref().unwrap_or(path);
    path.file_name().map_or_else(|| "submission".into(), |name| name.to_string_lossy().into_owned())
}

/// A name that is one on every machine and in every path: what is unusual becomes a digest.
pub fn safe_id(name: &str) -> String {
    let mut bare = name;
    for end in ARCHIVES {
        bare = bare.strip_suffix(end).unwrap_or(bare);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let usual = !bare.is_empty() && bare.len() <= 64 && bare.chars().all(plain);
    if usual && !bare.starts_with(['.', '-']) { bare.to_owned() } else { digest(name) }
}

fn digest(text: &str) -> String {
    format!("h-{}", &to_hex(&Sha256::digest(text))[..16])
}

/// Gives those that share an id one by their whole paths.
fn tell_apart(sources: &mut [Source]) {
    let ids: Vec<String> = sources.iter().map(|source| source.id.to_lowercase()).collect();
    for (source, id) in sources.iter_mut().zip(&ids) {
        if ids.iter().filter(|other| *other == id).count() > 1 {
            let path = source.path.canonicalize().unwrap_or_else(|_| source.path.clone());
            source.id = digest(&path.to_string_lossy());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_safe_in_every_path() {
        assert_eq!(safe_id("alice.tar.gz"), "alice");
        assert_eq!(safe_id("lab4-bob_2"), "lab4-bob_2");
        for name in ["..", "", "-rf", "a/b", "a b", "\u{1b}[31m", ".hidden", "é", "../../etc"] {
            assert!(safe_id(name).starts_with("h-"), "{name:?} -> {}", safe_id(name));
        }
        assert_ne!(safe_id("a b"), safe_id("a  b"));
    }
}
