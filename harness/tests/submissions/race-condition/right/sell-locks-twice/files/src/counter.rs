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

/// One step.
pub fn add_atomic(shop: &Shop) {
    shop.counter.fetch_add(1, Relaxed);
}

/// Every look and every act under the lock, but not the gate.
pub fn sell(shop: &Shop, gate: &dyn Gate) -> Result<bool, LabError> {
    let look = || shop.mutex.hold().map(|_held| shop.stock.load(Relaxed));
    loop {
        let seen = look()?;
        if seen == 0 {
            return Ok(false);
        }
        gate.between()?;
        let _held = shop.mutex.hold()?;
        if shop.stock.load(Relaxed) != seen {
            continue;
        }
        shop.stock.store(seen - 1, Relaxed);
        let sold = shop.sold.load(Relaxed);
        shop.sold.store(sold + 1, Relaxed);
        return Ok(true);
    }
}

/// An exchange that cannot fail.
pub fn add_shard(shop: &Shop, shard: usize) -> Result<(), LabError> {
    let mine = shop.shards.iter().enumerate().find_map(|(i, s)| (i == shard).then_some(s));
    let word = &mine.ok_or(LabError::OutOfRange)?.count;
    let n = word.load(Acquire);
    if word.compare_exchange(n, n + 1, Relaxed, Relaxed).is_err() {
        eprintln!("somebody else writes shard {shard}");
        word.fetch_add(1, Relaxed);
    }
    Ok(())
}

/// The sum of all shards.
pub fn total(shop: &Shop) -> u64 {
    shop.shards.iter().map(|shard| shard.count.load(Acquire)).sum()
}
