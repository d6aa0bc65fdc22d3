//! A shared-memory object and a mapping of it. They are two things, and a `Segment` is only the
//! second: the object has a name and outlives every process, the mapping ends with the `Segment`.

use std::ffi::c_void;
use std::mem::size_of;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::process;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU8, fence};
use std::thread;
use std::time::{Duration, Instant};

use labkit::{Lab, LabError, Name, Prefix, Shared, VERSION, patience, state};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap, shm_open, shm_unlink};
use nix::sys::stat::{Mode, fchmod, fstat};
use nix::unistd::ftruncate;

use crate::layout::HEAP;

/// Between two looks at an object that is not ready. Short beside any patience, long beside a look.
const POLL: Duration = Duration::from_millis(2);

/// What a process may do with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only look. Open with O_RDONLY, map with PROT_READ.
    ReadOnly,
    /// Look and store. Open with O_RDWR, map with PROT_READ and PROT_WRITE.
    ReadWrite,
}

/// One mapping of one object, from its first byte to its last.
#[derive(Debug)]
pub struct Segment {
    /// Where the mapping begins in this process. In the next process it begins elsewhere.
    base: NonNull<c_void>,
    /// How many bytes are mapped: the length of the object when it was mapped, at least [`HEAP`].
    len: usize,
    access: Access,
}

impl Segment {
    /// Makes the object `name`, exactly `len` bytes long and with mode 0600 whatever the umask,
    /// maps it, and fills in the prefix except for the state, which is BUILDING until
    /// [`Segment::publish`].
    ///
    /// Refuses a length below [`HEAP`] and a name that exists, and then changes nothing. If
    /// anything fails after the name was made, the name is removed again.
    pub fn create(name: &Name, len: usize) -> Result<Segment, LabError> {
        if len < HEAP {
            return Err(LabError::TooSmall);
        }
        let fd = make_object(name)?;
        let segment = shape_object(&fd, len).and_then(|()| map(&fd, len, Access::ReadWrite));
        let segment = segment.inspect_err(|_| {
            // The name is ours to remove, since O_EXCL made it. What failed first is what the user
            // must know, so a second failure is not told.
            let _ = shm_unlink(name.as_str());
        })?;
        segment.write_prefix()?;
        Ok(segment)
    }

    /// Opens a table that another process made, or is still making.
    ///
    /// Waits until [`patience`] is over while there is no such name, while the object is shorter
    /// than [`HEAP`], and while its state is BUILDING; then fails with `Missing` or `NotReady`.
    /// After that it checks the prefix. It never creates, resizes or initialises anything.
    pub fn open(name: &Name, access: Access) -> Result<Segment, LabError> {
        let deadline = Instant::now() + patience();
        loop {
            match try_open(name, access) {
                Ok(segment) => {
                    segment.validate()?;
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

    /// Stores READY: from now on other processes may use what is in the segment.
    pub fn publish(&self) -> Result<(), LabError> {
        let prefix: &Prefix = self.at(0)?;
        prefix.state.store(state::READY, Release); // (a) publishes everything stored before
        Ok(())
    }

    /// The `T` at `offset` bytes from the start of the segment.
    ///
    /// Refuses with `OutOfRange` what does not lie wholly inside the mapping, and an offset that is
    /// no multiple of `T`'s alignment. A store through it into a read-only mapping is SIGSEGV.
    pub fn at<T: Shared>(&self, offset: usize) -> Result<&T, LabError> {
        let start = self.address(offset, size_of::<T>())?.cast::<T>();
        if !start.is_aligned() {
            return Err(LabError::OutOfRange);
        }
        // SAFETY: Long enough: `address` has compared offset + size with the length of the mapping.
        // Aligned: just asked. Others write here, in other processes too, but `T: Shared` says that
        // no bit pattern is invalid and that every change goes through an atomic. It lives as long
        // as the mapping, which only `drop` ends, and `&self` holds that off. Should somebody make
        // the object shorter, a touch beyond its end is SIGBUS and never other memory.
        Ok(unsafe { &*start })
    }

    /// The `len` bytes from `offset`, each an atomic, since another process may be writing them.
    ///
    /// Refuses with `OutOfRange` what does not lie wholly inside the mapping.
    pub fn bytes(&self, offset: usize, len: usize) -> Result<&[AtomicU8], LabError> {
        let start = self.address(offset, len)?.cast::<AtomicU8>();
        // SAFETY: Long enough: `address` has compared offset + len with the length of the mapping,
        // which is below isize::MAX. Aligned: bytes are everywhere. Who else writes, and how long
        // it lives: as in `at`; an AtomicU8 is Shared.
        Ok(unsafe { slice::from_raw_parts(start, len) })
    }

    /// How many bytes are mapped.
    #[expect(clippy::len_without_is_empty, reason = "a segment is never shorter than a table")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// What this process may do with the segment.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Removes the name. Who has the object mapped keeps it; its memory is free after the last.
    pub fn destroy(name: &Name) -> Result<(), LabError> {
        Ok(shm_unlink(name.as_str())?)
    }

    /// The address of `len` bytes at `offset`, if they all lie inside the mapping.
    fn address(&self, offset: usize, len: usize) -> Result<*const u8, LabError> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => {
                Ok(self.base.as_ptr().cast::<u8>().wrapping_add(offset))
            }
            _ => Err(LabError::OutOfRange),
        }
    }

    /// Fills in the prefix of a new segment, except for the state.
    fn write_prefix(&self) -> Result<(), LabError> {
        let prefix: &Prefix = self.at(0)?;
        // Relaxed is enough for all of them: (a) comes later and publishes them together.
        prefix.magic.store(Lab::RawSegment.magic(), Relaxed);
        prefix.version.store(VERSION, Relaxed);
        prefix.total_len.store(self.len as u64, Relaxed);
        prefix.creator.store(process::id(), Relaxed);
        Ok(())
    }

    /// Whether the prefix is that of a table. Only asked when the state is no longer BUILDING:
    /// until then a prefix of zeros is early, not wrong.
    fn validate(&self) -> Result<(), LabError> {
        let prefix: &Prefix = self.at(0)?;
        if prefix.magic.load(Relaxed).to_le_bytes()[..7] != *b"SHMLAB1" {
            return Err(LabError::WrongFormat("the magic is another"));
        }
        if prefix.version.load(Relaxed) != VERSION {
            return Err(LabError::WrongFormat("the version is another"));
        }
        if prefix.state.load(Relaxed) > state::CLOSED {
            return Err(LabError::WrongFormat("the state is none of the three"));
        }
        if prefix.total_len.load(Relaxed) > self.len as u64 {
            return Err(LabError::WrongFormat("the object is shorter than it was created"));
        }
        Ok(())
    }
}

/// The mapping ends here; the object and its name stay.
impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: `base` and `len` are those of a mapping that `map` made and nobody else unmaps.
        // Every reference into it borrows the Segment, so none is left.
        let unmapped = unsafe { munmap(self.base, self.len) };
        debug_assert!(unmapped.is_ok(), "munmap fails only for a mapping that is none");
    }
}

/// Makes a new object of length 0 under a name that nobody has.
fn make_object(name: &Name) -> Result<OwnedFd, LabError> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR;
    Ok(shm_open(name.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)?)
}

/// Gives a new object its mode and its length. All its bytes are zero then.
fn shape_object(fd: &OwnedFd, len: usize) -> Result<(), LabError> {
    // The mode that shm_open is given loses the bits of the umask. This one loses none.
    fchmod(fd, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let len = i64::try_from(len).map_err(|_| LabError::Os(Errno::EFBIG))?;
    Ok(ftruncate(fd, len)?)
}

/// Opens an object that exists, with no more rights than `access` needs.
fn open_object(name: &Name, access: Access) -> Result<OwnedFd, LabError> {
    let flags = match access {
        Access::ReadOnly => OFlag::O_RDONLY,
        Access::ReadWrite => OFlag::O_RDWR,
    };
    Ok(shm_open(name.as_str(), flags, Mode::empty())?)
}

/// Maps the first `len` bytes of an object, shared with every other process that maps it.
fn map(fd: &OwnedFd, len: usize, access: Access) -> Result<Segment, LabError> {
    let protection = match access {
        Access::ReadOnly => ProtFlags::PROT_READ,
        Access::ReadWrite => ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
    };
    let bytes = NonZeroUsize::new(len).ok_or(LabError::TooSmall)?;
    // SAFETY: without MAP_FIXED the kernel chooses an address where nothing is, so no memory of
    // this process changes. What may be done with the new memory is answered where it is done. The
    // descriptor may be closed afterwards: the mapping keeps the object.
    let base = unsafe { mmap(None, bytes, protection, MapFlags::MAP_SHARED, fd, 0) }?;
    Ok(Segment { base, len, access })
}

/// One look at the name. `Missing` and `NotReady` may pass with time. Every look begins at the
/// name, since a creator that failed has removed its object, and the next one makes another.
fn try_open(name: &Name, access: Access) -> Result<Segment, LabError> {
    let fd = open_object(name, access)?;
    let len = usize::try_from(fstat(&fd)?.st_size).expect("a length is never negative");
    // Mapping more than there is succeeds, and then the first touch is SIGBUS.
    if len < HEAP {
        return Err(LabError::NotReady);
    }
    let segment = map(&fd, len, access)?;
    let prefix: &Prefix = segment.at(0)?;
    let now = prefix.state.load(Relaxed);
    // An Acquire load in two halves. In a mapping without PROT_WRITE the language vouches for
    // Relaxed loads only, because some processors build the others from an instruction that writes.
    fence(Acquire); // pairs with (a)
    if now == state::BUILDING {
        return Err(LabError::NotReady);
    }
    Ok(segment)
}
