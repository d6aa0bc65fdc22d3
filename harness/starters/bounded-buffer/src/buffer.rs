//! The ring itself: who may touch which slot, and when. Three semaphores answer that. `empty` and
//! `full` let in as many as there is something to do for, and the lock lets them in one by one.

#![expect(unused_variables, dead_code, reason = "remove this line when no `todo!` is left")]

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use labkit::{Lab, LabError, Name, Segment, state};

use crate::layout::{CONTROL, Control, Geometry, Lock, MIN_SLOT, SLOT_HEADER, SLOTS};

/// Makes an empty buffer of `capacity` slots under a name that nobody has yet.
///
/// When this fails there is no object of that name, or the one that was there is unchanged.
pub fn create(name: &Name, capacity: u32, slot_size: u32, lock: Lock) -> Result<(), LabError> {
    let geometry = Geometry::new(capacity, slot_size, lock)?;
    todo!("step create: the object, the three words, the semaphores, and READY as the last store")
}

/// A buffer that this process has mapped. Any number of processes and threads may have it.
pub struct Buffer {
    segment: Segment,
    geometry: Geometry,
}

impl Buffer {
    /// Attaches to a buffer, and waits for its creator if there is none yet.
    pub fn open(name: &Name) -> Result<Buffer, LabError> {
        let segment = Segment::open(name, Lab::BoundedBuffer, SLOTS + MIN_SLOT as usize)?;
        let geometry = Geometry::of(segment.at::<Control>(CONTROL)?, segment.len())?;
        Ok(Buffer { segment, geometry })
    }

    /// Puts a message in, behind all that are there. Sleeps while the buffer is full.
    ///
    /// A message longer than [`Buffer::payload_max`] is refused with [`LabError::TooLong`] before
    /// anything has changed.
    pub fn push(&self, message: &[u8]) -> Result<(), LabError> {
        todo!("step push: a permit, the slot, the index, a permit for the other side")
    }

    /// Takes the oldest message out. Sleeps while the buffer is empty; `None` is the end, and it
    /// comes when the buffer is closed and every message was taken.
    pub fn pop(&self) -> Result<Option<Vec<u8>>, LabError> {
        todo!("step pop: a permit, the copy, the index, a permit for the other side")
    }

    /// Says that no message will follow. What is in the buffer is still delivered.
    pub fn close(&self) -> Result<(), LabError> {
        todo!("step end: say it, and wake a consumer that sleeps")
    }

    /// Whether somebody has closed the buffer.
    pub fn is_closed(&self) -> bool {
        self.segment.state() == state::CLOSED
    }

    /// The longest message, in bytes.
    pub fn payload_max(&self) -> usize {
        self.geometry.payload_max()
    }

    fn control(&self) -> Result<&Control, LabError> {
        self.segment.at(CONTROL)
    }

    /// Where the slot of message number `index` begins, counted from the start of the segment.
    fn slot(&self, index: u64) -> usize {
        todo!("step push: slots start at SLOTS, are slot_size long, and are used again and again")
    }

    /// Stores a message that fits. The caller alone may touch this slot.
    fn write_slot(&self, index: u64, message: &[u8]) -> Result<(), LabError> {
        let at = self.slot(index);
        self.segment.at::<AtomicU64>(at)?.store(message.len() as u64, Relaxed);
        self.segment.write_bytes(at + SLOT_HEADER, message)
    }

    /// Copies a message out. The caller alone may touch this slot.
    fn read_slot(&self, index: u64) -> Result<Vec<u8>, LabError> {
        let at = self.slot(index);
        let len = self.segment.at::<AtomicU64>(at)?.load(Relaxed);
        match usize::try_from(len) {
            Ok(len) if len <= self.payload_max() => self.segment.read_bytes(at + SLOT_HEADER, len),
            _ => Err(LabError::WrongFormat("a slot says that its message is longer than the slot")),
        }
    }

    /// Waits until this process is alone with the indices and the slots. The caller says which
    /// permit it has in its hand, for the count after somebody's death.
    fn enter(&self, mine: Permit) -> Result<Held<'_>, LabError> {
        let control = self.control()?;
        match self.geometry.lock {
            Lock::Semaphore => todo!("step exclusion: take the lock"),
            Lock::Robust => {
                todo!(
                    "step robust: take the lock, and repair what its last owner left when it died"
                )
            }
        }
    }

    /// Puts the permits right after a death inside. The caller holds the lock and the permit `mine`.
    fn repair(&self, mine: Permit) -> Result<(), LabError> {
        todo!("step robust: post what is missing in `full` and in `empty`")
    }
}

/// What a process has taken before it enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permit {
    /// One of `empty`: it may fill a slot.
    Empty,
    /// One of `full`: it may take a message.
    Full,
}

/// The lock while it is held. It is given back when this is dropped, so also on the way out of a
/// `?` that nobody thought of.
struct Held<'a> {
    control: &'a Control,
    lock: Lock,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        match self.lock {
            Lock::Semaphore => todo!("step exclusion: give the lock back"),
            Lock::Robust => todo!("step robust: give the lock back"),
        }
    }
}
