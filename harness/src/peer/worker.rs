//! The peer's own process: reads one command a line, does it on the mapped object, answers a line.
//!
//! Everything a student's program could do to it ends this process alone.

use std::io::{BufRead, Write};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap, shm_open};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, fchmod, fstat};
use nix::unistd::{Pid, ftruncate};

use super::{from_hex, to_hex};
use crate::cleanup;

/// The smallest page there is: a mapping has at least the rest of such a one.
const PAGE: usize = 4096;

/// Milliseconds of one wait for a permit. A long patience is many of these, so that a machine that
/// stands still uses up one of them and not all.
const TURN: u64 = 1000;

/// Answers commands until the input ends. Never returns an error: each goes back as an answer.
pub fn main() {
    // SAFETY: PR_SET_PDEATHSIG takes one integer and touches no memory.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
    cleanup::close_ourselves();
    let mut memory = None;
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let answer = match obey(&line, &mut memory) {
            Ok(answer) => format!("ok {answer}"),
            Err(why) => format!("no {why}"),
        };
        if writeln!(stdout, "{answer}").and_then(|()| stdout.flush()).is_err() {
            return;
        }
    }
}

/// The object, mapped for reading and writing. Unmapped when dropped.
struct Memory {
    fd: OwnedFd,
    base: NonNull<libc::c_void>,
    len: usize,
}

impl Memory {
    fn map(fd: OwnedFd) -> Result<Memory, String> {
        let len = fstat(&fd).map_err(told)?.st_size as usize;
        let base = match NonZeroUsize::new(len) {
            None => NonNull::dangling(),
            Some(length) => {
                let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
                // SAFETY: a new mapping at an address the kernel chooses: nothing of ours is there.
                unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, &fd, 0) }.map_err(told)?
            }
        };
        Ok(Memory { fd, base, len })
    }

    fn remap(&mut self) -> Result<(), String> {
        *self = Memory::map(self.fd.try_clone().map_err(|error| error.to_string())?)?;
        Ok(())
    }

    /// A pointer to a `T` at `offset`: inside the mapping, inside the object, aligned.
    fn at<T>(&self, offset: usize) -> Result<*mut T, String> {
        let object = fstat(&self.fd).map_err(told)?.st_size as usize;
        let end = offset.checked_add(size_of::<T>()).ok_or("the offset overflows")?;
        if end > self.len.min(object) || !offset.is_multiple_of(align_of::<T>()) {
            let mapped = self.len;
            return Err(format!(
                "the object has {object} bytes ({mapped} of them mapped), byte {end} is needed"
            ));
        }
        Ok(self.base.as_ptr().cast::<u8>().wrapping_add(offset).cast())
    }

    fn u64(&self, offset: usize) -> Result<&AtomicU64, String> {
        let word = self.at(offset)?;
        // SAFETY: `at` checked bounds and alignment; an atomic may be stored by anybody at any
        // time; the reference lives no longer than `self`, which owns the mapping.
        Ok(unsafe { AtomicU64::from_ptr(word) })
    }

    fn u32(&self, offset: usize) -> Result<&AtomicU32, String> {
        let word = self.at(offset)?;
        // SAFETY: as in `u64`.
        Ok(unsafe { AtomicU32::from_ptr(word) })
    }

    fn bytes(&self, offset: usize, count: usize) -> Result<&[AtomicU8], String> {
        if count == 0 {
            return Ok(&[]);
        }
        let first: *mut AtomicU8 = self.at(offset)?;
        self.at::<u8>(offset.checked_add(count - 1).ok_or("the offset overflows")?)?;
        // SAFETY: `at` checked the first byte and the last, and a mapping has no holes; atomics of
        // one byte are always aligned and may be stored by anybody at any time; the slice lives no
        // longer than `self`, which owns the mapping.
        Ok(unsafe { std::slice::from_raw_parts(first, count) })
    }

    /// The bytes behind the end of the object, as far as its last page is mapped: nobody's, and
    /// who writes past the end of the object writes here.
    fn rest(&self) -> &[AtomicU8] {
        let count = self.len.next_multiple_of(PAGE) - self.len;
        let first = self.base.as_ptr().cast::<AtomicU8>().wrapping_add(self.len);
        // SAFETY: a mapping reaches to the end of its last page, which has memory as long as the
        // object is not shortened; the rest is as in `bytes`.
        unsafe { std::slice::from_raw_parts(first, count) }
    }

    fn semaphore(&self, offset: usize) -> Result<*mut libc::sem_t, String> {
        self.at(offset)
    }

    fn mutex(&self, offset: usize) -> Result<*mut libc::pthread_mutex_t, String> {
        self.at(offset)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: exactly the range `map` mapped, and every reference into it borrowed `self`.
            let _ = unsafe { munmap(self.base, self.len) };
        }
    }
}

fn obey(line: &str, slot: &mut Option<Memory>) -> Result<String, String> {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |index: usize| -> Result<u64, String> {
        let word = words.get(index).ok_or("an argument is missing")?;
        word.parse().map_err(|_| format!("`{word}` is no number"))
    };
    let offset = || Ok::<_, String>(number(1)? as usize);
    match words[0] {
        "make" => {
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR;
            let fd = shm_open(words[1], flags, Mode::S_IRUSR | Mode::S_IWUSR).map_err(told)?;
            ftruncate(&fd, number(2)? as i64).map_err(told)?;
            fchmod(&fd, Mode::from_bits_truncate(number(3)? as u32)).map_err(told)?;
            *slot = Some(Memory::map(fd)?);
            return Ok(String::new());
        }
        "open" => {
            let fd = shm_open(words[1], OFlag::O_RDWR, Mode::empty()).map_err(told)?;
            *slot = Some(Memory::map(fd)?);
            return Ok(String::new());
        }
        _ => {}
    }
    let memory = slot.as_mut().ok_or("no object is open")?;
    let mut answer = String::new();
    match words[0] {
        "resize" => {
            ftruncate(&memory.fd, number(1)? as i64).map_err(told)?;
            memory.remap()?;
        }
        "remap" => {
            memory.remap()?;
            answer = memory.len.to_string();
        }
        "get32" => answer = memory.u32(offset()?)?.load(SeqCst).to_string(),
        "get64" => answer = memory.u64(offset()?)?.load(SeqCst).to_string(),
        "put32" => memory.u32(offset()?)?.store(number(2)? as u32, SeqCst),
        "put64" => memory.u64(offset()?)?.store(number(2)?, SeqCst),
        "write" => {
            let bytes = from_hex(words.get(2).unwrap_or(&"")).ok_or("no hex digits")?;
            for (cell, byte) in memory.bytes(offset()?, bytes.len())?.iter().zip(bytes) {
                cell.store(byte, SeqCst);
            }
        }
        "fill" => {
            let (count, byte) = (number(2)? as usize, number(3)? as u8);
            memory.bytes(offset()?, count)?.iter().for_each(|cell| cell.store(byte, SeqCst));
        }
        "fill-rest" => {
            let byte = number(1)? as u8;
            memory.rest().iter().for_each(|cell| cell.store(byte, SeqCst));
        }
        "rest" => answer = to_hex(&load(memory.rest())),
        "read" => answer = to_hex(&load(memory.bytes(offset()?, number(2)? as usize)?)),
        "sem-init" => {
            let semaphore = memory.semaphore(offset()?)?;
            let (value, shared) = (number(2)? as u32, number(3)? as i32);
            // SAFETY: bounds and alignment are checked; this peer is the creator and nobody uses
            // the semaphore yet.
            check(unsafe { libc::sem_init(semaphore, shared, value) })?;
        }
        "sem-value" => {
            let semaphore = memory.semaphore(offset()?)?;
            let mut value = 0;
            // SAFETY: bounds and alignment are checked; glibc only loads the value.
            check(unsafe { libc::sem_getvalue(semaphore, &raw mut value) })?;
            answer = value.to_string();
        }
        "sem-try" => {
            let semaphore = memory.semaphore(offset()?)?;
            // SAFETY: bounds and alignment are checked; a semaphore is meant for use by many.
            let taken = unsafe { libc::sem_trywait(semaphore) } == 0;
            answer = u8::from(taken).to_string();
        }
        "sem-wait" => {
            let semaphore = memory.semaphore(offset()?)?;
            let mut left = number(2)?;
            loop {
                let deadline = clock_after(TURN);
                // SAFETY: as in `sem-try`; the deadline lives on our stack during the call.
                match check(unsafe { libc::sem_timedwait(semaphore, &raw const deadline) }) {
                    Ok(()) => break,
                    Err(_) if Errno::last() == Errno::EINTR => {}
                    Err(_) if left > TURN => left -= TURN,
                    Err(_) => return Err(format!("no permit came in {} ms", number(2)?)),
                }
            }
        }
        "sem-wait-and-stop" => {
            let semaphore = memory.semaphore(offset()?)?;
            let poster = Pid::from_raw(number(2)? as i32);
            // Without an end: who leaves the queue and comes back may take what another was woken for.
            // SAFETY: as in `sem-try`.
            while let Err(why) = check(unsafe { libc::sem_wait(semaphore) }) {
                if Errno::last() != Errno::EINTR {
                    return Err(why);
                }
            }
            kill(poster, Signal::SIGSTOP).map_err(told)?;
        }
        "sem-post" => {
            let semaphore = memory.semaphore(offset()?)?;
            // SAFETY: as in `sem-try`.
            check(unsafe { libc::sem_post(semaphore) })?;
        }
        "mutex-init" => init_robust(memory.mutex(offset()?)?)?,
        "mutex-lock" => {
            let died = lock_robust(memory.mutex(offset()?)?, number(2)?)?;
            answer = u8::from(died).to_string();
        }
        "mutex-unlock" => {
            let mutex = memory.mutex(offset()?)?;
            // SAFETY: bounds and alignment are checked; a robust mutex says EPERM to a stranger.
            positive(unsafe { libc::pthread_mutex_unlock(mutex) })?;
        }
        other => return Err(format!("no command is called `{other}`")),
    }
    Ok(answer)
}

fn load(cells: &[AtomicU8]) -> Vec<u8> {
    cells.iter().map(|cell| cell.load(SeqCst)).collect()
}

fn init_robust(mutex: *mut libc::pthread_mutex_t) -> Result<(), String> {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
    let attr = attributes.as_mut_ptr();
    // SAFETY: `attr` points to storage of the right type on our stack.
    positive(unsafe { libc::pthread_mutexattr_init(attr) })?;
    // SAFETY: initialised the line before.
    positive(unsafe { libc::pthread_mutexattr_setpshared(attr, libc::PTHREAD_PROCESS_SHARED) })?;
    // SAFETY: as above.
    positive(unsafe { libc::pthread_mutexattr_setrobust(attr, libc::PTHREAD_MUTEX_ROBUST) })?;
    // SAFETY: the caller checked bounds and alignment; nobody uses the mutex yet.
    positive(unsafe { libc::pthread_mutex_init(mutex, attr) })
}

/// Locks within so many milliseconds. True: the last owner had died; marked consistent.
fn lock_robust(mutex: *mut libc::pthread_mutex_t, patience: u64) -> Result<bool, String> {
    // Polled, because a student's mutex may be any bytes: a timed lock on garbage can hang.
    // Counted in looks, which a machine that stands still does not use up.
    for _look in 0..patience {
        // SAFETY: the caller checked bounds and alignment; a lock is meant for use by many.
        match unsafe { libc::pthread_mutex_trylock(mutex) } {
            0 => return Ok(false),
            libc::EOWNERDEAD => {
                // SAFETY: we hold the mutex now, as the call said.
                positive(unsafe { libc::pthread_mutex_consistent(mutex) })?;
                return Ok(true);
            }
            libc::EBUSY => std::thread::sleep(Duration::from_millis(1)),
            other => return Err(told(Errno::from_raw(other))),
        }
    }
    Err(format!("the lock was not free in {patience} ms"))
}

fn clock_after(milliseconds: u64) -> libc::timespec {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let then = now + Duration::from_millis(milliseconds);
    libc::timespec { tv_sec: then.as_secs() as i64, tv_nsec: i64::from(then.subsec_nanos()) }
}

fn check(result: i32) -> Result<(), String> {
    Errno::result(result).map(drop).map_err(told)
}

fn positive(error: i32) -> Result<(), String> {
    if error == 0 { Ok(()) } else { Err(told(Errno::from_raw(error))) }
}

fn told(error: Errno) -> String {
    error.desc().to_owned()
}
