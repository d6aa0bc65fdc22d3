//! A log.
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::thread;
use std::time::Duration;

use crossbeam_utils::Backoff;
use labkit::{Lab, LabError, Name, Segment, Shared, state};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate, posix_fallocate};

use crate::layout::{FIRST_LEN, Layout, MAX_PAYLOAD, SLOT_LEN, SLOTS, slot_offset};

/// Makes it.
pub fn create(name: &Name) -> Result<(), LabError> {
    let segment = Segment::create(name, Lab::UnboundedBuffer, FIRST_LEN)?;
    segment.publish(state::READY);
    Ok(())
}

/// A slot of the log.
#[derive(Debug)]
#[repr(C)]
struct Slot {
    len: AtomicU64,
    words: [AtomicU64; 7],
}
// SAFETY: repr(C), atomics only.
unsafe impl Shared for Slot {}

/// Producer.
#[derive(Debug)]
pub struct Producer {
    segment: Segment,
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
        let slot: &Slot = self.segment.at(offset)?;
        let mut padded = [0u8; MAX_PAYLOAD];
        padded[..message.len()].copy_from_slice(message);
        for (word, bytes) in slot.words.iter().zip(padded.as_chunks::<8>().0) {
            word.store(u64::from_le_bytes(*bytes), Relaxed);
        }
        slot.len.store(message.len() as u64, Relaxed);
        Ok(())
    }
}

/// Consumer.
#[derive(Debug)]
pub struct Consumer {
    segment: Segment,
    given_back: usize,
    /// What tail was when I last looked: no need to look again before I am there.
    seen: u64,
}

impl Consumer {
    /// Opens.
    pub fn attach(name: &Name) -> Result<Consumer, LabError> {
        Ok(Consumer { segment: open(name)?, given_back: FIRST_LEN, seen: 0 })
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
        let slot: &Slot = self.segment.at(offset)?;
        let mut all = Vec::with_capacity(MAX_PAYLOAD);
        for word in &slot.words {
            all.extend_from_slice(&word.load(Relaxed).to_le_bytes());
        }
        match usize::try_from(slot.len.load(Relaxed)) {
            Ok(len) if len <= MAX_PAYLOAD => all.truncate(len),
            _ => return Err(LabError::WrongFormat("len")),
        }
        Ok(all)
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

    fn wait_for(&mut self, head: u64) -> Result<bool, LabError> {
        if head < self.seen {
            return Ok(true);
        }
        let layout = layout(&self.segment)?;
        let backoff = Backoff::new();
        loop {
            let closed = self.segment.state() == state::CLOSED;
            let tail = layout.tail.load(Acquire);
            if tail > head {
                self.seen = tail;
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

fn open(name: &Name) -> Result<Segment, LabError> {
    Segment::open(name, Lab::UnboundedBuffer, SLOTS)
}

fn layout(segment: &Segment) -> Result<&Layout, LabError> {
    segment.at(0)
}
