//! What lies in the segments.

use std::sync::atomic::{AtomicU32, AtomicU64};

use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::mman::shm_open;
use nix::sys::stat::Mode;

#[repr(C)]
pub(crate) struct Counter {
    pub(crate) magic: u64,
    pub(crate) counter: u64,
}

#[repr(C)]
pub(crate) struct SpinLock {
    pub(crate) lock: AtomicU32,
    pub(crate) pad: u32,
    pub(crate) counter: u64,
}

#[repr(C)]
pub(crate) struct Peterson {
    pub(crate) flag: [AtomicU32; 2],
    pub(crate) turn: AtomicU32,
    pub(crate) pad: u32,
    pub(crate) counter: u64,
}

#[repr(C)]
pub(crate) struct TwoSemaphores {
    pub(crate) a: libc::sem_t,
    pub(crate) b: libc::sem_t,
    pub(crate) counter: u64,
}

#[repr(C)]
pub(crate) struct Ring {
    pub(crate) head: u32,
    pub(crate) tail: u32,
    pub(crate) count: u32,
    pub(crate) capacity: u32,
    pub(crate) slots: [u64; 4],
    pub(crate) got: [u64; 16],
}

#[repr(C)]
pub(crate) struct Publish {
    pub(crate) ready: AtomicU32,
    pub(crate) pad: u32,
    pub(crate) data: [u64; 4],
}

#[repr(C)]
pub(crate) struct Torn {
    pub(crate) record: [u64; 4],
}

#[repr(C)]
pub(crate) struct Wake {
    pub(crate) ready: AtomicU32,
    pub(crate) sleeping: AtomicU32,
    pub(crate) data: u64,
}

#[repr(C)]
pub(crate) struct Robust {
    pub(crate) mutex: libc::pthread_mutex_t,
    pub(crate) counter: AtomicU64,
}

/// Maps the segment and never unmaps it.
pub(crate) fn open<T>(name: &str) -> *mut T {
    let fd = shm_open(name, OFlag::O_RDWR, Mode::empty()).expect("shm_open");
    let map = memmap2::MmapRaw::map_raw(&fd).expect("mmap");
    let start = map.as_mut_ptr().cast();
    std::mem::forget(map);
    start
}
