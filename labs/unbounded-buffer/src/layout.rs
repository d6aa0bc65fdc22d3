//! The bytes of an unbounded buffer: a log that only ever gets longer. Every word has one writer,
//! which is why no lock is needed.
//!
//! ```text
//!    0 ┌──────────────────────────────┐
//!      │ prefix                       │ magic, version, state, … (labkit::Prefix)
//!   64 ├──────────────────────────────┤
//!      │ tail                    u64  │ messages published   written by the producer only
//!   72 ├──────────────────────────────┤
//!      │ reserved                     │
//!  192 ├──────────────────────────────┤
//!      │ head                    u64  │ messages taken       written by the consumer only
//!  200 ├──────────────────────────────┤
//!      │ reserved                     │
//!  256 ├────────────┬─────────────────┤
//!      │ len   u64  │ 56 bytes        │ slot 0               written once, by the producer
//!  320 ├────────────┼─────────────────┤
//!      │ len   u64  │ 56 bytes        │ slot 1
//!      ├ ─ ─ ─ ─ ─ ─┼ ─ ─ ─ ─ ─ ─ ─ ─ ┤ … slot n at 256 + 64·n
//!      └────────────┴─────────────────┘ the object's length: 4096 at first, and it grows
//! ```
//!
//! `tail` and `head` lie 128 bytes apart, so that the two processes do not pull one cache line to
//! and fro. No word says how many slots there are: the length of the object says it, and a second
//! truth could only contradict the first.

use std::mem::{offset_of, size_of};
use std::sync::atomic::AtomicU64;

use labkit::{Prefix, Shared};

/// The longest message: a slot of 64 bytes, less the eight that hold its length.
pub const MAX_PAYLOAD: usize = SLOT_LEN - size_of::<u64>();

/// Length of a slot in bytes.
pub const SLOT_LEN: usize = 64;

/// Where slot 0 begins. A segment shorter than this is no buffer.
pub const SLOTS: usize = size_of::<Layout>();

/// Length of the object when it is created: one page, 60 slots.
pub const FIRST_LEN: usize = 4096;

/// Everything before the slots.
#[derive(Debug)]
#[repr(C)]
pub struct Layout {
    /// What every segment begins with.
    pub prefix: Prefix,
    /// How many messages are published. Only the producer stores it, after the slot and with
    /// Release: who sees `tail` grow sees the message.
    pub tail: AtomicU64,
    /// Zero, and ignored.
    pub reserved_by_producer: [AtomicU64; 15],
    /// How many messages were taken, never more than `tail`. Only the consumer stores it, after it
    /// has copied the message.
    pub head: AtomicU64,
    /// Zero, and ignored.
    pub reserved_by_consumer: [AtomicU64; 7],
}

// SAFETY: repr(C), only atomics and types that are Shared themselves, no pointer, no Drop.
unsafe impl Shared for Layout {}

/// Bytes from the start of the segment to slot `index`, and `None` where no object reaches.
pub const fn slot_offset(index: u64) -> Option<usize> {
    // An object's length is a signed 64-bit number, so half of what a usize holds is more than
    // enough; below that, adding one slot to an offset cannot overflow.
    match (index as usize).checked_mul(SLOT_LEN) {
        Some(bytes) if bytes <= isize::MAX as usize - SLOTS - SLOT_LEN => Some(SLOTS + bytes),
        _ => None,
    }
}

const _: () = {
    assert!(offset_of!(Layout, prefix) == 0);
    assert!(offset_of!(Layout, tail) == 64);
    assert!(offset_of!(Layout, head) == 192);
    assert!(SLOTS == 256);
    assert!(MAX_PAYLOAD == 56);
    assert!(matches!(slot_offset(2), Some(384)));
    assert!(slot_offset(u64::MAX).is_none());
};
