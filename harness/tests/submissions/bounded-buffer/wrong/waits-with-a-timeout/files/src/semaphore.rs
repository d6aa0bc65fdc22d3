//! A counting semaphore that lives in the segment. Its value is a number of permits: `wait` takes
//! one and sleeps while there is none, `post` gives one and wakes a sleeper, in whatever process
//! that sleeper is.

use std::cell::UnsafeCell;
use std::mem::{align_of, size_of};

use labkit::{LabError, Shared};
use nix::errno::Errno;
use nix::libc;

/// A `sem_t` in a cell of 64 bytes.
///
/// It is used where it lies. A copy of a semaphore is another semaphore, with sleepers that nobody
/// will ever wake, so it is neither `Clone` nor `Copy` and is only ever lent out.
#[repr(C, align(64))]
pub struct Semaphore(UnsafeCell<libc::sem_t>);

const _: () = assert!(size_of::<libc::sem_t>() == 32);
const _: () = assert!(size_of::<Semaphore>() == 64 && align_of::<Semaphore>() == 64);

// SAFETY: repr(C), no `Drop`, no pointers: glibc keeps a value, a number of waiters and a flag in
// it and touches them with atomic instructions. Only ever reached through the functions below.
unsafe impl Shared for Semaphore {}

// SAFETY: sem_wait and sem_post may be called by any number of threads at once.
unsafe impl Sync for Semaphore {}

impl Semaphore {
    /// Makes this a semaphore with `value` permits that every process which maps it can use.
    ///
    /// # Safety
    ///
    /// Once, by the creator, before the segment is READY: nobody else may use it at this time or
    /// have used it before.
    pub unsafe fn init(&self, value: u32) -> Result<(), LabError> {
        // The 1 says: for other processes too. With 0 the wait would look for its waker in this
        // process only.
        // SAFETY: `&self` is 64 mapped and aligned bytes, 32 of them used, that live as long as this
        // call; by this function's contract nobody else touches them yet.
        Errno::result(unsafe { libc::sem_init(self.0.get(), 1, value) })?;
        Ok(())
    }

    /// Takes a permit, and sleeps until there is one. A signal does not end the wait.
    pub fn wait(&self) -> Result<(), LabError> {
        loop {
            let in_an_hour = libc::timespec {
                // SAFETY: without a place to store it, the time is only returned.
                tv_sec: unsafe { libc::time(std::ptr::null_mut()) } + 3600,
                tv_nsec: 0,
            };
            // SAFETY: `&self` is 64 mapped and aligned bytes that live as long as this call; the
            // creator initialised them before READY; others post and wait at the same time, which is
            // what they are for.
            match Errno::result(unsafe { libc::sem_timedwait(self.0.get(), &raw const in_an_hour) })
            {
                Ok(_) => return Ok(()),
                // A signal handler ran, or it took long. No permit was taken.
                Err(Errno::EINTR | Errno::ETIMEDOUT) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Gives a permit, and wakes one sleeper if there is any.
    pub fn post(&self) -> Result<(), LabError> {
        // SAFETY: as in `wait`.
        Errno::result(unsafe { libc::sem_post(self.0.get()) })?;
        Ok(())
    }

    /// How many permits there are at this moment. When you read the answer it may be old: it is of
    /// use in a repair and in a message, never to decide whether to wait.
    pub fn value(&self) -> Result<u32, LabError> {
        let mut value = 0;
        // SAFETY: `&self` is 64 mapped and aligned bytes that live as long as this call, and the
        // number lies on our stack; others may post and wait meanwhile.
        Errno::result(unsafe { libc::sem_getvalue(self.0.get(), &mut value) })?;
        // Linux never reports sleepers as a negative value.
        Ok(value.max(0) as u32)
    }
}
