//! Operations on the shop.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use labkit::LabError;

use crate::gate::Gate;
use crate::layout::Shop;

/// Racy.
pub fn add_racy(shop: &Shop, gate: &dyn Gate) -> Result<(), LabError> {
    let seen = shop.counter.load(Relaxed);
    gate.between()?;
    shop.counter.store(seen + 1, Relaxed);
    Ok(())
}

/// Racy.
pub fn write_racy(shop: &Shop, value: u64, gate: &dyn Gate) -> Result<(), LabError> {
    shop.left.store(value, Relaxed);
    gate.between()?;
    shop.right.store(value, Relaxed);
    Ok(())
}

/// Racy.
pub fn read_racy(shop: &Shop, gate: &dyn Gate) -> Result<(u64, u64), LabError> {
    let left = shop.left.load(Relaxed);
    gate.between()?;
    Ok((left, shop.right.load(Relaxed)))
}

/// Locked.
pub fn add_mutex(shop: &Shop, gate: &dyn Gate) -> Result<(), LabError> {
    let _held = shop.mutex.hold()?;
    add_racy(shop, gate)
}

/// Locked.
pub fn write_mutex(shop: &Shop, value: u64, gate: &dyn Gate) -> Result<(), LabError> {
    let _held = shop.mutex.hold()?;
    write_racy(shop, value, gate)
}

/// Locked.
pub fn read_mutex(shop: &Shop, gate: &dyn Gate) -> Result<(u64, u64), LabError> {
    let _held = shop.mutex.hold()?;
    read_racy(shop, gate)
}

/// fetch_update.
pub fn add_atomic(shop: &Shop) {
    let _ = shop.counter.fetch_update(Relaxed, Relaxed, |n| Some(n + 1));
}

/// Looks without the lock, goes to the gate, and looks again under the lock before it acts.
pub fn sell(shop: &Shop, gate: &dyn Gate) -> Result<bool, LabError> {
    if shop.stock.load(Relaxed) == 0 {
        return Ok(false);
    }
    gate.between()?;
    let _held = shop.mutex.hold()?;
    let now = shop.stock.load(Relaxed);
    if now == 0 {
        return Ok(false);
    }
    shop.stock.store(now - 1, Relaxed);
    shop.sold.store(shop.sold.load(Relaxed) + 1, Relaxed);
    Ok(true)
}

/// One's own word.
pub fn add_shard(shop: &Shop, shard: usize) -> Result<(), LabError> {
    let count = &shop.shards.get(shard).ok_or(LabError::OutOfRange)?.count;
    count.store(count.load(Relaxed) + 1, Relaxed);
    Ok(())
}

/// The sum of all shards.
pub fn total(shop: &Shop) -> u64 {
    shop.shards.iter().map(|shard| shard.count.load(Acquire)).sum()
}
