//! The bytes of a table of strings. Two programs that agree on this page understand each other;
//! they need share nothing else, not even the language.
//!
//! ```text
//!    0 ┌────────────────────────────────────────────┐
//!      │ prefix                                     │ magic, version, state, … (labkit::Prefix)
//!   64 ├─────────────────────┬──────────────────────┤
//!      │ count          u32  │ heap_used       u32  │ strings published │ bytes of them
//!   72 ├─────────────────────┴──────────────────────┤
//!      │ reserved, 56 bytes of zero                 │
//!  128 ├─────────────────────┬──────────────────────┤
//!      │ off            u32  │ len             u32  │ entry 0: where string 0 is
//!  136 ├─────────────────────┼──────────────────────┤
//!      │ off            u32  │ len             u32  │ entry 1
//!      ├ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ┼ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─  ┤ … 64 entries
//!  640 ├─────────────────────┴──────────────────────┤
//!      │ t h e   b y t e s   o f   t h e   s t r …  │ one string after the other, no gaps
//!      └────────────────────────────────────────────┘ the object's length, any number ≥ 640
//! ```

use std::mem::{offset_of, size_of};
use std::sync::atomic::AtomicU32;

use labkit::{Prefix, Shared};

/// How many strings a table holds at most.
pub const MAX_STRINGS: usize = 64;

/// Where the bytes of the strings begin. A segment shorter than this is no table.
pub const HEAP: usize = size_of::<Layout>();

/// Everything before the strings. It is written by the one producer there is at a time, and read by
/// any number of consumers.
#[derive(Debug)]
#[repr(C)]
pub struct Layout {
    /// What every segment begins with.
    pub prefix: Prefix,
    /// How many strings are published, at most [`MAX_STRINGS`]. Stored last and with Release: who
    /// sees it grow sees the new entry and its bytes.
    pub count: AtomicU32,
    /// How many bytes from [`HEAP`] on are taken. The next string begins at `HEAP + heap_used`.
    pub heap_used: AtomicU32,
    /// Zero, and ignored.
    pub reserved: [AtomicU32; 14],
    /// Where the strings are. Only the first `count` entries mean anything; they never change.
    pub entries: [Entry; MAX_STRINGS],
}

/// Where one string is. An offset is the same number in every process; an address is not.
#[derive(Debug)]
#[repr(C)]
pub struct Entry {
    /// Bytes from the start of the segment to the string, at least [`HEAP`].
    pub off: AtomicU32,
    /// Length of the string in bytes. `off + len` is at most the object's length.
    pub len: AtomicU32,
}

// SAFETY: repr(C), only atomics and types that are Shared themselves, no pointer, no Drop.
unsafe impl Shared for Layout {}

// SAFETY: repr(C), two atomics.
unsafe impl Shared for Entry {}

const _: () = {
    assert!(offset_of!(Layout, prefix) == 0);
    assert!(offset_of!(Layout, count) == 64);
    assert!(offset_of!(Layout, heap_used) == 68);
    assert!(offset_of!(Layout, entries) == 128);
    assert!(offset_of!(Entry, off) == 0);
    assert!(offset_of!(Entry, len) == 4);
    assert!(size_of::<Entry>() == 8);
    assert!(HEAP == 640);
};
