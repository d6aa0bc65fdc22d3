//! Unpacks a submission's archive by our own rules: plain files and folders, relative names, and
//! not many of them. Everything else makes it no submission; nothing is silently left out but what
//! tools leave lying about.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;

/// Most files of a submission: a clone of the whole handout has far fewer.
const MOST_FILES: usize = 5000;

/// Most bytes of one file, and of all of them.
const LARGEST_FILE: u64 = 8 << 20;
const MOST_BYTES: u64 = 64 << 20;

/// Folders that tools leave beside the student's files; what is in them is not looked at.
const LEFT_LYING_ABOUT: [&str; 4] = ["target", "node_modules", ".git", "__MACOSX"];

/// What an entry is.
enum Kind {
    Folder,
    File,
    Other(&'static str),
}

/// Unpacks `file`, which lies at `archive`, into the empty folder `into`.
pub(super) fn unpack(file: File, archive: &Path, into: &Path) -> Result<(), String> {
    let name = archive.to_string_lossy().to_lowercase();
    let mut writer = Writer { into, seen: BTreeSet::new(), files: 0, bytes: 0 };
    if name.ends_with(".zip") {
        writer.zip(file)
    } else if name.ends_with(".tar") {
        writer.tar(BufReader::new(file))
    } else {
        writer.tar(GzDecoder::new(BufReader::new(file)))
    }
}

/// Writes entries, and counts them.
struct Writer<'a> {
    into: &'a Path,
    /// Names in lower case: two that differ only in that are one file on some machines.
    seen: BTreeSet<String>,
    files: usize,
    bytes: u64,
}

impl Writer<'_> {
    fn zip(&mut self, file: File) -> Result<(), String> {
        let told = |error: zip::result::ZipError| format!("it is no zip archive ({error})");
        let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(told)?;
        if archive.len() > 4 * MOST_FILES {
            return Err(format!("it holds more than {MOST_FILES} files"));
        }
        for index in 0..archive.len() {
            let entry = archive.by_index(index).map_err(told)?;
            let name = entry.name().map_err(told)?.into_owned();
            // The kind of file that unix archivers write into the upper half.
            let kind = match entry.unix_mode().map(|mode| mode & 0o170_000) {
                Some(0o120_000) => Kind::Other("a link"),
                _ if entry.is_dir() => Kind::Folder,
                Some(0o100_000 | 0) | None => Kind::File,
                Some(_) => Kind::Other("a special file"),
            };
            self.entry(&name, &kind, entry)?;
        }
        Ok(())
    }

    fn tar(&mut self, reader: impl Read) -> Result<(), String> {
        let told = |error: io::Error| format!("it is no tar archive ({error})");
        // What is behind the limit is not even read.
        let mut archive = tar::Archive::new(reader.take(4 * MOST_BYTES));
        for (index, entry) in archive.entries().map_err(told)?.enumerate() {
            if index > 4 * MOST_FILES {
                return Err(format!("it holds more than {MOST_FILES} files"));
            }
            let entry = entry.map_err(told)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let kind = match entry.header().entry_type() {
                tar::EntryType::Directory => Kind::Folder,
                tar::EntryType::Regular | tar::EntryType::Continuous => Kind::File,
                tar::EntryType::XGlobalHeader => continue,
                tar::EntryType::Symlink | tar::EntryType::Link => Kind::Other("a link"),
                _ => Kind::Other("a special file"),
            };
            self.entry(&name, &kind, entry)?;
        }
        Ok(())
    }

    fn entry(&mut self, name: &str, kind: &Kind, content: impl Read) -> Result<(), String> {
        let shown: String = name.chars().take(120).flat_map(char::escape_debug).collect();
        let path = inside(name).ok_or_else(|| format!("the name `{shown}` leads out of it"))?;
        let ignored = path
            .components()
            .any(|part| LEFT_LYING_ABOUT.iter().any(|folder| part.as_os_str() == *folder));
        if ignored || path.as_os_str().is_empty() {
            return Ok(());
        }
        let told = |error: io::Error| format!("`{shown}` cannot be unpacked ({error})");
        let target = self.into.join(&path);
        match kind {
            Kind::Other(what) => return Err(format!("`{shown}` is {what}")),
            Kind::Folder => return fs::create_dir_all(target).map_err(told),
            Kind::File => {}
        }
        if !self.seen.insert(path.to_string_lossy().to_lowercase()) {
            return Err(format!("`{shown}` is in it twice, or differs from another in case only"));
        }
        self.files += 1;
        if self.files > MOST_FILES {
            return Err(format!("it holds more than {MOST_FILES} files"));
        }
        target.parent().map_or(Ok(()), fs::create_dir_all).map_err(told)?;
        let mut file = File::options().write(true).create_new(true).open(target).map_err(told)?;
        // Whatever the archive says of its sizes, what comes out is counted.
        let mut content = content.take(LARGEST_FILE + 1);
        let mut buffer = [0; 64 << 10];
        let mut length = 0;
        loop {
            let count = content.read(&mut buffer).map_err(told)?;
            if count == 0 {
                return Ok(());
            }
            length += count as u64;
            self.bytes += count as u64;
            if length > LARGEST_FILE || self.bytes > MOST_BYTES {
                return Err(format!("`{shown}` makes it larger than any submission is"));
            }
            file.write_all(&buffer[..count]).map_err(told)?;
        }
    }
}

/// The name as a path below a folder; nothing if it leads anywhere else.
fn inside(name: &str) -> Option<PathBuf> {
    if name.contains('\0') || name.contains('\\') || name.len() > 1024 {
        return None;
    }
    let mut path = PathBuf::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_inside_or_is_no_name() {
        assert_eq!(inside("./a//b.rs"), Some("a/b.rs".into()));
        for name in ["/etc/passwd", "../x", "a/../../x", "a\\..\\x", "a\0b"] {
            assert_eq!(inside(name), None, "{name:?}");
        }
    }
}
