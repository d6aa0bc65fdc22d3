//! Object and mapping. A guard takes the name back unless the creation was finished.
use std::ffi::c_void;
use std::mem::{align_of, size_of};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::process;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU8, fence};
use std::time::{Duration, Instant};

use labkit::{Lab, LabError, Name, Prefix, Shared, VERSION, patience, state};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap, shm_open, shm_unlink};
use nix::sys::stat::{Mode, fchmod, fstat};
use nix::unistd::ftruncate;

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

/// Rings when something happens in /dev/shm; where that cannot be had, it only sleeps.
struct Bell(i32);
impl Bell {
    fn new() -> Bell {
        // SAFETY: plain call.
        let fd = unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) };
        if fd >= 0 {
            let mask = libc::IN_CREATE | libc::IN_MOVED_TO;
            // SAFETY: a C string.
            unsafe { libc::inotify_add_watch(fd, c"/dev/shm".as_ptr(), mask) };
        }
        Bell(fd)
    }
    fn wait(&self, limit: Duration) {
        let mut poll = libc::pollfd { fd: self.0, events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry; a negative descriptor is skipped.
        let n = unsafe { libc::poll(&mut poll, 1, limit.as_millis().max(1) as i32) };
        if n > 0 {
            let mut events = [0u8; 4096];
            // SAFETY: the buffer is that long.
            unsafe { libc::read(self.0, events.as_mut_ptr().cast(), events.len()) };
            // Others make names too: not more than a look in a millisecond.
            // SAFETY: no descriptors.
            unsafe { libc::poll(std::ptr::null_mut(), 0, 1) };
        }
    }
}
impl Drop for Bell {
    fn drop(&mut self) {
        if self.0 >= 0 {
            // SAFETY: ours.
            unsafe { libc::close(self.0) };
        }
    }
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
            let _ = shm_unlink(name.as_str());
        }
    }
}

const RW: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

impl Segment {
    /// Makes it.
    pub fn create(name: &Name, len: usize) -> Result<Segment, LabError> {
        if len < HEAP {
            return Err(LabError::TooSmall);
        }
        let fd = shm_open(name.as_str(), OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR, RW)?;
        let guard = NameGuard(Some(name));
        let length = i64::try_from(len).map_err(|_| Errno::EFBIG)?;
        loop {
            match ftruncate(&fd, length) {
                Err(Errno::EINTR) => {}
                other => break other?,
            }
        }
        fchmod(&fd, RW)?;
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
        let bell = Bell::new();
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
            bell.wait(left.min(Duration::from_millis(50)));
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
        Ok(shm_unlink(name.as_str())?)
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
    let flags = match access {
        Access::ReadOnly => OFlag::O_RDONLY,
        Access::ReadWrite => OFlag::O_RDWR,
    };
    let fd = shm_open(name.as_str(), flags, Mode::empty())?;
    let len = fstat(&fd)?.st_size as usize;
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
