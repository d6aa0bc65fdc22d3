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
        let control = self.control()?;
        loop {
            control.empty.wait()?;
            let _held = self.enter(Permit::Empty)?;
            let (head, tail) = (control.head.load(Relaxed), control.tail.load(Relaxed));
            if tail - head == u64::from(self.geometry.capacity) {
                continue;
            }
            self.write_slot(tail, message)?;
            control.tail.store(tail + 1, Relaxed);
            return control.full.post();
        }
    }

    /// Takes a message out.
    pub fn pop(&self) -> Result<Option<Vec<u8>>, LabError> {
        let control = self.control()?;
        loop {
            control.full.wait()?;
            let _held = self.enter(Permit::Full)?;
            let (head, tail) = (control.head.load(Relaxed), control.tail.load(Relaxed));
            if head == tail {
                if self.is_closed() {
                    control.full.post()?;
                    return Ok(None);
                }
                continue;
            }
            let message = self.read_slot(head)?;
            control.head.store(head + 1, Relaxed);
            control.empty.post()?;
            return Ok(Some(message));
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

    fn enter(&self, mine: Permit) -> Result<Held<'_>, LabError> {
        let control = self.control()?;
        match self.geometry.lock {
            Lock::Semaphore => control.mutex.wait()?,
            Lock::Robust => {
                if control.robust.lock()? == Locked::OwnerDied {
                    self.repair(mine)?;
                    control.robust.make_consistent()?;
                }
            }
        }
        Ok(Held { control, lock: self.geometry.lock })
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

struct Held<'a> {
    control: &'a Control,
    lock: Lock,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let given = match self.lock {
            Lock::Semaphore => self.control.mutex.post(),
            Lock::Robust => self.control.robust.unlock(),
        };
        given.expect("a lock that was taken can be given back");
    }
}
