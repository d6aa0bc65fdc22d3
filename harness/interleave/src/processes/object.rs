//! The segment as we see it: a file, read and written with `pread` and `pwrite`. Never mapped: a
//! process that shortens the object would kill us with SIGBUS.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use crate::Unsupported;

/// The object behind the name; nothing if nobody has made it yet.
#[derive(Default)]
pub(crate) struct Object {
    file: Option<File>,
    identity: (u64, u64),
    /// Its length when we last looked. It is looked at often, and only changes by calls that we see.
    len: u64,
}

impl Object {
    pub(crate) fn open(path: &Path) -> Result<Object, Unsupported> {
        match File::options().read(true).write(true).open(path) {
            Ok(file) => {
                let metadata = file.metadata().map_err(|error| failed(&error))?;
                let identity = (metadata.dev(), metadata.ino());
                Ok(Object { file: Some(file), identity, len: metadata.len() })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Object::default()),
            Err(error) => Err(failed(&error)),
        }
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.file.is_none()
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Looks how long it is now.
    pub(crate) fn look(&mut self) {
        let metadata = self.file.as_ref().and_then(|file| file.metadata().ok());
        self.len = metadata.map_or(0, |metadata| metadata.len());
    }

    pub(crate) fn load(&self, offset: usize, bytes: &mut [u8]) -> usize {
        self.file.as_ref().and_then(|file| file.read_at(bytes, offset as u64).ok()).unwrap_or(0)
    }

    /// Stores what lies before the object's end; it never grows by that.
    pub(crate) fn store(&mut self, offset: usize, bytes: &[u8]) {
        let Some(file) = &self.file else { return };
        let left = (self.len() as usize).saturating_sub(offset).min(bytes.len());
        let _ = file.write_all_at(&bytes[..left], offset as u64);
    }

    /// All bytes of the object.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len() as usize];
        let read = self.load(0, &mut bytes);
        bytes.truncate(read);
        bytes
    }

    /// All bytes of whatever has the name now.
    pub(crate) fn bytes_of_name(&self, path: &Path) -> Option<Vec<u8>> {
        if self.is_still(path) {
            return Some(self.bytes());
        }
        let object = Object::open(path).ok()?;
        object.file.is_some().then(|| object.bytes())
    }

    /// Whether the name still leads to this object.
    pub(crate) fn is_still(&self, path: &Path) -> bool {
        let named = std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
        self.file.is_some() && named.is_ok_and(|identity| identity == self.identity)
    }

    /// Makes the object hold these bytes and no more.
    pub(crate) fn restore(&mut self, bytes: &[u8]) -> Result<(), Unsupported> {
        self.look();
        let len = self.len;
        let Some(file) = &self.file else { return Ok(()) };
        if len != bytes.len() as u64 {
            self.len = bytes.len() as u64;
            file.set_len(bytes.len() as u64).map_err(|error| failed(&error))?;
        }
        file.write_all_at(bytes, 0).map_err(|error| failed(&error))
    }
}

fn failed(error: &std::io::Error) -> Unsupported {
    Unsupported::System(format!("the segment: {error}"))
}
