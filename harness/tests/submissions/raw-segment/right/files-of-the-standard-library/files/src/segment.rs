//! Object and mapping. A guard takes the name back unless the creation was finished.
use std::ffi::c_void;
use std::fs::{OpenOptions, Permissions};
use std::io;
use std::mem::{align_of, size_of};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::process;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU8, fence};
use std::thread;
use std::time::{Duration, Instant};

use labkit::{Lab, LabError, Name, Prefix, Shared, VERSION, patience, state};
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::layout::HEAP;

/// Rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// r
    ReadOnly,
    /// rw
    ReadWrite,
}

/// A mapping.
#[derive(Debug)]
pub struct Segment {
    base: NonNull<c_void>,
    len: usize,
    access: Access,
}

struct NameGuard<'a>(Option<&'a Name>);
impl NameGuard<'_> {
    fn keep(mut self) {
        self.0 = None;
    }
}
impl Drop for NameGuard<'_> {
    fn drop(&mut self) {
        if let Some(name) = self.0 {
            let _ = std::fs::remove_file(path(name));
        }
    }
}

fn path(name: &Name) -> PathBuf {
    PathBuf::from(format!("/dev/shm{name}"))
}

fn os(error: io::Error) -> LabError {
    match error.raw_os_error() {
        Some(code) => Errno::from_raw(code).into(),
        None => LabError::Io(error),
    }
}

impl Segment {
    /// Makes it.
    pub fn create(name: &Name, len: usize) -> Result<Segment, LabError> {
        if len < HEAP {
            return Err(LabError::TooSmall);
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path(name))
            .map_err(os)?;
        let guard = NameGuard(Some(name));
        let length = i64::try_from(len).map_err(|_| Errno::EFBIG)?;
        let _ = length;
        file.set_permissions(Permissions::from_mode(0o600)).map_err(os)?;
        file.set_len(len as u64).map_err(os)?;
        let fd = OwnedFd::from(file);
        let segment = map(&fd, len, Access::ReadWrite)?;
        let prefix: &Prefix = segment.at(0)?;
        prefix.creator.store(process::id(), Relaxed);
        prefix.total_len.store(len as u64, Relaxed);
        prefix.version.store(VERSION, Relaxed);
        prefix.magic.store(Lab::RawSegment.magic(), Relaxed);
        guard.keep();
        Ok(segment)
    }

    /// Opens it.
    pub fn open(name: &Name, access: Access) -> Result<Segment, LabError> {
        let deadline = Instant::now() + patience();
        loop {
            let error = match look(name, access) {
                Ok(segment) => return Ok(segment),
                Err(error @ (LabError::Missing | LabError::NotReady)) => error,
                Err(error) => return Err(error),
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(error);
            }
            thread::sleep(left.min(Duration::from_millis(5)));
        }
    }

    /// READY.
    pub fn publish(&self) -> Result<(), LabError> {
        self.at::<Prefix>(0)?.state.store(state::READY, Release);
        Ok(())
    }

    /// A T.
    pub fn at<T: Shared>(&self, offset: usize) -> Result<&T, LabError> {
        let start = self.address(offset, size_of::<T>())?.cast::<T>();
        if !start.is_aligned() || align_of::<T>() > 4096 {
            return Err(LabError::OutOfRange);
        }
        // SAFETY: long enough, aligned, Shared, bound to &self.
        Ok(unsafe { &*start })
    }

    /// Bytes.
    pub fn bytes(&self, offset: usize, len: usize) -> Result<&[AtomicU8], LabError> {
        let start = self.address(offset, len)?.cast::<AtomicU8>();
        // SAFETY: long enough, align 1, atomics, bound to &self.
        Ok(unsafe { slice::from_raw_parts(start, len) })
    }

    /// Length.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Rights.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Removes the name.
    pub fn destroy(name: &Name) -> Result<(), LabError> {
        std::fs::remove_file(path(name)).map_err(os)
    }

    fn address(&self, offset: usize, len: usize) -> Result<*const u8, LabError> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => {
                Ok(self.base.as_ptr().cast::<u8>().cast_const().wrapping_add(offset))
            }
            _ => Err(LabError::OutOfRange),
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: mapped by us, no reference outlives self.
        let _ = unsafe { munmap(self.base, self.len) };
    }
}

fn map(fd: &OwnedFd, len: usize, access: Access) -> Result<Segment, LabError> {
    let prot = match access {
        Access::ReadOnly => ProtFlags::PROT_READ,
        Access::ReadWrite => ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
    };
    let size = NonZeroUsize::new(len).ok_or(LabError::TooSmall)?;
    // SAFETY: a fresh mapping.
    let base = unsafe { mmap(None, size, prot, MapFlags::MAP_SHARED, fd, 0) }?;
    Ok(Segment { base, len, access })
}

fn look(name: &Name, access: Access) -> Result<Segment, LabError> {
    let file = OpenOptions::new()
        .read(true)
        .write(access == Access::ReadWrite)
        .open(path(name))
        .map_err(os)?;
    let len = file.metadata().map_err(os)?.len() as usize;
    let fd = OwnedFd::from(file);
    if len < HEAP {
        return Err(LabError::NotReady);
    }
    let segment = map(&fd, len, access)?;
    let prefix: &Prefix = segment.at(0)?;
    let state = prefix.state.load(Relaxed);
    fence(Acquire);
    if state == state::BUILDING {
        return Err(LabError::NotReady);
    }
    if state > state::CLOSED {
        return Err(LabError::WrongFormat("state"));
    }
    if prefix.magic.load(Relaxed) != Lab::RawSegment.magic() {
        return Err(LabError::WrongFormat("magic"));
    }
    if prefix.version.load(Relaxed) != VERSION {
        return Err(LabError::WrongFormat("version"));
    }
    if prefix.total_len.load(Relaxed) > len as u64 {
        return Err(LabError::WrongFormat("total_len"));
    }
    Ok(segment)
}
