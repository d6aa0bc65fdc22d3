//! The folder of results: one file a submission, whole or not there.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::unistd::Pid;

use crate::procfs;
use crate::report::views::{Context, Format, actions};
use crate::sheet::{self, Sheet};

/// What the file of a sheet ends in.
const SHEET: &str = ".sheet.json";

/// What the name of a file that is being written begins with; then come the machine, the process and
/// when that was started, so that a leftover is known for one.
const WRITING: &str = ".writing-";

/// From this age on a file half written by another machine is a leftover: writing takes it
/// milliseconds.
const LEFTOVER: Duration = Duration::from_secs(3600);

/// Writes a file so that it is there whole or as it was before, whatever happens meanwhile.
///
/// # Errors
///
/// What the system says.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        // In the same folder: only there a rename is one step.
        let mut file = tempfile::Builder::new().prefix(&writing()).tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(open_to_all)?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// A folder of results.
pub struct Results {
    folder: PathBuf,
}

impl Results {
    /// Opens the folder, making it where it is missing, and removes what an interrupted write left.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn open(folder: &Path) -> Result<Results> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(WRITING) && is_leftover(&path, &name) {
                let _ = fs::remove_file(path);
            }
        }
        Ok(Results { folder: folder.to_owned() })
    }

    /// Writes a sheet in other formats. Where a format has nothing to say of a sheet, what it said of
    /// an earlier one goes.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn render(&self, sheet: &Sheet, formats: &[Format], context: &Context) -> Result<()> {
        let mut texts: Vec<(&str, Option<String>)> = Vec::new();
        for &format in formats {
            // It has the sheet's own name.
            if format == Format::Json {
                continue;
            }
            texts.push((format.file_name(), format.render(sheet, context)));
            if format == Format::GithubActions {
                texts.push(("outcome.txt", Some(actions::outcome(sheet))));
                texts.push(("summary.md", Some(actions::summary(sheet, context))));
            }
        }
        for (suffix, text) in texts {
            let path = self.folder.join(format!("{}.{suffix}", sheet.submission.id));
            match text {
                Some(text) => write_whole(&path, text.as_bytes())?,
                None if path.exists() => fs::remove_file(path)?,
                None => {}
            }
        }
        Ok(())
    }

    /// The sheet of a submission, if there is a whole one.
    pub fn sheet(&self, id: &str) -> Option<Sheet> {
        read_sheet(&self.folder.join(format!("{id}{SHEET}"))).ok()
    }

    /// Writes a sheet.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn keep(&self, sheet: &Sheet) -> Result<()> {
        let text = serde_json::to_string_pretty(sheet)? + "\n";
        let path = self.folder.join(format!("{}{SHEET}", sheet.submission.id));
        write_whole(&path, text.as_bytes())
    }
}

/// What the names of files begin with that this process is writing.
fn writing() -> String {
    let own = Pid::this();
    let started = procfs::start_time(own).unwrap_or(0);
    format!("{WRITING}{}-{own}-{started}-", machine())
}

/// The machine's name for others that write into the same folder, without what could end a field.
fn machine() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// Whether nobody can be writing this file any more. Of another machine's only its age is known, and
/// where that cannot be told it stays.
fn is_leftover(path: &Path, name: &str) -> bool {
    let own = name.strip_prefix(&format!("{WRITING}{}-", machine()));
    let mut fields = own.unwrap_or_default().split('-').map(str::parse::<u64>);
    if let (Some(Ok(pid)), Some(Ok(started))) = (fields.next(), fields.next()) {
        return procfs::start_time(Pid::from_raw(pid as i32)) != Some(started);
    }
    let modified = path.symlink_metadata().and_then(|meta| meta.modified());
    modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > LEFTOVER))
}

/// All sheets in these folders, in the order of their ids. A submission that is in several folders is
/// taken from the last.
///
/// # Errors
///
/// When a folder or a sheet cannot be read, or there is none.
pub fn collect(folders: &[PathBuf]) -> Result<Vec<Sheet>> {
    let mut sheets = std::collections::BTreeMap::new();
    for folder in folders {
        let entries =
            fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(SHEET)) {
                let sheet = read_sheet(&path)?;
                sheets.insert(sheet.submission.id.clone(), sheet);
            }
        }
    }
    if sheets.is_empty() {
        bail!(
            "there are no results in {}\n  what to do: name the folder that `cargo lab grade --out` wrote",
            folders.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ")
        );
    }
    Ok(sheets.into_values().collect())
}

fn read_sheet(path: &Path) -> Result<Sheet> {
    let told = || format!("{} is no mark sheet of this course", path.display());
    let sheet: Sheet = serde_json::from_str(&fs::read_to_string(path)?).with_context(told)?;
    if sheet.schema != sheet::SCHEMA {
        bail!("{}: it is `{}`, not `{}`", told(), sheet.schema, sheet::SCHEMA);
    }
    Ok(sheet)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn what_another_machine_is_writing_stays_and_a_leftover_goes() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: String| folder.path().join(name);
        let (new, old) =
            (file(format!("{WRITING}other-1-1-x")), file(format!("{WRITING}other-2-2-y")));
        // Ours, and of one that had our number before us.
        let (ours, dead) = (file(writing() + "z"), file(format!("{WRITING}{}-1-7-z", machine())));
        for (path, age) in [
            (&new, Duration::ZERO),
            (&old, LEFTOVER * 2),
            (&ours, LEFTOVER * 2),
            (&dead, Duration::ZERO),
        ] {
            File::create(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
        }
        Results::open(folder.path()).unwrap();
        assert!(new.exists() && ours.exists() && !old.exists() && !dead.exists());
    }
}
