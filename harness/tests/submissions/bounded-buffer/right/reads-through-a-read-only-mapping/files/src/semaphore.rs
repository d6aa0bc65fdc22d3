//! A counting semaphore in the segment.

use std::cell::UnsafeCell;
use std::mem::{align_of, size_of};

use labkit::{LabError, Shared};
use nix::errno::Errno;
use nix::libc;

/// A `sem_t` in a cell of 64 bytes.
#[repr(C, align(64))]
pub struct Semaphore(UnsafeCell<libc::sem_t>);

const _: () = assert!(size_of::<libc::sem_t>() == 32);
const _: () = assert!(size_of::<Semaphore>() == 64 && align_of::<Semaphore>() == 64);

// SAFETY: repr(C), no `Drop`, no pointers.
unsafe impl Shared for Semaphore {}

// SAFETY: sem_wait and sem_post may be called by any number of threads at once.
unsafe impl Sync for Semaphore {}

impl Semaphore {
    /// # Safety
    /// Once, by the creator.
    pub unsafe fn init(&self, value: u32) -> Result<(), LabError> {
        // SAFETY: ours alone.
        let rc = unsafe { libc::sem_init(self.0.get(), libc::PTHREAD_PROCESS_SHARED, value) };
        if rc == 0 { Ok(()) } else { Err(LabError::Os(Errno::last())) }
    }

    /// Takes a permit.
    pub fn wait(&self) -> Result<(), LabError> {
        // SAFETY: mapped and initialised.
        while unsafe { libc::sem_wait(self.0.get()) } != 0 {
            let errno = std::io::Error::last_os_error();
            if errno.raw_os_error() != Some(libc::EINTR) {
                return Err(LabError::Io(errno));
            }
        }
        Ok(())
    }

    /// Gives a permit.
    pub fn post(&self) -> Result<(), LabError> {
        // SAFETY: mapped and initialised.
        match unsafe { libc::sem_post(self.0.get()) } {
            0 => Ok(()),
            // SAFETY: always valid.
            _ => Err(Errno::from_raw(unsafe { *libc::__errno_location() }).into()),
        }
    }

    /// How many permits there are at this moment.
    pub fn value(&self) -> Result<u32, LabError> {
        let mut value = 0;
        // SAFETY: mapped and aligned; the number lies on our stack.
        Errno::result(unsafe { libc::sem_getvalue(self.0.get(), &mut value) })?;
        Ok(value.max(0) as u32)
    }
}
