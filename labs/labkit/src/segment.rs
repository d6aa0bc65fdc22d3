//! A shared-memory object and its mapping: the first lab, solved, so that the others can build on
//! it. Two things end differently here: the mapping ends with the `Segment`, the object only with
//! [`Segment::destroy`], and then with its last mapping.

use std::fmt;
use std::mem::{align_of, size_of};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU8, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::fcntl::{OFlag, posix_fallocate};
use nix::sys::mman::{shm_open, shm_unlink};
use nix::sys::stat::{Mode, fchmod, fstat};
use nix::unistd::ftruncate;

use crate::{Lab, LabError, Name, PREFIX_LEN, Prefix, Shared, VERSION, patience, state};

/// Between two looks at an object that is not ready. Short beside any patience, long beside a look.
const POLL: Duration = Duration::from_millis(2);

/// A mapping of one shared-memory object, readable and writable, at least [`PREFIX_LEN`] long.
pub struct Segment {
    map: MmapRaw,
    fd: OwnedFd,
}

#[expect(clippy::len_without_is_empty, reason = "a segment holds at least its prefix")]
impl Segment {
    /// Makes the object and everything in its prefix except the state, which is BUILDING until
    /// [`Segment::publish`].
    ///
    /// Refuses a name that exists. The object is exactly `len` bytes long, all others zero, and its
    /// mode is 0600 whatever the umask. When anything fails after the name was made, the name is
    /// removed again.
    pub fn create(name: &Name, lab: Lab, len: usize) -> Result<Segment, LabError> {
        if len < PREFIX_LEN {
            return Err(LabError::TooSmall);
        }
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR;
        let fd = shm_open(name.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let segment = build(fd, len).inspect_err(|_| {
            // The name is ours: O_EXCL says that nobody had it before. A second failure could tell
            // the user nothing that the first one does not.
            let _ = shm_unlink(name.as_str());
        })?;
        let prefix = segment.prefix();
        prefix.version.store(VERSION, Relaxed);
        prefix.total_len.store(len as u64, Relaxed);
        prefix.creator.store(process::id(), Relaxed);
        prefix.magic.store(lab.magic(), Relaxed);
        Ok(segment)
    }

    /// Opens an object that another process made, or is making.
    ///
    /// Waits up to [`patience`] through every stage of the making: no name, no length, less than
    /// `min_len` bytes, state BUILDING. Then checks the prefix. Never creates, resizes or
    /// initialises anything.
    pub fn open(name: &Name, lab: Lab, min_len: usize) -> Result<Segment, LabError> {
        let deadline = Instant::now() + patience();
        loop {
            match try_open(name, min_len.max(PREFIX_LEN)) {
                Ok(segment) => {
                    segment.validate(lab)?;
                    return Ok(segment);
                }
                Err(early @ (LabError::Missing | LabError::NotReady)) => {
                    if Instant::now() >= deadline {
                        return Err(early);
                    }
                    thread::sleep(POLL);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The first 64 bytes.
    pub fn prefix(&self) -> &Prefix {
        self.at(0).expect("every segment is at least as long as its prefix")
    }

    /// Stores the state. Whoever then reads it with [`Segment::state`] also sees everything that
    /// this process stored before.
    pub fn publish(&self, state: u32) {
        self.prefix().state.store(state, Release); // (a) publishes everything stored before
    }

    /// The state now.
    pub fn state(&self) -> u32 {
        self.prefix().state.load(Acquire) // pairs with (a)
    }

    /// The `T` at `offset` bytes from the start of the segment. Refuses what is not wholly inside
    /// the mapping, and an offset that `T`'s alignment does not divide.
    pub fn at<T: Shared>(&self, offset: usize) -> Result<&T, LabError> {
        self.check(offset, size_of::<T>())?;
        if !offset.is_multiple_of(align_of::<T>()) || align_of::<T>() > 4096 {
            return Err(LabError::OutOfRange);
        }
        // In bounds by `check`, so this addition wraps nowhere.
        let start = self.map.as_ptr().wrapping_add(offset).cast::<T>();
        // SAFETY: Long enough: `check` says so. Aligned: a mapping begins at a page, and offset was
        // just tested. Others write here, in this process and in others, and `T: Shared` promises
        // that every bit pattern is valid and every change goes through an atomic or an UnsafeCell.
        // It lives as long as the mapping, which lives as long as `&self` (`remap` takes `&mut`).
        // An object that somebody shrinks under us ends the process with SIGBUS; it does not give
        // wrong memory.
        Ok(unsafe { &*start })
    }

    /// Copies `bytes` to `offset` with Relaxed stores: whole words where the address allows, single
    /// bytes elsewhere. Publishing them is the caller's business.
    pub fn write_bytes(&self, offset: usize, bytes: &[u8]) -> Result<(), LabError> {
        self.check(offset, bytes.len())?;
        let (head, rest) = bytes.split_at(to_next_word(offset).min(bytes.len()));
        let (words, tail) = rest.as_chunks::<8>();
        let mut at = offset;
        for &byte in head {
            self.at::<AtomicU8>(at)?.store(byte, Relaxed);
            at += 1;
        }
        for &word in words {
            self.at::<AtomicU64>(at)?.store(u64::from_le_bytes(word), Relaxed);
            at += 8;
        }
        for &byte in tail {
            self.at::<AtomicU8>(at)?.store(byte, Relaxed);
            at += 1;
        }
        Ok(())
    }

    /// Copies `len` bytes from `offset`, cut into words and bytes as [`Segment::write_bytes`] cuts
    /// them.
    pub fn read_bytes(&self, offset: usize, len: usize) -> Result<Vec<u8>, LabError> {
        self.check(offset, len)?;
        let head = to_next_word(offset).min(len);
        let (first, end) = (offset + head, offset + len);
        let after = first + (len - head) / 8 * 8;
        let mut bytes = Vec::with_capacity(len);
        for at in offset..first {
            bytes.push(self.at::<AtomicU8>(at)?.load(Relaxed));
        }
        for at in (first..after).step_by(8) {
            bytes.extend(self.at::<AtomicU64>(at)?.load(Relaxed).to_le_bytes());
        }
        for at in after..end {
            bytes.push(self.at::<AtomicU8>(at)?.load(Relaxed));
        }
        Ok(bytes)
    }

    /// How many bytes are mapped now.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// How many bytes the object has now; another process may have made it longer.
    pub fn object_len(&self) -> Result<usize, LabError> {
        length(&self.fd)
    }

    /// The object itself, for what is done to it and not to its bytes: `ftruncate`, `fallocate`.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Maps the object at the length it has now, in place of the old mapping. Addresses change;
    /// `&mut` makes the compiler see to it that no reference into the old one is left.
    pub fn remap(&mut self) -> Result<(), LabError> {
        let len = self.object_len()?;
        if len < PREFIX_LEN {
            return Err(LabError::WrongFormat("the object has become shorter than its prefix"));
        }
        self.map = MmapOptions::new().len(len).map_raw(&self.fd)?;
        Ok(())
    }

    /// Removes the name. Processes that have the object open keep it until they end.
    pub fn destroy(name: &Name) -> Result<(), LabError> {
        Ok(shm_unlink(name.as_str())?)
    }

    /// Whether `len` bytes from `offset` lie inside the mapping.
    fn check(&self, offset: usize, len: usize) -> Result<(), LabError> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len() => Ok(()),
            _ => Err(LabError::OutOfRange),
        }
    }

    /// Whether the prefix is one of this lab. Only asked when the state is no longer BUILDING:
    /// until then a prefix of zeros is early, not wrong.
    fn validate(&self, lab: Lab) -> Result<(), LabError> {
        let prefix = self.prefix();
        if prefix.magic.load(Relaxed) != lab.magic() {
            return Err(LabError::WrongFormat("the magic is another"));
        }
        if prefix.version.load(Relaxed) != VERSION {
            return Err(LabError::WrongFormat("the version is another"));
        }
        if self.state() > state::CLOSED {
            return Err(LabError::WrongFormat("the state is none of the three"));
        }
        if prefix.total_len.load(Relaxed) > self.len() as u64 {
            return Err(LabError::WrongFormat("the object is shorter than it was created"));
        }
        Ok(())
    }
}

/// Where the bytes lie in this process is nobody's business, so only the length is shown.
impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Mode, length, memory, mapping: what can fail between the name and the prefix.
fn build(fd: OwnedFd, len: usize) -> Result<Segment, LabError> {
    // The mode given to shm_open loses the bits of the umask; this one does not.
    fchmod(&fd, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let length = i64::try_from(len).map_err(|_| LabError::Os(Errno::EFBIG))?;
    ftruncate(&fd, length)?;
    // ftruncate promises no memory. Asking for it here makes a full /dev/shm an error; later it
    // would be a SIGBUS at some store.
    while let Err(errno) = posix_fallocate(&fd, 0, length) {
        if errno != Errno::EINTR {
            return Err(errno.into());
        }
    }
    Ok(Segment { map: MmapOptions::new().len(len).map_raw(&fd)?, fd })
}

/// One look at the name: [`LabError::Missing`] and [`LabError::NotReady`] may pass with time. The
/// name is looked up anew every time, since a creator that failed may have removed its object and
/// another may have made a new one.
fn try_open(name: &Name, min_len: usize) -> Result<Segment, LabError> {
    let fd = shm_open(name.as_str(), OFlag::O_RDWR, Mode::empty())?;
    let len = length(&fd)?;
    // Beyond the object's last page a mapping has no memory, and touching it is SIGBUS.
    if len < min_len {
        return Err(LabError::NotReady);
    }
    let segment = Segment { map: MmapOptions::new().len(len).map_raw(&fd)?, fd };
    if segment.state() == state::BUILDING {
        return Err(LabError::NotReady);
    }
    Ok(segment)
}

fn length(fd: &OwnedFd) -> Result<usize, LabError> {
    Ok(usize::try_from(fstat(fd)?.st_size).expect("a length is never negative"))
}

/// Bytes from `offset` to the next multiple of eight.
fn to_next_word(offset: usize) -> usize {
    offset.next_multiple_of(8) - offset
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name of this test process alone, removed at its end.
    struct Scratch(Name);

    impl Scratch {
        fn new(test: &str) -> Scratch {
            Scratch(format!("/labkit-{}-{test}", process::id()).parse().unwrap())
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = Segment::destroy(&self.0);
        }
    }

    const LAB: Lab = Lab::UnboundedBuffer;

    #[test]
    fn what_one_mapping_stores_another_reads() {
        let name = Scratch::new("stores");
        let one = Segment::create(&name.0, LAB, 1000).unwrap();
        one.write_bytes(203, b"nineteen bytes long").unwrap();
        one.publish(state::READY);
        let two = Segment::open(&name.0, LAB, 1000).unwrap();
        assert_eq!(two.read_bytes(203, 19).unwrap(), b"nineteen bytes long");
        assert_eq!(two.read_bytes(202, 1).unwrap(), [0]);
        assert_eq!(two.object_len().unwrap(), 1000);
    }

    #[test]
    fn a_name_is_created_once() {
        let name = Scratch::new("once");
        let first = Segment::create(&name.0, LAB, 64).unwrap();
        first.publish(state::CLOSED);
        assert!(matches!(Segment::create(&name.0, LAB, 64), Err(LabError::Exists)));
        assert_eq!(first.state(), state::CLOSED);
    }

    #[test]
    fn a_create_that_fails_leaves_no_name() {
        let name = Scratch::new("fails");
        assert!(Segment::create(&name.0, LAB, usize::MAX).is_err());
        assert!(matches!(Segment::destroy(&name.0), Err(LabError::Missing)));
    }

    #[test]
    fn another_labs_segment_is_a_wrong_format() {
        let name = Scratch::new("another");
        Segment::create(&name.0, Lab::RaceCondition, 64).unwrap().publish(state::READY);
        assert!(matches!(Segment::open(&name.0, LAB, 64), Err(LabError::WrongFormat(_))));
    }

    #[test]
    fn nothing_outside_the_mapping_can_be_reached() {
        let name = Scratch::new("outside");
        let segment = Segment::create(&name.0, LAB, 100).unwrap();
        assert!(segment.at::<AtomicU64>(88).is_ok());
        assert!(segment.at::<AtomicU64>(96).is_err());
        assert!(segment.at::<AtomicU64>(4).is_err(), "misaligned");
        assert!(segment.at::<AtomicU8>(usize::MAX).is_err());
        assert!(segment.write_bytes(99, b"xy").is_err());
        assert_eq!(segment.read_bytes(99, 1).unwrap(), [0], "a refused write writes nothing");
    }

    #[test]
    fn remap_follows_the_object() {
        let name = Scratch::new("remap");
        let mut segment = Segment::create(&name.0, LAB, 4096).unwrap();
        ftruncate(segment.fd(), 12288).unwrap();
        assert_eq!(segment.len(), 4096);
        segment.remap().unwrap();
        assert_eq!(segment.len(), 12288);
        segment.write_bytes(12287, b"x").unwrap();
    }
}
