//! One producer, one consumer, and a log between them that is never full: when the slots run out,
//! the producer makes the object longer. What each process has mapped does not grow with it, so
//! both must notice and map again.

#![expect(
    unused_variables,
    unused_imports,
    dead_code,
    reason = "remove these lines when no `todo!` is left"
)]

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::thread;
use std::time::Duration;

use crossbeam_utils::Backoff;
use labkit::{Lab, LabError, Name, Segment, state};
use nix::fcntl::{FallocateFlags, fallocate, posix_fallocate};
use nix::unistd::ftruncate;

use crate::layout::{FIRST_LEN, Layout, MAX_PAYLOAD, SLOT_LEN, SLOTS, slot_offset};

/// Where the payload begins inside a slot, after the length.
const PAYLOAD: usize = SLOT_LEN - MAX_PAYLOAD;

/// Makes an empty buffer of [`FIRST_LEN`] bytes and hands it over to the others.
pub fn create(name: &Name) -> Result<(), LabError> {
    let segment = Segment::create(name, Lab::UnboundedBuffer, FIRST_LEN)?;
    segment.publish(state::READY);
    Ok(())
}

/// The producer's end. There is one at a time; a new one goes on where the last one stopped.
#[derive(Debug)]
pub struct Producer {
    segment: Segment,
}

impl Producer {
    /// Opens the buffer `name`; waits for its creator.
    pub fn attach(name: &Name) -> Result<Producer, LabError> {
        Ok(Producer { segment: open(name)? })
    }

    /// Whether a producer before this one has closed the buffer.
    pub fn is_closed(&self) -> bool {
        self.segment.state() == state::CLOSED
    }

    /// Publishes one message behind all others, and makes the object longer if it must.
    ///
    /// `TooLong` for more than [`MAX_PAYLOAD`] bytes. When the object cannot grow, the error says
    /// why, `tail` is unchanged, and everything published stays readable.
    pub fn push(&mut self, message: &[u8]) -> Result<(), LabError> {
        if message.len() > MAX_PAYLOAD {
            return Err(LabError::TooLong);
        }
        let tail = layout(&self.segment)?.tail.load(Relaxed);
        let offset = slot_offset(tail).ok_or(LabError::OutOfRange)?;
        self.make_room(offset + SLOT_LEN)?;
        self.write_slot(offset, message)?;
        todo!("step push: count the message; step publication: so that its slot is seen first")
    }

    /// Says that nothing will follow what was pushed.
    pub fn close(self) {
        todo!("step end: store the state that says nothing will follow")
    }

    /// Sees to it that the bytes before `end` exist and are mapped.
    fn make_room(&mut self, end: usize) -> Result<(), LabError> {
        if end <= self.segment.len() {
            return Ok(());
        }
        todo!("step growth: make the object longer if it is too short, then map what it has now")
    }

    /// Stores a message into the slot at `offset`. Nobody looks there before `tail` says so.
    fn write_slot(&self, offset: usize, message: &[u8]) -> Result<(), LabError> {
        todo!("step push: store the length, then the bytes behind it")
    }
}

/// The consumer's end. There is one at a time; a new one goes on where the last one stopped.
#[derive(Debug)]
pub struct Consumer {
    segment: Segment,
    /// The bytes of the segment before this one were given back, or are in the first page, which
    /// holds `head` and `tail` and is never given back.
    given_back: usize,
}

impl Consumer {
    /// Opens the buffer `name`; waits for its creator.
    pub fn attach(name: &Name) -> Result<Consumer, LabError> {
        Ok(Consumer { segment: open(name)?, given_back: FIRST_LEN })
    }

    /// Takes the oldest message that was not taken yet, and waits for one if there is none.
    ///
    /// `None` when the buffer is closed and everything in it was taken. Never changes the length of
    /// the object.
    pub fn pop(&mut self) -> Result<Option<Vec<u8>>, LabError> {
        let head = layout(&self.segment)?.head.load(Relaxed);
        if !self.wait_for(head)? {
            return Ok(None);
        }
        todo!("step pop: map again if the slot lies beyond, copy the message, then store head")
    }

    /// Gives the memory of consumed messages back to the system, keeping the object's length. At
    /// most 64 KiB of consumed slots stay behind.
    pub fn give_back(&mut self) -> Result<(), LabError> {
        todo!("step giving-back: punch what is consumed out of the object, keeping its length")
    }

    /// Waits until message `head` is published, and says whether it ever will be.
    fn wait_for(&self, head: u64) -> Result<bool, LabError> {
        todo!("step pop: is it there?; step waiting: rest; step end: state or tail first?")
    }
}

fn open(name: &Name) -> Result<Segment, LabError> {
    Segment::open(name, Lab::UnboundedBuffer, SLOTS)
}

fn layout(segment: &Segment) -> Result<&Layout, LabError> {
    segment.at(0)
}
