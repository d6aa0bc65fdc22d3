//! Guard, posts inside the lock.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, Release};

use nix::errno::Errno;
use nix::libc;

use labkit::{Lab, LabError, Name, Segment, state};

use crate::layout::{CONTROL, Control, Geometry, Lock, MIN_SLOT, SLOT_HEADER, SLOTS};
use crate::robust::Locked;

/// Makes an empty buffer.
pub fn create(name: &Name, capacity: u32, slot_size: u32, lock: Lock) -> Result<(), LabError> {
    let geometry = Geometry::new(capacity, slot_size, lock)?;
    let path = CString::new(name.as_str()).map_err(|_| LabError::OutOfRange)?;
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
    // SAFETY: a string that ends with NUL.
    let fd = Errno::result(unsafe { libc::shm_open(path.as_ptr(), flags, 0o600) })?;
    // SAFETY: just opened, ours.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let undo = Undo(&path);
    fill(&fd, geometry)?;
    std::mem::forget(undo);
    Ok(())
}

struct Undo<'a>(&'a CStr);

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        // SAFETY: a string that ends with NUL.
        unsafe { libc::shm_unlink(self.0.as_ptr()) };
    }
}

fn fill(fd: &OwnedFd, geometry: Geometry) -> Result<(), LabError> {
    let len = geometry.total_len();
    let raw = fd.as_raw_fd();
    // SAFETY: an open descriptor.
    Errno::result(unsafe { libc::fchmod(raw, 0o600) })?;
    let size = i64::try_from(len).map_err(|_| LabError::Os(Errno::EFBIG))?;
    // SAFETY: as above.
    Errno::result(unsafe { libc::ftruncate(raw, size) })?;
    // SAFETY: as above.
    match unsafe { libc::posix_fallocate(raw, 0, size) } {
        0 => {}
        errno => return Err(Errno::from_raw(errno).into()),
    }
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let head = SLOTS;
    // SAFETY: a new mapping of a page that exists.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), head, access, libc::MAP_SHARED, raw, 0) };
    if base == libc::MAP_FAILED {
        return Err(Errno::last().into());
    }
    // SAFETY: mapped, aligned, all atomics, alive until the munmap below.
    let prefix = unsafe { &*base.cast::<labkit::Prefix>() };
    // SAFETY: as above.
    let control = unsafe { &*base.cast::<u8>().add(CONTROL).cast::<Control>() };
    let done = (|| {
        // SAFETY: nobody else touches them before READY.
        unsafe { control.mutex.init(1)? };
        // SAFETY: as above.
        unsafe { control.full.init(0)? };
        // SAFETY: as above.
        unsafe { control.empty.init(geometry.capacity)? };
        if let Lock::Robust = geometry.lock {
            // SAFETY: as above.
            unsafe { control.robust.init()? };
        }
        control.head.store(0, Relaxed);
        control.tail.store(0, Relaxed);
        control.lock.store(geometry.lock as u32, Relaxed);
        control.slot_size.store(geometry.slot_size, Relaxed);
        control.capacity.store(geometry.capacity, Relaxed);
        prefix.magic.store(Lab::BoundedBuffer.magic(), Relaxed);
        prefix.version.store(labkit::VERSION, Relaxed);
        prefix.total_len.store(len as u64, Relaxed);
        prefix.creator.store(std::process::id(), Relaxed);
        prefix.state.store(state::READY, Release);
        Ok(())
    })();
    // SAFETY: mapped above, no reference is used after this.
    unsafe { libc::munmap(base, head) };
    done
}

/// A mapped buffer.
pub struct Buffer {
    segment: Segment,
    geometry: Geometry,
}

impl Buffer {
    /// Attaches.
    pub fn open(name: &Name) -> Result<Buffer, LabError> {
        let segment = Segment::open(name, Lab::BoundedBuffer, SLOTS + MIN_SLOT as usize)?;
        let geometry = Geometry::of(segment.at::<Control>(CONTROL)?, segment.len())?;
        Ok(Buffer { segment, geometry })
    }

    /// Puts a message in.
    pub fn push(&self, message: &[u8]) -> Result<(), LabError> {
        if message.len() > self.payload_max() {
            return Err(LabError::TooLong);
        }
        let control = self.control()?;
        loop {
            control.empty.wait()?;
            let _held = self.enter(Permit::Empty)?;
            let (head, tail) = (control.head.load(Relaxed), control.tail.load(Relaxed));
            if tail - head == u64::from(self.geometry.capacity) {
                continue;
            }
            self.write_slot(tail, message)?;
            control.tail.store(tail + 1, Relaxed);
            return control.full.post();
        }
    }

    /// Takes a message out.
    pub fn pop(&self) -> Result<Option<Vec<u8>>, LabError> {
        let control = self.control()?;
        loop {
            control.full.wait()?;
            let _held = self.enter(Permit::Full)?;
            let (head, tail) = (control.head.load(Relaxed), control.tail.load(Relaxed));
            if head == tail {
                if self.is_closed() {
                    control.full.post()?;
                    return Ok(None);
                }
                continue;
            }
            let message = self.read_slot(head)?;
            control.head.store(head + 1, Relaxed);
            control.empty.post()?;
            return Ok(Some(message));
        }
    }

    /// No message will follow.
    pub fn close(&self) -> Result<(), LabError> {
        self.segment.publish(state::CLOSED);
        self.control()?.full.post()
    }

    /// Whether closed.
    pub fn is_closed(&self) -> bool {
        self.segment.state() == state::CLOSED
    }

    /// The longest message.
    pub fn payload_max(&self) -> usize {
        self.geometry.payload_max()
    }

    fn control(&self) -> Result<&Control, LabError> {
        self.segment.at(CONTROL)
    }

    fn slot(&self, index: u64) -> usize {
        SLOTS
            + (index % u64::from(self.geometry.capacity)) as usize
                * self.geometry.slot_size as usize
    }

    fn write_slot(&self, index: u64, message: &[u8]) -> Result<(), LabError> {
        let at = self.slot(index);
        self.segment.at::<AtomicU64>(at)?.store(message.len() as u64, Relaxed);
        self.segment.write_bytes(at + SLOT_HEADER, message)
    }

    fn read_slot(&self, index: u64) -> Result<Vec<u8>, LabError> {
        let at = self.slot(index);
        let len = self.segment.at::<AtomicU64>(at)?.load(Relaxed);
        match usize::try_from(len) {
            Ok(len) if len <= self.payload_max() => self.segment.read_bytes(at + SLOT_HEADER, len),
            _ => Err(LabError::WrongFormat("a slot says that its message is longer than the slot")),
        }
    }

    fn enter(&self, mine: Permit) -> Result<Held<'_>, LabError> {
        let control = self.control()?;
        match self.geometry.lock {
            Lock::Semaphore => control.mutex.wait()?,
            Lock::Robust => {
                if control.robust.lock()? == Locked::OwnerDied {
                    self.repair(mine)?;
                    control.robust.make_consistent()?;
                }
            }
        }
        Ok(Held { control, lock: self.geometry.lock })
    }

    fn repair(&self, mine: Permit) -> Result<(), LabError> {
        let control = self.control()?;
        let inside = control.tail.load(Relaxed) - control.head.load(Relaxed);
        let want_full = inside + u64::from(self.is_closed());
        let want_empty = u64::from(self.geometry.capacity) - inside;
        let have_full = u64::from(control.full.value()?) + u64::from(mine == Permit::Full);
        let have_empty = u64::from(control.empty.value()?) + u64::from(mine == Permit::Empty);
        for _ in have_full..want_full {
            control.full.post()?;
        }
        for _ in have_empty..want_empty {
            control.empty.post()?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permit {
    Empty,
    Full,
}

struct Held<'a> {
    control: &'a Control,
    lock: Lock,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let given = match self.lock {
            Lock::Semaphore => self.control.mutex.post(),
            Lock::Robust => self.control.robust.unlock(),
        };
        given.expect("a lock that was taken can be given back");
    }
}
