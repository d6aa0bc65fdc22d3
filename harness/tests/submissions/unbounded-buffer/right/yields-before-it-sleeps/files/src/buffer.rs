//! One producer, one consumer, and a log between them that is never full: when the slots run out,
//! the producer makes the object longer. What each process has mapped does not grow with it, so
//! both must notice and map again.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::thread;
use std::time::Duration;

use labkit::{Lab, LabError, Name, Segment, state};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate, posix_fallocate};

use crate::layout::{FIRST_LEN, Layout, MAX_PAYLOAD, SLOT_LEN, SLOTS, slot_offset};

/// Where the payload begins inside a slot, after the length.
const PAYLOAD: usize = SLOT_LEN - MAX_PAYLOAD;

/// Between two looks at an empty buffer once the first quick ones were in vain. A thousand looks a
/// second cost a few percent of a processor; a message waits a millisecond at most.
const POLL: Duration = Duration::from_millis(1);

/// The object grows by its own length, so that growing stays rare, but never by more than this, so
/// that what is reserved and not used stays small. 64 KiB are a thousand messages.
const GROW_AT_MOST: usize = 64 << 10;

/// Consumed memory goes back in pieces of this many bytes: one system call for 512 messages, and a
/// multiple of the page for every page up to 32 KiB.
const PIECE: usize = 32 << 10;

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
        // Nobody else stores tail, so there is nothing to wait for and no order to keep.
        let tail = layout(&self.segment)?.tail.load(Relaxed);
        let offset = slot_offset(tail).ok_or(LabError::OutOfRange)?;
        self.make_room(offset + SLOT_LEN)?;
        self.write_slot(offset, message)?;
        layout(&self.segment)?.tail.store(tail + 1, Release); // (a) publishes the slot
        Ok(())
    }

    /// Says that nothing will follow what was pushed.
    pub fn close(self) {
        self.segment.publish(state::CLOSED); // (b) the last tail was stored before
    }

    /// Sees to it that the bytes before `end` exist and are mapped.
    fn make_room(&mut self, end: usize) -> Result<(), LabError> {
        if end <= self.segment.len() {
            return Ok(());
        }
        let present = self.segment.object_len()?;
        // A producer before this one may have made room already and died before it used it.
        if end > present {
            self.grow(present, end)?;
        }
        self.segment.remap()
    }

    /// Stores a message into the slot at `offset`. Nobody looks there before `tail` says so.
    fn write_slot(&self, offset: usize, message: &[u8]) -> Result<(), LabError> {
        self.segment.at::<AtomicU64>(offset)?.store(message.len() as u64, Relaxed);
        self.segment.write_bytes(offset + PAYLOAD, message)
    }

    /// Makes the object longer than `present`, its length, and at least `end` bytes long.
    fn grow(&self, present: usize, end: usize) -> Result<(), LabError> {
        let wanted = end.max(present + present.min(GROW_AT_MOST));
        let (from, more) = (as_offset(present)?, as_offset(wanted - present)?);
        // ftruncate would change the length and promise no memory: when /dev/shm is full, it
        // succeeds, and the store after it is a SIGBUS. posix_fallocate reserves the memory first
        // and then changes the length, or does neither.
        patiently(|| posix_fallocate(self.segment.fd(), from, more))
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
        let head = layout(&self.segment)?.head.load(Acquire); // pairs with (c)
        if !self.wait_for(head)? {
            return Ok(None);
        }
        let offset = slot_offset(head).ok_or(LabError::OutOfRange)?;
        if offset + SLOT_LEN > self.segment.len() {
            self.segment.remap()?;
        }
        if offset + SLOT_LEN > self.segment.len() {
            return Err(LabError::WrongFormat("tail counts a message beyond the object's end"));
        }
        let len = self.segment.at::<AtomicU64>(offset)?.load(Relaxed) as usize;
        if len > MAX_PAYLOAD {
            return Err(LabError::WrongFormat("a slot says it holds more than 56 bytes"));
        }
        let message = self.segment.read_bytes(offset + PAYLOAD, len)?;
        layout(&self.segment)?.head.store(head + 1, Release); // (c) the copy is finished
        Ok(Some(message))
    }

    /// Gives the memory of consumed messages back to the system, keeping the object's length. At
    /// most 64 KiB of consumed slots stay behind.
    pub fn give_back(&mut self) -> Result<(), LabError> {
        let head = layout(&self.segment)?.head.load(Relaxed);
        let needed = slot_offset(head).ok_or(LabError::OutOfRange)?;
        let end = needed / PIECE * PIECE;
        if end <= self.given_back {
            return Ok(());
        }
        let (from, len) = (as_offset(self.given_back)?, as_offset(end - self.given_back)?);
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        patiently(|| fallocate(self.segment.fd(), hole, from, len))?;
        self.given_back = end;
        Ok(())
    }

    /// Waits until message `head` is published, and says whether it ever will be.
    fn wait_for(&self, head: u64) -> Result<bool, LabError> {
        let mut yields = 0;
        loop {
            // First the state, then tail. The other way round a message and CLOSED can both arrive
            // between the two looks, and the last message is lost.
            let closed = self.segment.state() == state::CLOSED; // pairs with (b)
            if layout(&self.segment)?.tail.load(Acquire) > head {
                return Ok(true); // that load pairs with (a)
            }
            if closed {
                return Ok(false);
            }
            // Yielding is not waiting: an idle processor comes straight back. So after a few quick
            // looks this one sleeps.
            if yields == 20 {
                thread::sleep(POLL);
            } else {
                thread::yield_now();
                yields += 1;
            }
        }
    }
}

fn open(name: &Name) -> Result<Segment, LabError> {
    Segment::open(name, Lab::UnboundedBuffer, SLOTS)
}

fn layout(segment: &Segment) -> Result<&Layout, LabError> {
    segment.at(0)
}

/// A length or offset as the kernel wants it.
fn as_offset(bytes: usize) -> Result<i64, LabError> {
    i64::try_from(bytes).map_err(|_| LabError::Os(Errno::EFBIG))
}

/// Calls again as long as only a signal came between.
fn patiently(mut call: impl FnMut() -> Result<(), Errno>) -> Result<(), LabError> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return Ok(result?),
        }
    }
}
