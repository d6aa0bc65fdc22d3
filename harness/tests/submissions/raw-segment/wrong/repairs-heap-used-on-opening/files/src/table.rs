//! A table of strings in a segment. Strings are only ever added, so a consumer needs no lock: it
//! reads `count`, and everything below it is finished and stays as it is.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::fence;

use labkit::{LabError, Name};

use crate::layout::{HEAP, Layout, MAX_STRINGS};
use crate::segment::{Access, Segment};

/// Makes an empty table in a new object of `len` bytes and hands it over to the others.
pub fn create(name: &Name, len: usize) -> Result<(), LabError> {
    // A new object is all zero: no string, no byte used. That is an empty table already.
    Segment::create(name, len)?.publish()
}

/// A table that this process has open.
#[derive(Debug)]
pub struct Table {
    segment: Segment,
}

impl Table {
    /// Opens the table `name`; waits for its creator as [`Segment::open`] does.
    pub fn open(name: &Name, access: Access) -> Result<Table, LabError> {
        let table = Table { segment: Segment::open(name, access)? };
        if access == Access::ReadWrite {
            // A producer that was killed may have taken bytes that no string uses.
            let used = match table.count()? {
                0 => 0,
                count => table.place(count - 1).map(|(off, len)| off + len - HEAP)?,
            };
            table.layout()?.heap_used.store(to_u32(used)?, Relaxed);
        }
        Ok(table)
    }

    /// Adds a string and gives its index. One producer at a time may do so.
    ///
    /// Refuses with `Full` when all [`MAX_STRINGS`] entries are taken, else with `TooLong` when the
    /// bytes do not fit before the end of the object, and then changes nothing. `Denied` through a
    /// read-only table.
    pub fn put(&self, text: &[u8]) -> Result<u32, LabError> {
        if self.segment.access() == Access::ReadOnly {
            return Err(LabError::Denied);
        }
        let (index, off) = self.room_for(text.len())?;
        for (cell, &byte) in self.segment.bytes(off, text.len())?.iter().zip(text) {
            cell.store(byte, Relaxed);
        }
        let layout = self.layout()?;
        let entry = &layout.entries[index];
        entry.off.store(to_u32(off)?, Relaxed);
        entry.len.store(to_u32(text.len())?, Relaxed);
        layout.heap_used.store(to_u32(off + text.len() - HEAP)?, Relaxed);
        // A producer that is killed before this line has lost its string and nothing else.
        layout.count.store(index as u32 + 1, Release); // (b) publishes the entry and its bytes
        Ok(index as u32)
    }

    /// How many strings there are now. More than [`MAX_STRINGS`] is a wrong format.
    pub fn count(&self) -> Result<u32, LabError> {
        let count = self.layout()?.count.load(Relaxed);
        fence(Acquire); // pairs with (b); in two halves because the mapping may be read-only
        if count as usize > MAX_STRINGS {
            return Err(LabError::WrongFormat("the table says it has more than 64 strings"));
        }
        Ok(count)
    }

    /// A copy of the string at `index`, `OutOfRange` when there are not so many.
    pub fn get(&self, index: u32) -> Result<Vec<u8>, LabError> {
        if index >= self.count()? {
            return Err(LabError::OutOfRange);
        }
        let (off, len) = self.place(index)?;
        let bytes = self.segment.bytes(off, len)?;
        Ok(bytes.iter().map(|byte| byte.load(Relaxed)).collect())
    }

    /// Index and offset for one more string of `len` bytes, or why there is no room.
    fn room_for(&self, len: usize) -> Result<(usize, usize), LabError> {
        let index = self.count()? as usize;
        if index == MAX_STRINGS {
            return Err(LabError::Full);
        }
        let off = HEAP + self.layout()?.heap_used.load(Relaxed) as usize;
        // An entry's offset has 32 bits, so that is an end as well, however long the object is.
        let end = self.segment.len().min(u32::MAX as usize);
        if off.checked_add(len).is_none_or(|after| after > end) {
            return Err(LabError::TooLong);
        }
        Ok((index, off))
    }

    /// Offset and length of a published string. An entry that points outside the strings is a wrong
    /// format: whoever wrote it, we do not follow it.
    fn place(&self, index: u32) -> Result<(usize, usize), LabError> {
        let entry = &self.layout()?.entries[index as usize];
        let (off, len) = (entry.off.load(Relaxed) as usize, entry.len.load(Relaxed) as usize);
        // Two numbers below 2^32 cannot overflow a usize of 64 bits.
        if off < HEAP || off + len > self.segment.len() {
            return Err(LabError::WrongFormat("an entry points outside the strings"));
        }
        Ok((off, len))
    }

    fn layout(&self) -> Result<&Layout, LabError> {
        self.segment.at(0)
    }
}

/// What is inside the first 4 GiB of a segment has a 32-bit offset.
fn to_u32(number: usize) -> Result<u32, LabError> {
    u32::try_from(number).map_err(|_| LabError::TooLong)
}
