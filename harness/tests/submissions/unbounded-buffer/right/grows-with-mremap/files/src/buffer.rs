//! A log.
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::thread;
use std::time::Duration;

use crossbeam_utils::Backoff;
use labkit::{Lab, LabError, Name, Segment, Shared, state};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate, posix_fallocate};
use nix::libc;

use crate::layout::{FIRST_LEN, Layout, MAX_PAYLOAD, SLOT_LEN, SLOTS, slot_offset};

/// Makes it.
pub fn create(name: &Name) -> Result<(), LabError> {
    let segment = Segment::create(name, Lab::UnboundedBuffer, FIRST_LEN)?;
    segment.publish(state::READY);
    Ok(())
}

/// My own mapping; labkit's only opens the object and checks the prefix.
#[derive(Debug)]
struct Map {
    base: *mut u8,
    len: usize,
    fd: OwnedFd,
}

impl Map {
    fn new(name: &Name) -> Result<Map, LabError> {
        let segment = Segment::open(name, Lab::UnboundedBuffer, SLOTS)?;
        let fd = segment.fd().try_clone_to_owned().map_err(LabError::Io)?;
        drop(segment);
        let len = nix::sys::stat::fstat(&fd)?.st_size as usize;
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping.
        let base = unsafe {
            libc::mmap(std::ptr::null_mut(), len, prot, libc::MAP_SHARED, fd.as_raw_fd(), 0)
        };
        if base == libc::MAP_FAILED {
            return Err(Errno::last().into());
        }
        Ok(Map { base: base.cast(), len, fd })
    }

    fn word<T: Shared>(&self, offset: usize) -> Result<&T, LabError> {
        let end = offset.checked_add(size_of::<T>()).ok_or(LabError::OutOfRange)?;
        if end > self.len || offset % align_of::<T>() != 0 {
            return Err(LabError::OutOfRange);
        }
        // SAFETY: inside the mapping and the object, aligned, Shared, bound to self.
        Ok(unsafe { &*self.base.add(offset).cast::<T>() })
    }

    fn at<T: Shared>(&self, offset: usize) -> Result<&T, LabError> {
        self.word(offset)
    }

    fn layout(&self) -> &Layout {
        self.word(0).expect("never shorter than its header")
    }

    fn state(&self) -> u32 {
        self.layout().prefix.state.load(Acquire)
    }

    fn publish(&self, state: u32) {
        self.layout().prefix.state.store(state, Release);
    }

    fn len(&self) -> usize {
        self.len
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn object_len(&self) -> Result<usize, LabError> {
        Ok(nix::sys::stat::fstat(&self.fd)?.st_size as usize)
    }

    fn remap(&mut self) -> Result<(), LabError> {
        let len = self.object_len()?;
        // SAFETY: &mut, so no reference is left; the old one is ours.
        let base = unsafe { libc::mremap(self.base.cast(), self.len, len, libc::MREMAP_MAYMOVE) };
        if base == libc::MAP_FAILED {
            return Err(Errno::last().into());
        }
        (self.base, self.len) = (base.cast(), len);
        Ok(())
    }

    fn write_bytes(&self, offset: usize, bytes: &[u8]) -> Result<(), LabError> {
        if offset > self.len || bytes.len() > self.len - offset {
            return Err(LabError::OutOfRange);
        }
        // SAFETY: inside; nobody else touches a slot that is not published.
        unsafe { self.base.add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    fn read_bytes(&self, offset: usize, len: usize) -> Result<Vec<u8>, LabError> {
        if offset > self.len || len > self.len - offset {
            return Err(LabError::OutOfRange);
        }
        let mut room = [MaybeUninit::<u8>::uninit(); MAX_PAYLOAD];
        // SAFETY: inside; a published slot never changes; at most MAX_PAYLOAD bytes.
        unsafe {
            self.base
                .add(offset)
                .copy_to_nonoverlapping(room.as_mut_ptr().cast(), len.min(MAX_PAYLOAD))
        };
        // SAFETY: that many were filled.
        Ok(room[..len].iter().map(|b| unsafe { b.assume_init() }).collect())
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: ours.
        unsafe { libc::munmap(self.base.cast(), self.len) };
    }
}

/// Producer.
#[derive(Debug)]
pub struct Producer {
    segment: Map,
}

impl Producer {
    /// Opens.
    pub fn attach(name: &Name) -> Result<Producer, LabError> {
        Ok(Producer { segment: open(name)? })
    }

    /// Closed?
    pub fn is_closed(&self) -> bool {
        self.segment.state() == state::CLOSED
    }

    /// Publishes.
    pub fn push(&mut self, message: &[u8]) -> Result<(), LabError> {
        if message.len() > MAX_PAYLOAD {
            return Err(LabError::TooLong);
        }
        let tail = layout(&self.segment)?.tail.load(Relaxed);
        let offset = slot_offset(tail).ok_or(LabError::OutOfRange)?;
        self.make_room(offset + SLOT_LEN)?;
        self.write_slot(offset, message)?;
        layout(&self.segment)?.tail.store(tail + 1, Release);
        Ok(())
    }

    /// Closes.
    pub fn close(self) {
        self.segment.publish(state::CLOSED);
    }

    fn make_room(&mut self, end: usize) -> Result<(), LabError> {
        if end <= self.segment.len() {
            return Ok(());
        }
        let now = self.segment.object_len()?;
        if end > now {
            self.lengthen(now, end.next_multiple_of(4096))?;
        }
        self.segment.remap()
    }

    fn lengthen(&self, now: usize, to: usize) -> Result<(), LabError> {
        loop {
            match posix_fallocate(self.segment.fd(), now as i64, (to - now) as i64) {
                Err(Errno::EINTR) => {}
                other => return Ok(other?),
            }
        }
    }

    fn write_slot(&self, offset: usize, message: &[u8]) -> Result<(), LabError> {
        self.segment.at::<AtomicU64>(offset)?.store(message.len() as u64, Relaxed);
        self.segment.write_bytes(offset + 8, message)
    }
}

/// Consumer.
#[derive(Debug)]
pub struct Consumer {
    segment: Map,
    given_back: usize,
}

impl Consumer {
    /// Opens.
    pub fn attach(name: &Name) -> Result<Consumer, LabError> {
        Ok(Consumer { segment: open(name)?, given_back: FIRST_LEN })
    }

    /// Takes.
    pub fn pop(&mut self) -> Result<Option<Vec<u8>>, LabError> {
        let head = layout(&self.segment)?.head.load(Relaxed);
        if !self.wait_for(head)? {
            return Ok(None);
        }
        let offset = slot_offset(head).ok_or(LabError::WrongFormat("head"))?;
        if offset + SLOT_LEN > self.segment.len() {
            self.segment.remap()?;
            if offset + SLOT_LEN > self.segment.len() {
                return Err(LabError::WrongFormat("tail counts more than there is"));
            }
        }
        let message = self.read_slot(offset)?;
        layout(&self.segment)?.head.store(head + 1, Release);
        Ok(Some(message))
    }

    fn read_slot(&self, offset: usize) -> Result<Vec<u8>, LabError> {
        let len = self.segment.at::<AtomicU64>(offset)?.load(Relaxed);
        if len > MAX_PAYLOAD as u64 {
            return Err(LabError::WrongFormat("len"));
        }
        self.segment.read_bytes(offset + 8, len as usize)
    }

    /// Gives back.
    pub fn give_back(&mut self) -> Result<(), LabError> {
        let head = layout(&self.segment)?.head.load(Relaxed);
        let offset = slot_offset(head).ok_or(LabError::WrongFormat("head"))?;
        let until = offset / 4096 * 4096;
        if until >= self.given_back + 8 * 4096 {
            self.punch(self.given_back, until)?;
            self.given_back = until;
        }
        Ok(())
    }

    fn punch(&self, from: usize, to: usize) -> Result<(), LabError> {
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        loop {
            match fallocate(self.segment.fd(), flags, from as i64, (to - from) as i64) {
                Err(Errno::EINTR) => {}
                other => return Ok(other?),
            }
        }
    }

    fn wait_for(&self, head: u64) -> Result<bool, LabError> {
        let layout = layout(&self.segment)?;
        let backoff = Backoff::new();
        loop {
            let closed = self.segment.state() == state::CLOSED;
            if layout.tail.load(Acquire) > head {
                return Ok(true);
            }
            if closed {
                return Ok(false);
            }
            if backoff.is_completed() {
                thread::sleep(Duration::from_millis(1));
            } else {
                backoff.snooze();
            }
        }
    }
}

fn open(name: &Name) -> Result<Map, LabError> {
    Map::new(name)
}

fn layout(segment: &Map) -> Result<&Layout, LabError> {
    segment.at(0)
}
