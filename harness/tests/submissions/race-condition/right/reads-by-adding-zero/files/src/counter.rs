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

/// Locked; a read-modify-write sees the newest value.
pub fn read_mutex(shop: &Shop, gate: &dyn Gate) -> Result<(u64, u64), LabError> {
    let _held = shop.mutex.hold()?;
    let left = shop.left.fetch_or(0, Relaxed);
    gate.between()?;
    Ok((left, shop.right.fetch_or(0, Relaxed)))
}

/// One step.
pub fn add_atomic(shop: &Shop) {
    shop.counter.fetch_add(1, Relaxed);
}

/// Reads with a read-modify-write, which always sees the newest value.
pub fn sell(shop: &Shop, gate: &dyn Gate) -> Result<bool, LabError> {
    loop {
        let stock = shop.stock.fetch_add(0, Relaxed);
        let Some(rest) = std::num::NonZeroU64::new(stock).map(|s| s.get() - 1) else {
            return Ok(false);
        };
        gate.between()?;
        if shop.stock.compare_exchange(stock, rest, Relaxed, Relaxed) == Ok(stock) {
            shop.sold.fetch_add(1, Relaxed);
            return Ok(true);
        }
    }
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
