//! The first 64 bytes of every segment of every lab: what it is, and whether it may be used yet.
//!
//! ```text
//!    0 ┌──────────────────────────────────┐
//!      │ magic      u64  "SHMLAB1\0"      │ which lab: the digit 1 to 4
//!    8 ├─────────────────┬────────────────┤
//!      │ version    u32  │ state     u32  │ 1 │ BUILDING 0, READY 1, CLOSED 2
//!   16 ├─────────────────┴────────────────┤
//!      │ total_len  u64                   │ length of the object when it was created
//!   24 ├─────────────────┬────────────────┘
//!      │ creator    u32  │                  pid of the creator, for people only
//!   28 ├─────────────────┴────────────────┐
//!      │ reserved, 36 bytes of zero       │ readers ignore them
//!   64 └──────────────────────────────────┘
//! ```

use std::mem::{offset_of, size_of};
use std::sync::atomic::{AtomicU32, AtomicU64};

use crate::Shared;

/// The version of the format. Another number is another format.
pub const VERSION: u32 = 1;

/// Length of the [`Prefix`] in bytes.
pub const PREFIX_LEN: usize = size_of::<Prefix>();

/// What the word at offset 12 may hold. Any other value is a wrong format.
pub mod state {
    /// The creator is still at work. A fresh object is all zero, so it begins in this state.
    pub const BUILDING: u32 = 0;
    /// Everything else in the segment is there and may be used.
    pub const READY: u32 = 1;
    /// Nobody will produce any more; what was produced may still be consumed.
    pub const CLOSED: u32 = 2;
}

/// The four labs, by the digit in their magic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lab {
    /// A table of strings.
    RawSegment = 1,
    /// A log that grows.
    UnboundedBuffer = 2,
    /// A ring of slots behind semaphores.
    BoundedBuffer = 3,
    /// A race, forced and repaired.
    RaceCondition = 4,
}

impl Lab {
    /// The first eight bytes of this lab's segments: `SHMLAB`, the digit, NUL, as a little-endian
    /// number.
    pub const fn magic(self) -> u64 {
        u64::from_le_bytes([b'S', b'H', b'M', b'L', b'A', b'B', b'0' + self as u8, 0])
    }
}

/// The first 64 bytes of a segment. The creator writes them once, `state` last; of all fields only
/// `state` ever changes afterwards.
#[derive(Debug)]
#[repr(C)]
pub struct Prefix {
    /// [`Lab::magic`].
    pub magic: AtomicU64,
    /// [`VERSION`].
    pub version: AtomicU32,
    /// One of [`state`]. Stored with Release, which publishes everything before it; read with
    /// Acquire.
    pub state: AtomicU32,
    /// Length of the object in bytes when it was created.
    pub total_len: AtomicU64,
    /// Process id of the creator. Informative: it may be dead, and its number in use again.
    pub creator: AtomicU32,
    /// Zero, and ignored by readers.
    pub reserved: [AtomicU32; 9],
}

// SAFETY: repr(C), every field an atomic, 64 bytes without padding (asserted below).
unsafe impl Shared for Prefix {}

const _: () = {
    assert!(offset_of!(Prefix, magic) == 0);
    assert!(offset_of!(Prefix, version) == 8);
    assert!(offset_of!(Prefix, state) == 12);
    assert!(offset_of!(Prefix, total_len) == 16);
    assert!(offset_of!(Prefix, creator) == 24);
    assert!(offset_of!(Prefix, reserved) == 28);
    assert!(size_of::<Prefix>() == 64);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_magic_can_be_read_in_a_hex_dump() {
        assert_eq!(&Lab::BoundedBuffer.magic().to_le_bytes(), b"SHMLAB3\0");
    }
}
