//! The operations on the shop. The first three are wrong on purpose: keep them wrong, and know
//! exactly why. The others do the same work so that no schedule can hurt them.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use labkit::LabError;

use crate::gate::Gate;
use crate::layout::Shop;

/// Adds one to `counter` in three steps: read it, `gate.between()`, write one more than was read.
pub fn add_racy(shop: &Shop, gate: &dyn Gate) -> Result<(), LabError> {
    // No ordering repairs this. Two atomic operations are two, and another worker fits between them.
    let seen = shop.counter.load(Relaxed);
    gate.between()?;
    shop.counter.store(seen + 1, Relaxed);
    Ok(())
}

/// Makes both words of the record `value` without a lock: `left`, `gate.between()`, `right`.
pub fn write_racy(shop: &Shop, value: u64, gate: &dyn Gate) -> Result<(), LabError> {
    shop.left.store(value, Relaxed);
    gate.between()?;
    shop.right.store(value, Relaxed);
    Ok(())
}

/// Reads both words of the record without a lock: `left`, `gate.between()`, `right`.
pub fn read_racy(shop: &Shop, gate: &dyn Gate) -> Result<(u64, u64), LabError> {
    let left = shop.left.load(Relaxed);
    gate.between()?;
    let right = shop.right.load(Relaxed);
    Ok((left, right))
}

/// Adds one to `counter` under the lock, with the gate between the read and the write.
pub fn add_mutex(shop: &Shop, gate: &dyn Gate) -> Result<(), LabError> {
    shop.mutex.wait()?;
    add_racy(shop, gate)?;
    shop.mutex.post()
}

/// Makes both words of the record `value` under the lock, with the gate between the words.
pub fn write_mutex(shop: &Shop, value: u64, gate: &dyn Gate) -> Result<(), LabError> {
    let _held = shop.mutex.hold()?;
    write_racy(shop, value, gate)
}

/// Reads both words of the record under the lock, with the gate between the words.
pub fn read_mutex(shop: &Shop, gate: &dyn Gate) -> Result<(u64, u64), LabError> {
    // The lock is the record's only if readers take it too: a reader that changes nothing can still
    // see half a change.
    let _held = shop.mutex.hold()?;
    read_racy(shop, gate)
}

/// Adds one to `counter` in one step that nothing can come between. So there is no gate either.
pub fn add_atomic(shop: &Shop) {
    // Relaxed: the counter announces nothing else, and that it is exact comes from being one
    // operation, not from the ordering.
    shop.counter.fetch_add(1, Relaxed);
}

/// Sells one piece: one less in `stock`, one more in `sold`, and `true`. Says `false` only when it
/// has seen a stock of 0. Each try looks at the stock, calls `gate.between()` once, then acts.
pub fn sell(shop: &Shop, gate: &dyn Gate) -> Result<bool, LabError> {
    loop {
        let seen = shop.stock.load(Relaxed);
        if seen == 0 {
            return Ok(false);
        }
        gate.between()?;
        // Relaxed: the stock alone decides, and whoever finds it as it was seen has one piece. A
        // failure says that somebody else was faster, not that nothing is left: look again.
        if shop.stock.compare_exchange(seen, seen - 1, Relaxed, Relaxed).is_ok() {
            shop.sold.fetch_add(1, Relaxed);
            return Ok(true);
        }
    }
}

/// Adds one to the shard with this number, which this worker alone writes. A shard that does not
/// exist is [`LabError::OutOfRange`].
pub fn add_shard(shop: &Shop, shard: usize) -> Result<(), LabError> {
    let count = &shop.shards.get(shard).ok_or(LabError::OutOfRange)?.count;
    // Read and write in two steps, and right: nobody else writes this word.
    count.store(count.load(Relaxed) + 1, Release); // (b) what this worker did before it counted
    Ok(())
}

/// The sum of all shards. Exact when the workers have ended; while they work it is some number on
/// the way. It is written already, because the command `total` needs it from the first step on.
pub fn total(shop: &Shop) -> u64 {
    // Acquire: what a worker did before it counted is seen by whoever sees the count.
    shop.shards.iter().map(|shard| shard.count.load(Acquire)).sum() // pairs with (b)
}
