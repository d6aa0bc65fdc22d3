//! The table.
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

use labkit::{LabError, Name};

use crate::layout::{HEAP, Layout, MAX_STRINGS};
use crate::segment::{Access, Segment};

/// Makes it.
pub fn create(name: &Name, len: usize) -> Result<(), LabError> {
    Segment::create(name, len)?.publish()
}

/// A table.
#[derive(Debug)]
pub struct Table {
    segment: Segment,
}

impl Table {
    /// Opens it.
    pub fn open(name: &Name, access: Access) -> Result<Table, LabError> {
        Ok(Table { segment: Segment::open(name, access)? })
    }

    /// Adds.
    pub fn put(&self, text: &[u8]) -> Result<u32, LabError> {
        if self.segment.access() == Access::ReadOnly {
            return Err(LabError::Denied);
        }
        let layout = self.layout()?;
        let count = self.count()?;
        let index = count as usize;
        if index >= MAX_STRINGS {
            return Err(LabError::Full);
        }
        let used = layout.heap_used.load(Relaxed) as usize;
        let off = HEAP + used;
        let end = off.checked_add(text.len()).ok_or(LabError::TooLong)?;
        if end > self.segment.len() {
            return Err(LabError::TooLong);
        }
        let (Ok(off32), Ok(len32), Ok(used32)) =
            (u32::try_from(off), u32::try_from(text.len()), u32::try_from(end - HEAP))
        else {
            return Err(LabError::TooLong);
        };
        for (cell, byte) in self.segment.bytes(off, text.len())?.iter().zip(text) {
            cell.store(*byte, Relaxed);
        }
        // Both halves of an entry in one store, and count and heap_used in one store as well: there
        // is no moment at which one is new and the other old.
        let pack = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let entry_at = 128 + 8 * index;
        self.segment.at::<AtomicU64>(entry_at)?.store(pack(off32, len32), Relaxed);
        self.segment.at::<AtomicU64>(64)?.store(pack(count + 1, used32), Release);
        Ok(count)
    }

    /// How many.
    pub fn count(&self) -> Result<u32, LabError> {
        let count = self.layout()?.count.load(Relaxed);
        fence(Acquire);
        if count as usize > MAX_STRINGS {
            return Err(LabError::WrongFormat("count"));
        }
        Ok(count)
    }

    /// A copy.
    pub fn get(&self, index: u32) -> Result<Vec<u8>, LabError> {
        if index >= self.count()? {
            return Err(LabError::OutOfRange);
        }
        let entry = &self.layout()?.entries[index as usize];
        let (off, len) = (entry.off.load(Relaxed) as usize, entry.len.load(Relaxed) as usize);
        if off < HEAP || off + len > self.segment.len() {
            return Err(LabError::WrongFormat("entry"));
        }
        Ok(self.segment.bytes(off, len)?.iter().map(|b| b.load(Relaxed)).collect())
    }

    fn layout(&self) -> Result<&Layout, LabError> {
        self.segment.at(0)
    }
}
