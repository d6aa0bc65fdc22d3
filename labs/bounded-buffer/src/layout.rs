//! The bytes of a bounded buffer. Producer and consumer may be built years apart; what they agree
//! on is this page.
//!
//! ```text
//!    0 ┌──────────────────────────────────────────────────────────────┐
//!      │ magic, version, state, total_len, creator    the prefix      │
//!   64 ├────────────────┬────────────────┬────────────────┬───────────┤
//!      │ u32 capacity   │ u32 slot_size  │ u32 lock       │ reserved  │
//!  128 ├────────────────┴────────────────┴────────────────┴───────────┤
//!      │ sem_t empty    permits to put a message in                   │
//!  192 ├──────────────────────────────────────────────────────────────┤
//!      │ sem_t full     permits to take a message out                 │
//!  256 ├──────────────────────────────────────────────────────────────┤
//!      │ sem_t mutex    1 = nobody is inside, 0 = somebody is         │
//!  320 ├────────────────┬────────────────┬────────────────────────────┤
//!      │ u64 head       │ u64 tail       │ reserved                   │
//!  384 ├────────────────┴────────────────┴────────────────────────────┤
//!      │ pthread_mutex_t robust   only if lock = 1    40 of 64 bytes  │
//!  448 ├──────────────────────────────────────────────────────────────┤
//!      │ reserved                                                     │
//!  512 ├────────────────┬─────────────────────────────────────────────┤
//!      │ u64 len        │ payload, slot_size - 8 bytes        slot 0  │
//!      ├────────────────┼─────────────────────────────────────────────┤
//!      │ u64 len        │ payload, slot_size - 8 bytes        slot 1  │
//!      ├────────────────┼─────────────────────────────────────────────┤
//!      ┆                ┆                                             ┆
//!      └────────────────┴─────────────────────────────────────────────┘
//!  512 + slot_size·capacity
//! ```
//!
//! A `sem_t` fills 32 of the 64 bytes of its cell: each has a cache line of its own, so that a
//! producer that waits at one does not slow down a consumer that posts another.

use std::mem::{align_of, offset_of, size_of};
use std::sync::atomic::{AtomicU32, AtomicU64};

use labkit::{LabError, PREFIX_LEN, Shared};

use crate::robust::RobustMutex;
use crate::semaphore::Semaphore;

/// Where [`Control`] begins, right behind the prefix.
pub const CONTROL: usize = 64;

/// Where slot 0 begins.
pub const SLOTS: usize = 512;

/// The bytes of a slot that hold the message's length.
pub const SLOT_HEADER: usize = 8;

/// The smallest slot: a length and eight bytes.
pub const MIN_SLOT: u32 = 16;

/// The largest slot, 1 MiB.
pub const MAX_SLOT: u32 = 1 << 20;

/// The most slots: `empty` starts at the capacity, and this is glibc's `SEM_VALUE_MAX`.
pub const MAX_CAPACITY: u32 = i32::MAX as u32;

/// Everything between the prefix and the first slot.
///
/// `capacity`, `slot_size` and `lock` are written by the creator before the segment is READY and
/// never again. `head` and `tail` are written by whoever holds the lock, and by nobody else.
#[repr(C)]
pub struct Control {
    /// The number of slots, at least 1. All of them are usable.
    pub capacity: AtomicU32,
    /// Bytes from one slot to the next: 16 to 1 MiB, a multiple of 16.
    pub slot_size: AtomicU32,
    /// Which lock guards `head`, `tail` and the slots: a [`Lock`] as a number.
    pub lock: AtomicU32,
    _reserved0: [AtomicU32; 13],
    /// Counts the slots that are free to be written. Starts at `capacity`.
    pub empty: Semaphore,
    /// Counts the messages that are ready to be taken. Starts at 0.
    pub full: Semaphore,
    /// The lock, if `lock` is 0. Starts at 1.
    pub mutex: Semaphore,
    /// How many messages were ever taken. Free-running: it only grows, and message n lies in slot
    /// n mod capacity.
    pub head: AtomicU64,
    /// How many messages were ever put in. Free-running like `head`; `tail - head` messages are in
    /// the buffer, and never more than `capacity`.
    pub tail: AtomicU64,
    _reserved1: [AtomicU64; 6],
    /// The lock, if `lock` is 1. Otherwise never initialised and never touched.
    pub robust: RobustMutex,
    _reserved2: [AtomicU64; 8],
}

// SAFETY: repr(C) with fixed-width fields; every field is an atomic or a type that is `Shared`
// itself; nothing in it has a `Drop`.
unsafe impl Shared for Control {}

const _: () = assert!(PREFIX_LEN == CONTROL);
const _: () = assert!(CONTROL + offset_of!(Control, capacity) == 64);
const _: () = assert!(CONTROL + offset_of!(Control, slot_size) == 68);
const _: () = assert!(CONTROL + offset_of!(Control, lock) == 72);
const _: () = assert!(CONTROL + offset_of!(Control, empty) == 128);
const _: () = assert!(CONTROL + offset_of!(Control, full) == 192);
const _: () = assert!(CONTROL + offset_of!(Control, mutex) == 256);
const _: () = assert!(CONTROL + offset_of!(Control, head) == 320);
const _: () = assert!(CONTROL + offset_of!(Control, tail) == 328);
const _: () = assert!(CONTROL + offset_of!(Control, robust) == 384);
const _: () = assert!(CONTROL + size_of::<Control>() == SLOTS);
const _: () = assert!(CONTROL.is_multiple_of(align_of::<Control>()));

/// The lock of a buffer, chosen when it is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// The semaphore `mutex`. A process that dies inside leaves it at 0 for ever.
    Semaphore = 0,
    /// The pthread mutex `robust`, which tells the next holder that the last one died.
    Robust = 1,
}

/// The shape of a buffer: the three words the creator wrote, checked.
#[derive(Debug, Clone, Copy)]
pub struct Geometry {
    /// The number of slots.
    pub capacity: u32,
    /// Bytes from one slot to the next.
    pub slot_size: u32,
    /// Which lock guards the indices and the slots.
    pub lock: Lock,
}

impl Geometry {
    /// Checks what a creator asks for: no slot at all is [`LabError::TooSmall`], a slot or a
    /// capacity the format does not know is [`LabError::OutOfRange`].
    pub fn new(capacity: u32, slot_size: u32, lock: Lock) -> Result<Geometry, LabError> {
        if capacity == 0 {
            return Err(LabError::TooSmall);
        }
        if capacity > MAX_CAPACITY || !is_slot_size(slot_size) {
            return Err(LabError::OutOfRange);
        }
        Ok(Geometry { capacity, slot_size, lock })
    }

    /// Checks what a segment of `len` bytes says about itself. Nothing a peer wrote is believed
    /// before it was compared with the length of the object.
    pub fn of(control: &Control, len: usize) -> Result<Geometry, LabError> {
        use std::sync::atomic::Ordering::Relaxed;
        // Relaxed: written before READY was stored with Release, and opening read that with Acquire.
        let lock = match control.lock.load(Relaxed) {
            0 => Lock::Semaphore,
            1 => Lock::Robust,
            _ => return Err(LabError::WrongFormat("the lock is neither 0 nor 1")),
        };
        let capacity = control.capacity.load(Relaxed);
        let slot_size = control.slot_size.load(Relaxed);
        let geometry = Geometry::new(capacity, slot_size, lock)
            .map_err(|_| LabError::WrongFormat("the capacity or the slot size is out of range"))?;
        if geometry.total_len() > len {
            return Err(LabError::WrongFormat("the slots reach beyond the end of the segment"));
        }
        Ok(geometry)
    }

    /// The exact length of the object.
    pub fn total_len(&self) -> usize {
        // At most 512 + 2^31 · 2^20 bytes, which a 64-bit usize holds.
        SLOTS + self.slot_size as usize * self.capacity as usize
    }

    /// The longest message a slot holds.
    pub fn payload_max(&self) -> usize {
        self.slot_size as usize - SLOT_HEADER
    }
}

/// Whether the format knows slots of this size: 16 to 1 MiB, a multiple of 16.
pub fn is_slot_size(bytes: u32) -> bool {
    (MIN_SLOT..=MAX_SLOT).contains(&bytes) && bytes.is_multiple_of(16)
}
