//! Which types may live in a segment. The other process writes whatever it likes, whenever it
//! likes: a type is allowed only if no such write can make it invalid.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

/// A type that a reference may point to while it lies in memory shared with other processes.
///
/// # Safety
///
/// The implementor promises all of this:
///
/// * it is `#[repr(C)]` (or an atomic), so that two programs agree on its bytes;
/// * every bit pattern is a valid value: no `bool`, no enum, no `char`, no `NonZero`;
/// * every byte that another process may write lies in an atomic or an `UnsafeCell`;
/// * it holds no pointer, reference or `Box`: an address means nothing in another process;
/// * it has no `Drop`: the segment never runs it.
pub unsafe trait Shared {}

// SAFETY: an atomic integer accepts every bit pattern, may change behind a shared reference, and
// holds no pointer.
unsafe impl Shared for AtomicU8 {}

// SAFETY: as for AtomicU8.
unsafe impl Shared for AtomicU32 {}

// SAFETY: as for AtomicU8.
unsafe impl Shared for AtomicU64 {}

// SAFETY: an array is its elements in a row, without padding between them.
unsafe impl<T: Shared, const N: usize> Shared for [T; N] {}
