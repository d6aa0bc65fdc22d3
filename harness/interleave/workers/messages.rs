//! Passing something from one process to another.

use std::io::BufRead;
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use nix::libc;

use crate::layout::{Publish, Ring, Torn, Wake, open};

pub(crate) fn run(name: &str, what: &[&str]) {
    match what {
        ["ring", "producer", count] => produce(name, count.parse().unwrap()),
        ["ring", "consumer", count] => consume(name, count.parse().unwrap()),
        ["publish", "producer", order] => publish(name, order),
        ["publish", "consumer", order] => receive(name, order),
        ["torn", "producer"] => write_record(name),
        ["torn", "consumer"] => read_record(name),
        ["wake", "producer"] => wake(name),
        ["wake", "consumer"] => sleep(name),
        ["sleep-and-hope", "producer"] => {
            // SAFETY: eight aligned bytes of a mapping that stays.
            unsafe { open::<u64>(name).write_volatile(7) };
        }
        ["sleep-and-hope", "consumer"] => {
            let word = open::<u64>(name);
            std::thread::sleep(Duration::from_secs(10));
            // SAFETY: as above.
            assert_eq!(unsafe { word.read_volatile() }, 7);
        }
        ["echo"] => echo(name),
        ["create"] => create(name),
        ["open"] => {
            let word = open::<u64>(name);
            // SAFETY: eight aligned bytes, if the object has got its length already.
            assert_eq!(unsafe { word.read_volatile() }, 1);
        }
        _ => panic!("{what:?}"),
    }
}

/// One volatile load.
macro_rules! load {
    ($shared:ident . $($field:tt)+) => {
        // SAFETY: an aligned field of a mapping that stays; others write it too.
        unsafe { (&raw const (*$shared).$($field)+).read_volatile() }
    };
}

/// One volatile store.
macro_rules! store {
    ($value:expr => $shared:ident . $($field:tt)+) => {
        // SAFETY: an aligned field of a mapping that stays; others write it too.
        unsafe { (&raw mut (*$shared).$($field)+).write_volatile($value) }
    };
}

fn produce(name: &str, count: u64) {
    let ring = open::<Ring>(name);
    for value in 1..=count {
        while load!(ring.count) == load!(ring.capacity) {
            std::hint::spin_loop();
        }
        let tail = load!(ring.tail);
        let slot = (tail % load!(ring.capacity)) as usize;
        store!(value => ring.slots[slot]);
        store!(tail + 1 => ring.tail);
        let seen = load!(ring.count);
        store!(seen + 1 => ring.count);
    }
}

fn consume(name: &str, count: u64) {
    let ring = open::<Ring>(name);
    for at in 0..count as usize {
        while load!(ring.count) == 0 {
            std::hint::spin_loop();
        }
        let head = load!(ring.head);
        let slot = (head % load!(ring.capacity)) as usize;
        let value = load!(ring.slots[slot]);
        store!(head + 1 => ring.head);
        let seen = load!(ring.count);
        store!(seen.wrapping_sub(1) => ring.count);
        store!(value => ring.got[at]);
    }
}

fn publish(name: &str, order: &str) {
    let shared = open::<Publish>(name);
    for at in 0..4 {
        store!(7 => shared.data[at]);
    }
    // SAFETY: the mapping stays; the field is atomic.
    let ready = unsafe { &(*shared).ready };
    if order == "relaxed" { say_relaxed(ready) } else { say_released(ready) }
}

/// Two functions: in one, the compiler would make one instruction of the two stores, and nobody
/// could tell any more which of them it is.
#[inline(never)]
fn say_relaxed(ready: &AtomicU32) {
    ready.store(1, Relaxed);
}

#[inline(never)]
fn say_released(ready: &AtomicU32) {
    ready.store(1, Release);
}

fn receive(name: &str, order: &str) {
    let shared = open::<Publish>(name);
    // SAFETY: the mapping stays; the field is atomic.
    let ready = unsafe { &(*shared).ready };
    if order == "relaxed" {
        while ready.load(Relaxed) == 0 {
            std::hint::spin_loop();
        }
    } else {
        while ready.load(Acquire) == 0 {
            std::hint::spin_loop();
        }
    }
    let mut sum: u64 = 0;
    for at in 0..4 {
        sum += load!(shared.data[at]);
    }
    std::process::exit(if sum == 28 { 0 } else { 3 });
}

fn write_record(name: &str) {
    let shared = open::<Torn>(name);
    for value in 1..=2 {
        let record = std::hint::black_box([value; 4]);
        // SAFETY: 32 aligned bytes of a mapping that stays; that others read them at the same time
        // is the fault that is tried here.
        unsafe { (*shared).record = record };
        std::hint::black_box(shared);
    }
}

fn read_record(name: &str) {
    let shared = open::<Torn>(name);
    for _ in 0..2 {
        std::hint::black_box(shared);
        // SAFETY: as in `write_record`.
        let record = std::hint::black_box(unsafe { (*shared).record });
        if record.iter().any(|&word| word != record[0]) {
            std::process::exit(3);
        }
    }
}

fn futex(word: *const u32, command: i32, value: u32) {
    let forever = ptr::null::<libc::timespec>();
    // SAFETY: an aligned word of a mapping that stays.
    unsafe { libc::syscall(libc::SYS_futex, word, command, value, forever, 0, 0) };
}

fn wake(name: &str) {
    let shared = open::<Wake>(name);
    store!(42 => shared.data);
    // SAFETY: the mapping stays; the fields are atomic.
    let ready = unsafe { &(*shared).ready };
    // SAFETY: as above.
    let sleeping = unsafe { &(*shared).sleeping };
    ready.store(1, Release);
    if sleeping.load(Acquire) == 1 {
        sleeping.store(0, Relaxed);
        futex(sleeping.as_ptr(), libc::FUTEX_WAKE, 1);
    }
}

/// Says that it sleeps after it has looked: the wake-up may come in between.
fn sleep(name: &str) {
    let shared = open::<Wake>(name);
    // SAFETY: as in `wake`.
    let ready = unsafe { &(*shared).ready };
    // SAFETY: as above.
    let sleeping = unsafe { &(*shared).sleeping };
    while ready.load(Acquire) == 0 {
        sleeping.store(1, Release);
        futex(sleeping.as_ptr(), libc::FUTEX_WAIT, 1);
    }
    assert_eq!(load!(shared.data), 42);
}

/// Writes each line of standard input with the count of all lines so far, kept in the segment.
fn echo(name: &str) {
    let word = open::<u64>(name);
    for line in std::io::stdin().lock().lines() {
        // SAFETY: eight aligned bytes of a mapping that stays.
        let count = unsafe { word.read_volatile() } + 1;
        // SAFETY: as above.
        unsafe { word.write_volatile(count) };
        let told = std::env::var("GREETING").unwrap_or_default();
        println!("{told}{count} {}", line.unwrap());
    }
}

/// Gives the object its length only after it has got its name.
fn create(name: &str) {
    use nix::fcntl::OFlag;
    use nix::sys::stat::Mode;
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR;
    let fd = nix::sys::mman::shm_open(name, flags, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    nix::unistd::ftruncate(&fd, 4096).unwrap();
    let word = open::<u64>(name);
    // SAFETY: eight aligned bytes of a mapping that stays.
    unsafe { word.write_volatile(1) };
}
