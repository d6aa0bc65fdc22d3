//! Looks at a shared memory object from outside, with `pread`: the deciding process never maps what
//! a student's program can shorten, because a mapping that has lost its pages kills its reader.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{Whence, lseek};

use crate::cleanup::SHM_DIR;

/// An object in `/dev/shm`, opened for reading. It stays readable after its name is gone.
#[derive(Debug)]
pub struct Object {
    file: File,
}

impl Object {
    /// Opens the object behind a name like `/demo`; nothing if there is no such regular file.
    ///
    /// # Errors
    ///
    /// What the system says, apart from the name being missing.
    pub fn open(name: &str) -> io::Result<Option<Object>> {
        let path = format!("{SHM_DIR}{name}");
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let mut result = OpenOptions::new().read(true).custom_flags(flags).open(&path);
        if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
            // Its mode keeps even its owner out, and we are not root. The mode is the student's to
            // explain; we look at the rest all the same.
            result = look_past_the_mode(&path);
        }
        match result {
            Ok(file) if file.metadata()?.is_file() => Ok(Some(Object { file })),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // The name is a symbolic link.
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.file.metadata().map_or(0, |meta| meta.len())
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The permission bits, `0o600` for the owner's read and write.
    pub fn mode(&self) -> u32 {
        self.file.metadata().map_or(0, |meta| meta.mode() & 0o7777)
    }

    /// The inode number: two objects behind one name differ in it.
    pub fn inode(&self) -> u64 {
        self.file.metadata().map_or(0, |meta| meta.ino())
    }

    /// Memory it occupies, in bytes: less than its length where pages were never touched or were
    /// given back.
    pub fn occupied(&self) -> u64 {
        self.file.metadata().map_or(0, |meta| meta.blocks() * 512)
    }

    /// Memory that the bytes from `start` to `end` occupy. A hole occupies none.
    ///
    /// # Errors
    ///
    /// What the system says, as where its file system does not tell data from holes.
    pub fn memory_within(&self, start: u64, end: u64) -> nix::Result<u64> {
        let mut total = 0;
        let mut at = start;
        while at < end {
            let data = match lseek(&self.file, at as i64, Whence::SeekData) {
                // Behind `at` there is nothing but holes.
                Err(Errno::ENXIO) => break,
                found => (found? as u64).min(end),
            };
            let hole = match lseek(&self.file, data as i64, Whence::SeekHole) {
                Err(Errno::ENXIO) => end,
                found => (found? as u64).min(end),
            };
            total += hole - data;
            at = hole;
        }
        Ok(total)
    }

    /// All of its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.read(0, self.len() as usize)
    }

    /// `count` bytes from `offset` on, fewer where the object ends earlier.
    pub fn read(&self, offset: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count.min(self.len().saturating_sub(offset) as usize)];
        let mut done = 0;
        while done < bytes.len() {
            match self.file.read_at(&mut bytes[done..], offset + done as u64) {
                Ok(0) | Err(_) => break,
                Ok(count) => done += count,
            }
        }
        bytes.truncate(done);
        bytes
    }

    /// The little-endian 32-bit word at `offset`; 0 where the object ends earlier.
    pub fn u32(&self, offset: u64) -> u32 {
        self.read(offset, 4).try_into().map_or(0, u32::from_le_bytes)
    }

    /// The little-endian 64-bit word at `offset`; 0 where the object ends earlier.
    pub fn u64(&self, offset: u64) -> u64 {
        self.read(offset, 8).try_into().map_or(0, u64::from_le_bytes)
    }
}

/// Opens an object of ours whose mode forbids it, leaving the mode as it was.
fn look_past_the_mode(path: &str) -> io::Result<File> {
    use std::fs::{Permissions, set_permissions, symlink_metadata};
    let before: Permissions = symlink_metadata(path)?.permissions();
    set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path);
    set_permissions(path, before)?;
    file
}
