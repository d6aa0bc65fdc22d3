//! A shared-memory object and a mapping of it. They are two things, and a `Segment` is only the
//! second: the object has a name and outlives every process, the mapping ends with the `Segment`.

#![expect(
    unused_variables,
    unused_imports,
    dead_code,
    reason = "remove these lines when no `todo!` is left"
)]

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
        // Step hand-over: from here on the name exists. What if one of the next lines fails?
        shape_object(&fd, len)?;
        let segment = map(&fd, len, Access::ReadWrite)?;
        segment.write_prefix()?;
        Ok(segment)
    }

    /// Opens a table that another process made, or is still making.
    ///
    /// Waits until [`patience`] is over while there is no such name, while the object is shorter
    /// than [`HEAP`], and while its state is BUILDING; then fails with `Missing` or `NotReady`.
    /// After that it checks the prefix. It never creates, resizes or initialises anything.
    pub fn open(name: &Name, access: Access) -> Result<Segment, LabError> {
        todo!("step waiting: look until the object is READY or the patience is over, then validate")
    }

    /// Stores READY: from now on other processes may use what is in the segment.
    pub fn publish(&self) -> Result<(), LabError> {
        todo!("step hand-over: store READY so that everything stored before is seen first")
    }

    /// The `T` at `offset` bytes from the start of the segment.
    ///
    /// Refuses with `OutOfRange` what does not lie wholly inside the mapping, and an offset that is
    /// no multiple of `T`'s alignment. A store through it into a read-only mapping is SIGSEGV.
    pub fn at<T: Shared>(&self, offset: usize) -> Result<&T, LabError> {
        let start = self.address(offset, size_of::<T>())?.cast::<T>();
        todo!("step mapping: check the alignment, then make a reference and say why it is sound")
    }

    /// The `len` bytes from `offset`, each an atomic, since another process may be writing them.
    ///
    /// Refuses with `OutOfRange` what does not lie wholly inside the mapping.
    pub fn bytes(&self, offset: usize, len: usize) -> Result<&[AtomicU8], LabError> {
        let start = self.address(offset, len)?.cast::<AtomicU8>();
        todo!("step strings: make a slice of `len` atomics and say why it is sound")
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
        todo!("step life: remove the name")
    }

    /// The address of `len` bytes at `offset`, if they all lie inside the mapping.
    fn address(&self, offset: usize, len: usize) -> Result<*const u8, LabError> {
        todo!("step mapping: compare the end with the length of the mapping, then add the offset")
    }

    /// Fills in the prefix of a new segment, except for the state.
    fn write_prefix(&self) -> Result<(), LabError> {
        todo!("step mapping: store magic, version, total_len and creator")
    }

    /// Whether the prefix is that of a table. Only asked when the state is no longer BUILDING:
    /// until then a prefix of zeros is early, not wrong.
    fn validate(&self) -> Result<(), LabError> {
        todo!("step validation: magic, version, state, total_len")
    }
}

/// The mapping ends here; the object and its name stay.
impl Drop for Segment {
    fn drop(&mut self) {
        // A panic while another panic unwinds would abort the program and hide the first message.
        if !thread::panicking() {
            todo!("step life: unmap what was mapped");
        }
    }
}

/// Makes a new object of length 0 under a name that nobody has.
fn make_object(name: &Name) -> Result<OwnedFd, LabError> {
    todo!("step object: make the object; step exclusive: and refuse a name that exists")
}

/// Gives a new object its mode and its length. All its bytes are zero then.
fn shape_object(fd: &OwnedFd, len: usize) -> Result<(), LabError> {
    todo!("step object: give the object mode 0600 whatever the umask, and its length")
}

/// Opens an object that exists, with no more rights than `access` needs.
fn open_object(name: &Name, access: Access) -> Result<OwnedFd, LabError> {
    todo!("step read-only: open for reading, or for both, and make nothing")
}

/// Maps the first `len` bytes of an object, shared with every other process that maps it.
fn map(fd: &OwnedFd, len: usize, access: Access) -> Result<Segment, LabError> {
    todo!("step mapping: map `len` bytes of the object, shared, with the rights of `access`")
}

/// One look at the name. `Missing` and `NotReady` may pass with time. Every look begins at the
/// name, since a creator that failed has removed its object, and the next one makes another.
fn try_open(name: &Name, access: Access) -> Result<Segment, LabError> {
    todo!("step waiting: open, then length, then mapping, then state; each may be not there yet")
}
