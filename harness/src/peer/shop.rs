//! The counters of the lab race-condition, spoken from its document.

use super::{Asked, Peer, prefix};

/// u64: the counter.
pub const COUNTER: u64 = 64;
/// u64: pieces left to sell.
pub const STOCK: u64 = 72;
/// u64: pieces sold.
pub const SOLD: u64 = 80;
/// u64: first word of the record.
pub const LEFT: u64 = 96;
/// u64: second word of the record, always equal to the first.
pub const RIGHT: u64 = 104;
/// `sem_t`: 1 when nobody is inside.
pub const MUTEX: u64 = 128;
/// `sem_t`: posted by a worker that has come to the gate.
pub const ARRIVED: u64 = 192;
/// `sem_t`: posted to let one worker through the gate.
pub const GO: u64 = 256;
/// 16 shards of a u64 each, 64 bytes apart.
pub const SHARDS: u64 = 320;
/// Length of the object.
pub const LEN: u64 = 4096;

/// The words of the segment, by offset, for messages.
pub const WORDS: &[(u64, &str)] = &[
    (prefix::STATE, "state"),
    (COUNTER, "counter"),
    (STOCK, "stock"),
    (SOLD, "sold"),
    (LEFT, "left"),
    (RIGHT, "right"),
    (MUTEX, "mutex"),
    (ARRIVED, "arrived"),
    (GO, "go"),
    (SHARDS, "the shards"),
];

/// Where shard `index` is.
pub fn shard(index: u64) -> u64 {
    SHARDS + 64 * index
}

/// Makes a shop that is ready, with so much in stock.
pub fn create(peer: &mut Peer, name: &str, stock: u64) -> Asked {
    peer.make(name, LEN, 0o600)?;
    peer.put32(prefix::VERSION, 1)?;
    peer.put64(prefix::TOTAL_LEN, LEN)?;
    peer.put64(STOCK, stock)?;
    peer.sem_init(MUTEX, 1, true)?;
    peer.sem_init(ARRIVED, 0, true)?;
    peer.sem_init(GO, 0, true)?;
    peer.put64(prefix::MAGIC, prefix::magic(4))?;
    peer.put32(prefix::STATE, prefix::READY)
}
