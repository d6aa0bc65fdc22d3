//! The operations on the shop. The first three are wrong on purpose: keep them wrong, and know
//! exactly why. The others do the same work so that no schedule can hurt them.

#![expect(unused_variables, reason = "remove this line when no `todo!` is left")]

use std::sync::atomic::Ordering::Acquire;

use labkit::LabError;

use crate::gate::Gate;
use crate::layout::Shop;

/// Adds one to `counter` in three steps: read it, `gate.between()`, write one more than was read.
pub fn add_racy(shop: &Shop, gate: &dyn Gate) -> Result<(), LabError> {
    todo!("step lost-update: read, gate, write")
}

/// Makes both words of the record `value` without a lock: `left`, `gate.between()`, `right`.
pub fn write_racy(shop: &Shop, value: u64, gate: &dyn Gate) -> Result<(), LabError> {
    todo!("step torn-record: write one word, gate, write the other")
}

/// Reads both words of the record without a lock: `left`, `gate.between()`, `right`.
pub fn read_racy(shop: &Shop, gate: &dyn Gate) -> Result<(u64, u64), LabError> {
    todo!("step torn-record: read one word, gate, read the other")
}

/// Adds one to `counter` under the lock, with the gate between the read and the write.
pub fn add_mutex(shop: &Shop, gate: &dyn Gate) -> Result<(), LabError> {
    todo!("step mutex: the three steps of add_racy, all of them inside the lock")
}

/// Makes both words of the record `value` under the lock, with the gate between the words.
pub fn write_mutex(shop: &Shop, value: u64, gate: &dyn Gate) -> Result<(), LabError> {
    todo!("step whole-record: write both words inside the lock")
}

/// Reads both words of the record under the lock, with the gate between the words.
pub fn read_mutex(shop: &Shop, gate: &dyn Gate) -> Result<(u64, u64), LabError> {
    todo!("step whole-record: read both words inside the lock")
}

/// Adds one to `counter` in one step that nothing can come between. So there is no gate either.
pub fn add_atomic(shop: &Shop) {
    todo!("step atomic: read and write in one operation")
}

/// Sells one piece: one less in `stock`, one more in `sold`, and `true`. Says `false` only when it
/// has seen a stock of 0. Each try looks at the stock, calls `gate.between()` once, then acts.
pub fn sell(shop: &Shop, gate: &dyn Gate) -> Result<bool, LabError> {
    todo!("step check-then-act: sell only if the stock is still what you saw, else look again")
}

/// Adds one to the shard with this number, which this worker alone writes. A shard that does not
/// exist is [`LabError::OutOfRange`].
pub fn add_shard(shop: &Shop, shard: usize) -> Result<(), LabError> {
    todo!("step shards: count without sharing")
}

/// The sum of all shards. Exact when the workers have ended; while they work it is some number on
/// the way. It is written already, because the command `total` needs it from the first step on.
pub fn total(shop: &Shop) -> u64 {
    // Acquire: what a worker did before it counted is seen by whoever sees the count.
    shop.shards.iter().map(|shard| shard.count.load(Acquire)).sum()
}
