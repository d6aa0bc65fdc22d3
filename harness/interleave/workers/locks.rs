//! Counting under locks that are right, wrong, or not there.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;

use nix::libc;

use crate::layout::{Counter, Peterson, Robust, SpinLock, TwoSemaphores, open};

pub(crate) fn run(name: &str, what: &[&str]) {
    match what {
        ["counter", rounds] => counter(name, number(rounds)),
        ["increment", rounds] => increment(name, number(rounds)),
        ["spinlock", rounds] => spinlock(name, number(rounds)),
        ["test-then-set", rounds] => test_then_set(name, number(rounds)),
        ["peterson", me, how] => peterson(name, number(me) as usize, how),
        ["semaphores", order, rounds] => semaphores(name, order, number(rounds)),
        ["robust", rounds] => robust(name, number(rounds)),
        _ => panic!("{what:?}"),
    }
}

fn number(word: &str) -> u64 {
    word.parse().unwrap()
}

/// A load and a store.
fn bump(counter: *mut u64) {
    // SAFETY: eight aligned bytes of the mapping, which is never unmapped; others write them too,
    // which is what is tried here.
    let seen = unsafe { counter.read_volatile() };
    // SAFETY: as above.
    unsafe { counter.write_volatile(seen + 1) };
}

fn counter(name: &str, rounds: u64) {
    let shared = open::<Counter>(name);
    for _ in 0..rounds {
        // SAFETY: the mapping holds a Counter; only its address is taken.
        bump(unsafe { &raw mut (*shared).counter });
    }
}

#[inline(never)]
fn add_one(counter: &mut u64) {
    *counter += 1;
}

/// One statement of the source, and one instruction: `inc [m]`.
fn increment(name: &str, rounds: u64) {
    let shared = open::<Counter>(name);
    for _ in 0..rounds {
        // SAFETY: eight aligned bytes of the mapping, which is never unmapped; that others write them
        // at the same time is the fault that is tried here.
        add_one(unsafe { &mut (*shared).counter });
    }
}

fn spinlock(name: &str, rounds: u64) {
    // SAFETY: the mapping holds a SpinLock and is never unmapped; the lock is atomic, and the counter
    // is only used through its address.
    let shared = unsafe { &mut *open::<SpinLock>(name) };
    for _ in 0..rounds {
        while shared.lock.compare_exchange_weak(0, 1, Acquire, Relaxed).is_err() {
            std::hint::spin_loop();
        }
        bump(&raw mut shared.counter);
        shared.lock.store(0, Release);
    }
}

fn test_then_set(name: &str, rounds: u64) {
    // SAFETY: as in `spinlock`.
    let shared = unsafe { &mut *open::<SpinLock>(name) };
    for _ in 0..rounds {
        while shared.lock.load(Acquire) != 0 {
            std::hint::spin_loop();
        }
        shared.lock.store(1, Relaxed);
        bump(&raw mut shared.counter);
        shared.lock.store(0, Release);
    }
}

fn peterson(name: &str, me: usize, how: &str) {
    // SAFETY: as in `spinlock`.
    let shared = unsafe { &mut *open::<Peterson>(name) };
    let other = 1 - me;
    let theirs = other as u32;
    match how {
        "seqcst" => {
            shared.flag[me].store(1, SeqCst);
            shared.turn.store(theirs, SeqCst);
            while shared.flag[other].load(SeqCst) == 1 && shared.turn.load(SeqCst) == theirs {
                std::hint::spin_loop();
            }
        }
        "fence" => {
            shared.flag[me].store(1, Relaxed);
            shared.turn.store(theirs, Relaxed);
            fence(SeqCst);
            while shared.flag[other].load(Acquire) == 1 && shared.turn.load(Acquire) == theirs {
                std::hint::spin_loop();
            }
        }
        "acqrel" => {
            shared.flag[me].store(1, Release);
            shared.turn.store(theirs, Release);
            while shared.flag[other].load(Acquire) == 1 && shared.turn.load(Acquire) == theirs {
                std::hint::spin_loop();
            }
        }
        _ => {
            while shared.flag[other].load(SeqCst) == 1 {
                std::hint::spin_loop();
            }
            shared.flag[me].store(1, SeqCst);
        }
    }
    bump(&raw mut shared.counter);
    shared.flag[me].store(0, Release);
}

fn semaphores(name: &str, order: &str, rounds: u64) {
    let shared = open::<TwoSemaphores>(name);
    // SAFETY: the mapping holds both; only addresses are taken.
    let a = unsafe { &raw mut (*shared).a };
    // SAFETY: as above.
    let b = unsafe { &raw mut (*shared).b };
    let (first, second) = if order == "ab" { (a, b) } else { (b, a) };
    for _ in 0..rounds {
        // SAFETY: semaphores that were initialised before the start, in a mapping that stays.
        unsafe { libc::sem_wait(first) };
        // SAFETY: as above.
        unsafe { libc::sem_wait(second) };
        // SAFETY: only the address is taken.
        bump(unsafe { &raw mut (*shared).counter });
        // SAFETY: as above.
        unsafe { libc::sem_post(second) };
        // SAFETY: as above.
        unsafe { libc::sem_post(first) };
    }
}

fn robust(name: &str, rounds: u64) {
    let shared = open::<Robust>(name);
    // SAFETY: the mapping holds a Robust; only addresses are taken.
    let mutex = unsafe { &raw mut (*shared).mutex };
    for _ in 0..rounds {
        // SAFETY: a mutex that was initialised before the start, in a mapping that stays.
        let locked = unsafe { libc::pthread_mutex_lock(mutex) };
        if locked == libc::EOWNERDEAD {
            // SAFETY: as above.
            unsafe { libc::pthread_mutex_consistent(mutex) };
        }
        // SAFETY: the mapping holds a Robust; the counter is atomic.
        let counter = unsafe { &(*shared).counter };
        counter.store(counter.load(Relaxed) + 1, Relaxed);
        // SAFETY: as above.
        unsafe { libc::pthread_mutex_unlock(mutex) };
    }
}
