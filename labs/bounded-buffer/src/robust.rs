//! A mutex that survives its owner. A semaphore does not know who took it, so it stays taken when
//! that process is killed; a robust mutex is on a list that the kernel walks at every process's
//! end, and the next one to lock it is told.

use std::cell::UnsafeCell;
use std::mem::{MaybeUninit, align_of, size_of};

use labkit::{LabError, Shared};
use nix::errno::Errno;
use nix::libc;

/// What [`RobustMutex::lock`] found. In both cases the caller holds the mutex now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    /// The last holder gave the mutex back, so what it guards is whole.
    Clean,
    /// The last holder died inside. What it guards may be half-changed: repair it, then call
    /// [`RobustMutex::make_consistent`].
    OwnerDied,
}

/// A `pthread_mutex_t` with the attributes `PROCESS_SHARED` and `ROBUST`, in a cell of 64 bytes.
///
/// It is used where it lies: never moved, never copied, initialised once by the creator.
#[repr(C, align(64))]
pub struct RobustMutex(UnsafeCell<libc::pthread_mutex_t>);

const _: () = assert!(size_of::<libc::pthread_mutex_t>() == 40);
const _: () = assert!(size_of::<RobustMutex>() == 64 && align_of::<RobustMutex>() == 64);

// SAFETY: repr(C), no `Drop`, and only ever reached through the pthread functions below. While it
// is held it contains two addresses of the holder's own list of robust mutexes; only the holder
// follows them, in its own address space, and clears them before it lets go. A peer that writes
// rubbish there breaks this promise: the lab trusts its peers to follow the layout.
unsafe impl Shared for RobustMutex {}

// SAFETY: excluding threads, and with PROCESS_SHARED other processes, is what a mutex is for.
unsafe impl Sync for RobustMutex {}

impl RobustMutex {
    /// Makes this an unlocked mutex.
    ///
    /// # Safety
    ///
    /// Once, by the creator, before the segment is READY: nobody else may use it at this time or
    /// have used it before.
    pub unsafe fn init(&self) -> Result<(), LabError> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the attributes live on our stack until the end of this function.
        check(unsafe { libc::pthread_mutexattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: initialised in the line above, ours alone.
        let attributes = unsafe { attributes.assume_init_mut() };
        // SAFETY: as above.
        check(unsafe {
            libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED)
        })?;
        // SAFETY: as above.
        check(unsafe {
            libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST)
        })?;
        // SAFETY: 40 writable bytes, aligned to 64, and by this function's contract nobody else
        // looks at them yet.
        check(unsafe { libc::pthread_mutex_init(self.0.get(), attributes) })?;
        // SAFETY: initialised above, used for the last time here.
        check(unsafe { libc::pthread_mutexattr_destroy(attributes) })
    }

    /// Waits until the mutex is ours. A signal does not end the wait.
    pub fn lock(&self) -> Result<Locked, LabError> {
        // SAFETY: `&self` is 64 mapped and aligned bytes that live as long as this call; the
        // creator initialised them before the segment was READY.
        match unsafe { libc::pthread_mutex_lock(self.0.get()) } {
            0 => Ok(Locked::Clean),
            libc::EOWNERDEAD => Ok(Locked::OwnerDied),
            errno => Err(Errno::from_raw(errno).into()),
        }
    }

    /// Says that what the mutex guards is whole again. Whoever was told [`Locked::OwnerDied`] calls
    /// it before `unlock`; without it the mutex can never be locked again by anybody.
    pub fn make_consistent(&self) -> Result<(), LabError> {
        // SAFETY: as in `lock`; a caller that does not hold it gets an error.
        check(unsafe { libc::pthread_mutex_consistent(self.0.get()) })
    }

    /// Gives the mutex back. A caller that does not hold it gets an error and changes nothing.
    pub fn unlock(&self) -> Result<(), LabError> {
        // SAFETY: as in `lock`; a robust mutex checks its owner.
        check(unsafe { libc::pthread_mutex_unlock(self.0.get()) })
    }
}

/// The pthread functions return the error instead of setting `errno`.
fn check(returned: libc::c_int) -> Result<(), LabError> {
    if returned == 0 { Ok(()) } else { Err(Errno::from_raw(returned).into()) }
}
