//! Users who own nothing, one for each piece of work at a time.
//!
//! Only the superuser can become one of them. Two pieces of work at once never share one: what one
//! student's program leaves must not be mistaken for another's, nor may they signal each other.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

/// The first of the numbers, which no distribution gives to anybody.
const FIRST: u32 = 64_100;

/// How many there are.
const COUNT: u32 = 64;

/// Where they are taken from: only the superuser may look into it.
const FOLDER: &str = "/run/shmlab-users";

/// One of the users, ours until it is dropped.
pub(super) struct User {
    number: u32,
    _lock: Flock<File>,
}

impl User {
    /// Takes one that nobody uses.
    pub(super) fn take() -> Result<User> {
        let folder = Path::new(FOLDER);
        if !folder.exists() {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.with_context(|| format!("cannot make {FOLDER}"))?;
        }
        for number in FIRST..FIRST + COUNT {
            let path = folder.join(number.to_string());
            let file =
                File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
            if let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                return Ok(User { number, _lock: lock });
            }
        }
        bail!("all {COUNT} users for strangers' programs are in use: grade fewer at once (--jobs)")
    }

    /// Its number.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Gives it back. Where it shared the machine's files, everything of it is ended and removed.
    pub(super) fn clear(self, shared: bool) -> Result<()> {
        if shared {
            sandbox::sweep(self.number)?;
        }
        Ok(())
    }
}

/// Makes everything below `folder` the user's, but for files that others have under another name.
pub(super) fn give(folder: &Path, user: u32) -> Result<()> {
    let mut unread = vec![folder.to_owned()];
    while let Some(path) = unread.pop() {
        let meta = path.symlink_metadata()?;
        if meta.is_dir() {
            for entry in fs::read_dir(&path)? {
                unread.push(entry?.path());
            }
        }
        let ours_alone = meta.is_dir() || meta.nlink() == 1;
        if ours_alone && meta.uid() != user && !meta.is_symlink() {
            chown(&path, Some(user), Some(user))
                .with_context(|| format!("cannot hand over {}", path.display()))?;
        }
    }
    Ok(())
}
