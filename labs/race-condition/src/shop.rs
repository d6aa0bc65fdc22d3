//! Makes a shop and attaches to one. The creator sets every word and every semaphore once, and says
//! READY last.

use std::sync::atomic::Ordering::Relaxed;

use labkit::{Lab, LabError, Name, Segment, state};

use crate::layout::{LEN, SHOP, Shop};

/// Makes a shop with `stock` pieces to sell, under a name that nobody has yet.
pub fn create(name: &Name, stock: u64) -> Result<(), LabError> {
    let segment = Segment::create(name, Lab::RaceCondition, LEN)?;
    let prepared = prepare(&segment, stock);
    if prepared.is_err() {
        // A shop that will never be READY helps nobody, and the first failure is the one to tell.
        let _ = Segment::destroy(name);
    }
    prepared
}

fn prepare(segment: &Segment, stock: u64) -> Result<(), LabError> {
    let shop = segment.at::<Shop>(SHOP)?;
    // Relaxed: nobody reads it before READY, and (a) publishes it. The other words are zero already.
    shop.stock.store(stock, Relaxed);
    // SAFETY: we have just created the object exclusively, so this is the first and only
    // initialisation, and openers touch nothing before READY.
    unsafe { shop.mutex.init(1)? };
    // SAFETY: as for `mutex`.
    unsafe { shop.arrived.init(0)? };
    // SAFETY: as for `mutex`.
    unsafe { shop.go.init(0)? };
    segment.publish(state::READY); // (a) publishes the stock and the semaphores
    Ok(())
}

/// A shop that this process has mapped.
pub struct Attached(Segment);

impl Attached {
    /// Attaches to a shop, and waits for its creator if there is none yet.
    pub fn open(name: &Name) -> Result<Attached, LabError> {
        // Pairs with (a): `open` returns after it has read READY with Acquire.
        let segment = Segment::open(name, Lab::RaceCondition, LEN)?;
        Ok(Attached(segment))
    }

    /// The shop. It lives as long as the mapping.
    pub fn shop(&self) -> Result<&Shop, LabError> {
        self.0.at(SHOP)
    }
}
