//! The bytes of the shop: the words that the workers fight over, and the semaphores that order
//! them. 4096 bytes in all.
//!
//! ```text
//!    0 ┌──────────────────────────────────────────────────────────────┐
//!      │ magic, version, state, total_len, creator    the prefix      │
//!   64 ├────────────────────┬────────────────────┬────────────────────┤
//!      │ u64 counter        │ u64 stock          │ u64 sold           │
//!   88 ├────────────────────┼────────────────────┼────────────────────┤
//!      │ reserved           │ u64 left        96 │ u64 right      104 │
//!  112 ├────────────────────┴────────────────────┴────────────────────┤
//!      │ reserved                                                     │
//!  128 ├──────────────────────────────────────────────────────────────┤
//!      │ sem_t mutex      1 = nobody is inside, 0 = somebody is       │
//!  192 ├──────────────────────────────────────────────────────────────┤
//!      │ sem_t arrived    posted by a worker that reaches the gate    │
//!  256 ├──────────────────────────────────────────────────────────────┤
//!      │ sem_t go         posted to let one worker through the gate   │
//!  320 ├────────────────────┬─────────────────────────────────────────┤
//!      │ u64 shard 0        │ 56 bytes of nothing                     │
//!  384 ├────────────────────┼─────────────────────────────────────────┤
//!      │ u64 shard 1        │ 56 bytes of nothing                     │
//!      ├────────────────────┼─────────────────────────────────────────┤
//!      ┆                    ┆                            … shard 15   ┆
//! 1344 └────────────────────┴─────────────────────────────────────────┘
//! ```
//!
//! The nothing behind each shard keeps two shards out of one cache line, so that two workers which
//! share no word do not share the line either.

use std::mem::{align_of, offset_of, size_of};
use std::sync::atomic::AtomicU64;

use labkit::{PREFIX_LEN, Shared};

use crate::semaphore::Semaphore;

/// Where [`Shop`] begins, right behind the prefix.
pub const SHOP: usize = 64;

/// The length of the object: one page.
pub const LEN: usize = 4096;

/// How many workers can have a shard of their own.
pub const SHARDS: usize = 16;

/// Everything behind the prefix. Any worker may write any of the words at any time: keeping them
/// right is the lab.
#[repr(C)]
pub struct Shop {
    /// How many operations of the modes `racy`, `mutex` and `atomic` there were, if all went well.
    pub counter: AtomicU64,
    /// How many pieces are left to sell. Starts at what `--stock` says.
    pub stock: AtomicU64,
    /// How many pieces were sold. `stock + sold` is what `--stock` said, once nobody is at work.
    pub sold: AtomicU64,
    _reserved0: AtomicU64,
    /// The first word of the record.
    pub left: AtomicU64,
    /// The second word of the record. A whole record has the same number in both.
    pub right: AtomicU64,
    _reserved1: [AtomicU64; 2],
    /// The lock. Starts at 1.
    pub mutex: Semaphore,
    /// Posted by a worker that stands at a closed gate. Starts at 0.
    pub arrived: Semaphore,
    /// A permit to go through a closed gate. Starts at 0.
    pub go: Semaphore,
    /// One counter for each worker.
    pub shards: [Shard; SHARDS],
}

/// The counter of a single worker, alone in its cache line.
#[repr(C, align(64))]
pub struct Shard {
    /// How many operations its worker has done. Nobody else writes it.
    pub count: AtomicU64,
}

// SAFETY: repr(C), its only field is an atomic, nothing writes the padding, no `Drop`.
unsafe impl Shared for Shard {}

// SAFETY: repr(C) with fixed-width fields; every field is an atomic or a type that is `Shared`
// itself; nothing in it has a `Drop`.
unsafe impl Shared for Shop {}

const _: () = assert!(SHOP == PREFIX_LEN);
const _: () = assert!(SHOP + offset_of!(Shop, counter) == 64);
const _: () = assert!(SHOP + offset_of!(Shop, stock) == 72);
const _: () = assert!(SHOP + offset_of!(Shop, sold) == 80);
const _: () = assert!(SHOP + offset_of!(Shop, left) == 96);
const _: () = assert!(SHOP + offset_of!(Shop, right) == 104);
const _: () = assert!(SHOP + offset_of!(Shop, mutex) == 128);
const _: () = assert!(SHOP + offset_of!(Shop, arrived) == 192);
const _: () = assert!(SHOP + offset_of!(Shop, go) == 256);
const _: () = assert!(SHOP + offset_of!(Shop, shards) == 320);
const _: () = assert!(size_of::<Shard>() == 64);
const _: () = assert!(SHOP + size_of::<Shop>() <= LEN);
const _: () = assert!(SHOP.is_multiple_of(align_of::<Shop>()));
