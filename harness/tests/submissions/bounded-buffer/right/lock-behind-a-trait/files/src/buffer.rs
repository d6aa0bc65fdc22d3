//! Guard, posts inside the lock.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use labkit::{Lab, LabError, Name, Segment, state};

use crate::layout::{CONTROL, Control, Geometry, Lock, MIN_SLOT, SLOT_HEADER, SLOTS};
use crate::robust::Locked;

/// Makes an empty buffer.
pub fn create(name: &Name, capacity: u32, slot_size: u32, lock: Lock) -> Result<(), LabError> {
    let geometry = Geometry::new(capacity, slot_size, lock)?;
    let segment = Segment::create(name, Lab::BoundedBuffer, geometry.total_len())?;
    prepare(&segment, geometry).inspect_err(|_| {
        let _ = Segment::destroy(name);
    })
}

fn prepare(segment: &Segment, geometry: Geometry) -> Result<(), LabError> {
    let control = segment.at::<Control>(CONTROL)?;
    control.capacity.store(geometry.capacity, Relaxed);
    control.slot_size.store(geometry.slot_size, Relaxed);
    control.lock.store(geometry.lock as u32, Relaxed);
    // SAFETY: exclusively created, not READY.
    unsafe { control.empty.init(geometry.capacity)? };
    // SAFETY: as above.
    unsafe { control.full.init(0)? };
    // SAFETY: as above.
    unsafe { control.mutex.init(1)? };
    if geometry.lock == Lock::Robust {
        // SAFETY: as above.
        unsafe { control.robust.init()? };
    }
    segment.publish(state::READY);
    Ok(())
}

/// A mapped buffer.
pub struct Buffer {
    segment: Segment,
    geometry: Geometry,
}

impl Buffer {
    /// Attaches.
    pub fn open(name: &Name) -> Result<Buffer, LabError> {
        let segment = Segment::open(name, Lab::BoundedBuffer, SLOTS + MIN_SLOT as usize)?;
        let geometry = Geometry::of(segment.at::<Control>(CONTROL)?, segment.len())?;
        Ok(Buffer { segment, geometry })
    }

    /// Puts a message in.
    pub fn push(&self, message: &[u8]) -> Result<(), LabError> {
        if message.len() > self.payload_max() {
            return Err(LabError::TooLong);
        }
        let mut done = false;
        while !done {
            self.control()?.empty.wait()?;
            done = self.inside(Permit::Empty, |control| {
                let tail = control.tail.load(Relaxed);
                let used = tail - control.head.load(Relaxed);
                if used == u64::from(self.geometry.capacity) {
                    return Ok(false);
                }
                self.write_slot(tail, message)?;
                control
                    .tail
                    .compare_exchange(tail, tail + 1, Relaxed, Relaxed)
                    .map_err(|_| LabError::WrongFormat("somebody is inside without the lock"))?;
                control.full.post().map(|()| true)
            })?;
        }
        Ok(())
    }

    /// Takes a message out.
    pub fn pop(&self) -> Result<Option<Vec<u8>>, LabError> {
        loop {
            self.control()?.full.wait()?;
            let found = self.inside(Permit::Full, |control| {
                let head = control.head.load(Relaxed);
                let closed = self.is_closed();
                if control.tail.load(Relaxed) != head {
                    let message = self.read_slot(head)?;
                    control.head.compare_exchange(head, head + 1, Relaxed, Relaxed).map_err(
                        |_| LabError::WrongFormat("somebody is inside without the lock"),
                    )?;
                    control.empty.post()?;
                    Ok(Some(Some(message)))
                } else if closed {
                    control.full.post()?;
                    Ok(Some(None))
                } else {
                    Ok(None)
                }
            })?;
            if let Some(answer) = found {
                return Ok(answer);
            }
        }
    }

    /// No message will follow.
    pub fn close(&self) -> Result<(), LabError> {
        self.segment.publish(state::CLOSED);
        self.control()?.full.post()
    }

    /// Whether closed.
    pub fn is_closed(&self) -> bool {
        self.segment.state() == state::CLOSED
    }

    /// The longest message.
    pub fn payload_max(&self) -> usize {
        self.geometry.payload_max()
    }

    fn control(&self) -> Result<&Control, LabError> {
        self.segment.at(CONTROL)
    }

    fn slot(&self, index: u64) -> usize {
        SLOTS
            + (index % u64::from(self.geometry.capacity)) as usize
                * self.geometry.slot_size as usize
    }

    fn write_slot(&self, index: u64, message: &[u8]) -> Result<(), LabError> {
        let at = self.slot(index);
        self.segment.at::<AtomicU64>(at)?.store(message.len() as u64, Relaxed);
        self.segment.write_bytes(at + SLOT_HEADER, message)
    }

    fn read_slot(&self, index: u64) -> Result<Vec<u8>, LabError> {
        let at = self.slot(index);
        let len = self.segment.at::<AtomicU64>(at)?.load(Relaxed);
        match usize::try_from(len) {
            Ok(len) if len <= self.payload_max() => self.segment.read_bytes(at + SLOT_HEADER, len),
            _ => Err(LabError::WrongFormat("a slot says that its message is longer than the slot")),
        }
    }

    fn inside<T>(
        &self,
        mine: Permit,
        work: impl FnOnce(&Control) -> Result<T, LabError>,
    ) -> Result<T, LabError> {
        let control = self.control()?;
        let way: &dyn Exclusive = match self.geometry.lock {
            Lock::Semaphore => &control.mutex,
            Lock::Robust => &control.robust,
        };
        if way.take()? == Locked::OwnerDied {
            if let Err(error) = self.repair(mine) {
                way.give()?;
                return Err(error);
            }
            control.robust.make_consistent()?;
        }
        let outcome = work(control);
        way.give().and(outcome)
    }

    fn repair(&self, mine: Permit) -> Result<(), LabError> {
        let control = self.control()?;
        let inside = control.tail.load(Relaxed) - control.head.load(Relaxed);
        let want_full = inside + u64::from(self.is_closed());
        let want_empty = u64::from(self.geometry.capacity) - inside;
        let have_full = u64::from(control.full.value()?) + u64::from(mine == Permit::Full);
        let have_empty = u64::from(control.empty.value()?) + u64::from(mine == Permit::Empty);
        for _ in have_full..want_full {
            control.full.post()?;
        }
        for _ in have_empty..want_empty {
            control.empty.post()?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permit {
    Empty,
    Full,
}

trait Exclusive {
    fn take(&self) -> Result<Locked, LabError>;
    fn give(&self) -> Result<(), LabError>;
}

impl Exclusive for crate::semaphore::Semaphore {
    fn take(&self) -> Result<Locked, LabError> {
        self.wait().map(|()| Locked::Clean)
    }
    fn give(&self) -> Result<(), LabError> {
        self.post()
    }
}

impl Exclusive for crate::robust::RobustMutex {
    fn take(&self) -> Result<Locked, LabError> {
        self.lock()
    }
    fn give(&self) -> Result<(), LabError> {
        self.unlock()
    }
}
