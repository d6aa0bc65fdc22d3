//! The ring itself: who may touch which slot, and when. Three semaphores answer that. `empty` and
//! `full` let in as many as there is something to do for, and the lock lets them in one by one.
//!
//! Whatever a process has done before it gives the lock back, the next one to take it sees: a post
//! is a release, the wait that takes its permit an acquire, and so are unlock and lock of a pthread
//! mutex. That is why the indices and the slots themselves are read and written Relaxed.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use labkit::{Lab, LabError, Name, Segment, state};

use crate::layout::{CONTROL, Control, Geometry, Lock, MIN_SLOT, SLOT_HEADER, SLOTS};
use crate::robust::Locked;

/// Makes an empty buffer of `capacity` slots under a name that nobody has yet.
///
/// When this fails there is no object of that name, or the one that was there is unchanged.
pub fn create(name: &Name, capacity: u32, slot_size: u32, lock: Lock) -> Result<(), LabError> {
    let geometry = Geometry::new(capacity, slot_size, lock)?;
    let segment = Segment::create(name, Lab::BoundedBuffer, geometry.total_len())?;
    let prepared = prepare(&segment, geometry);
    if prepared.is_err() {
        // From here on the name is ours, and a buffer that will never be READY helps nobody. That
        // this can fail too is less important than the first failure.
        let _ = Segment::destroy(name);
    }
    prepared
}

/// Fills a segment that nobody else looks at yet, and says at the end that they may.
fn prepare(segment: &Segment, geometry: Geometry) -> Result<(), LabError> {
    let control = segment.at::<Control>(CONTROL)?;
    // Relaxed: nobody reads these before READY, and (a) publishes them all.
    control.capacity.store(geometry.capacity, Relaxed);
    control.slot_size.store(geometry.slot_size, Relaxed);
    control.lock.store(geometry.lock as u32, Relaxed);
    // SAFETY: we have just created the object exclusively, so this is the first and only
    // initialisation, and openers touch nothing before READY.
    unsafe { control.empty.init(geometry.capacity)? };
    // SAFETY: as for `empty`.
    unsafe { control.full.init(0)? };
    // SAFETY: as for `empty`.
    unsafe { control.mutex.init(1)? };
    if geometry.lock == Lock::Robust {
        // SAFETY: as for `empty`.
        unsafe { control.robust.init()? };
    }
    segment.publish(state::READY); // (a) publishes the words and the semaphores
    Ok(())
}

/// A buffer that this process has mapped. Any number of processes and threads may have it.
pub struct Buffer {
    segment: Segment,
    geometry: Geometry,
}

impl Buffer {
    /// Attaches to a buffer, and waits for its creator if there is none yet.
    pub fn open(name: &Name) -> Result<Buffer, LabError> {
        // Pairs with (a): `open` returns after it has read READY or CLOSED with Acquire.
        let segment = Segment::open(name, Lab::BoundedBuffer, SLOTS + MIN_SLOT as usize)?;
        let geometry = Geometry::of(segment.at::<Control>(CONTROL)?, segment.len())?;
        Ok(Buffer { segment, geometry })
    }

    /// Puts a message in, behind all that are there. Sleeps while the buffer is full.
    ///
    /// A message longer than [`Buffer::payload_max`] is refused with [`LabError::TooLong`] before
    /// anything has changed.
    pub fn push(&self, message: &[u8]) -> Result<(), LabError> {
        if message.len() > self.payload_max() {
            return Err(LabError::TooLong);
        }
        let control = self.control()?;
        loop {
            // First the permit, then the lock: who slept here with the lock in its hand would keep
            // out the very consumer it waits for.
            control.empty.wait()?; // pairs with (c): the slot was copied out
            // Without a robust lock no permit is ever one too many.
            let robust = control.lock.load(Relaxed) == 1;
            if robust && self.messages()? == u64::from(self.geometry.capacity) {
                // A repair may have posted one permit too many. The indices have the last word.
                continue;
            }
            let _held = self.enter(Permit::Empty)?;
            let tail = control.tail.load(Relaxed);
            self.write_slot(tail, message)?;
            control.tail.store(tail + 1, Relaxed); // the commit: before it there is no message
            // Still inside, so that a death between the two is told to the next one who enters.
            return control.full.post(); // (b) one message more
        }
    }

    /// Takes the oldest message out. Sleeps while the buffer is empty; `None` is the end, and it
    /// comes when the buffer is closed and every message was taken.
    pub fn pop(&self) -> Result<Option<Vec<u8>>, LabError> {
        let control = self.control()?;
        loop {
            control.full.wait()?; // pairs with (b), and with (d) at the end
            let _held = self.enter(Permit::Full)?;
            let head = control.head.load(Relaxed);
            if self.messages()? == 0 {
                if self.is_closed() {
                    // This was the end token. It is for every consumer, so it goes back.
                    control.full.post()?;
                    return Ok(None);
                }
                // A permit too many, as in `push`.
                continue;
            }
            let message = match self.read_slot(head) {
                Ok(message) => message,
                Err(error) => {
                    // Nothing was taken, so the permit goes back.
                    control.full.post()?;
                    return Err(error);
                }
            };
            control.head.store(head + 1, Relaxed); // the commit: from here on the message is ours
            control.empty.post()?; // (c) the slot is copied out, it may be overwritten
            return Ok(Some(message));
        }
    }

    /// Says that no message will follow. What is in the buffer is still delivered.
    pub fn close(&self) -> Result<(), LabError> {
        self.segment.publish(state::CLOSED);
        // A permit without a message. The consumer that gets it sees CLOSED, because a post is a
        // release and the wait that takes it an acquire.
        self.control()?.full.post() // (d) the end token
    }

    /// Whether somebody has closed the buffer.
    pub fn is_closed(&self) -> bool {
        self.segment.state() == state::CLOSED
    }

    /// The longest message, in bytes.
    pub fn payload_max(&self) -> usize {
        self.geometry.payload_max()
    }

    fn control(&self) -> Result<&Control, LabError> {
        self.segment.at(CONTROL)
    }

    /// How many messages are in the buffer. The caller holds the lock.
    fn messages(&self) -> Result<u64, LabError> {
        let control = self.control()?;
        // Relaxed: both change under the lock only, and we hold it.
        let messages = control.tail.load(Relaxed).wrapping_sub(control.head.load(Relaxed));
        if messages > u64::from(self.geometry.capacity) {
            return Err(LabError::WrongFormat("more messages between head and tail than slots"));
        }
        Ok(messages)
    }

    /// Where the slot of message number `index` begins, counted from the start of the segment.
    fn slot(&self, index: u64) -> usize {
        let slot = index % u64::from(self.geometry.capacity);
        SLOTS + slot as usize * self.geometry.slot_size as usize
    }

    /// Stores a message that fits. The caller alone may touch this slot.
    fn write_slot(&self, index: u64, message: &[u8]) -> Result<(), LabError> {
        let at = self.slot(index);
        self.segment.at::<AtomicU64>(at)?.store(message.len() as u64, Relaxed);
        self.segment.write_bytes(at + SLOT_HEADER, message)
    }

    /// Copies a message out. The caller alone may touch this slot.
    fn read_slot(&self, index: u64) -> Result<Vec<u8>, LabError> {
        let at = self.slot(index);
        let len = self.segment.at::<AtomicU64>(at)?.load(Relaxed);
        match usize::try_from(len) {
            Ok(len) if len <= self.payload_max() => self.segment.read_bytes(at + SLOT_HEADER, len),
            _ => Err(LabError::WrongFormat("a slot says that its message is longer than the slot")),
        }
    }

    /// Waits until this process is alone with the indices and the slots. The caller says which
    /// permit it has in its hand, for the count after somebody's death.
    fn enter(&self, mine: Permit) -> Result<Held<'_>, LabError> {
        let control = self.control()?;
        match self.geometry.lock {
            Lock::Semaphore => control.mutex.wait()?,
            Lock::Robust => {
                if control.robust.lock()? == Locked::OwnerDied {
                    // Repair first, then call it repaired: if we die in between, the next one is
                    // told again, and counting a second time does no harm.
                    self.repair(mine)?;
                    control.robust.make_consistent()?;
                }
            }
        }
        Ok(Held { control, lock: self.geometry.lock })
    }

    /// Puts the permits right after a death inside. The caller holds the lock and the permit `mine`.
    ///
    /// The indices are always right, because one store of `tail` or `head` is the whole change. What
    /// the dead one may have left undone is the post that belongs to it.
    fn repair(&self, mine: Permit) -> Result<(), LabError> {
        let control = self.control()?;
        let messages = self.messages()?;
        let end_token = u64::from(self.is_closed());
        let full = u64::from(control.full.value()?) + u64::from(mine == Permit::Full);
        for _missing in full..messages + end_token {
            control.full.post()?;
        }
        let free = u64::from(self.geometry.capacity) - messages;
        let empty = u64::from(control.empty.value()?) + u64::from(mine == Permit::Empty);
        for _missing in empty..free {
            control.empty.post()?;
        }
        // Those who wait for the lock have permits too, and we cannot see them. So this may post
        // too many, never too few; `push` and `pop` drop a permit that nothing stands behind.
        Ok(())
    }
}

/// What a process has taken before it enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permit {
    /// One of `empty`: it may fill a slot.
    Empty,
    /// One of `full`: it may take a message.
    Full,
}

/// The lock while it is held. It is given back when this is dropped, so also on the way out of a
/// `?` that nobody thought of.
struct Held<'a> {
    control: &'a Control,
    lock: Lock,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let given_back = match self.lock {
            Lock::Semaphore => self.control.mutex.post(),
            Lock::Robust => self.control.robust.unlock(),
        };
        given_back.expect("a lock that is held can be given back");
    }
}
