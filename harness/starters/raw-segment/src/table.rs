//! A table of strings in a segment. Strings are only ever added, so a consumer needs no lock: it
//! reads `count`, and everything below it is finished and stays as it is.

#![expect(
    unused_variables,
    unused_imports,
    dead_code,
    reason = "remove these lines when no `todo!` is left"
)]

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
        Ok(Table { segment: Segment::open(name, access)? })
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
        todo!("step strings: the bytes, then the entry, then heap_used, and count last of all")
    }

    /// How many strings there are now. More than [`MAX_STRINGS`] is a wrong format.
    pub fn count(&self) -> Result<u32, LabError> {
        todo!("step strings: read count so that what it announces is there; more than 64 is wrong")
    }

    /// A copy of the string at `index`, `OutOfRange` when there are not so many.
    pub fn get(&self, index: u32) -> Result<Vec<u8>, LabError> {
        if index >= self.count()? {
            return Err(LabError::OutOfRange);
        }
        let (off, len) = self.place(index)?;
        todo!("step strings: copy the bytes out of the segment")
    }

    /// Index and offset for one more string of `len` bytes, or why there is no room.
    fn room_for(&self, len: usize) -> Result<(usize, usize), LabError> {
        todo!("step limits: the next index and offset, or Full, or TooLong")
    }

    /// Offset and length of a published string. An entry that points outside the strings is a wrong
    /// format: whoever wrote it, we do not follow it.
    fn place(&self, index: u32) -> Result<(usize, usize), LabError> {
        todo!("step validation: read the entry, and believe it only if it lies inside")
    }

    fn layout(&self) -> Result<&Layout, LabError> {
        self.segment.at(0)
    }
}
