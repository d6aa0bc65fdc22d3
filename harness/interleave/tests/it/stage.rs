//! Labs made of the small programs in `workers`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use interleave::{Budget, Ending, Lab, Memory, Program, Report, Search, Unsupported, explore};
use nix::libc;

/// A fresh name, removed at the end, and what is put into it before each run.
pub(crate) struct Stage {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(format!("/dev/shm{}", self.name));
    }
}

impl Stage {
    pub(crate) fn new(bytes: &[u8]) -> Stage {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut whole = bytes.to_vec();
        whole.resize(4096, 0);
        Stage { name: format!("/interleave-{}-{count}", std::process::id()), bytes: whole }
    }

    pub(crate) fn prepare(&self, path: &Path) -> io::Result<()> {
        std::fs::write(path, &self.bytes)
    }

    /// One of the programs, with its words.
    pub(crate) fn worker(&self, words: &str) -> Program {
        let program = Program::new(worker()).argument(&self.name);
        words.split(' ').fold(program, |program, word| program.argument(word))
    }
}

pub(crate) fn worker() -> PathBuf {
    std::env::var_os("INTERLEAVE_WORKERS")
        .map_or_else(|| env!("CARGO_BIN_EXE_interleave-workers").into(), PathBuf::from)
}

/// What a scenario is made of.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) layout: &'static str,
    pub(crate) commands: &'static [&'static str],
    pub(crate) bytes: fn() -> Vec<u8>,
    pub(crate) check: fn(&[u8]) -> Result<(), String>,
    pub(crate) fork_server: bool,
}

impl Scenario {
    pub(crate) fn new(layout: &'static str, commands: &'static [&'static str]) -> Scenario {
        Scenario { layout, commands, bytes: Vec::new, check: |_| Ok(()), fork_server: true }
    }

    pub(crate) fn checked(self, check: fn(&[u8]) -> Result<(), String>) -> Scenario {
        Scenario { check, ..self }
    }

    pub(crate) fn begins_with(self, bytes: fn() -> Vec<u8>) -> Scenario {
        Scenario { bytes, ..self }
    }

    pub(crate) fn exec(self) -> Scenario {
        Scenario { fork_server: false, ..self }
    }

    pub(crate) fn explore(
        &self,
        search: Search<'_>,
        memory: Memory,
        schedules: usize,
    ) -> Result<Report, Unsupported> {
        let stage = Stage::new(&(self.bytes)());
        let prepare = |path: &Path| stage.prepare(path);
        let check =
            |ending: &Ending| (self.check)(ending.bytes.as_deref().expect("the name is there"));
        let programs = self.commands.iter().map(|words| stage.worker(words));
        let mut lab = Lab::new(&stage.name, programs, &prepare, &check).layout(self.layout, 0);
        lab.fork_server = self.fork_server;
        explore(&lab, search, memory, Budget { schedules, steps: 5000 })
    }

    pub(crate) fn bounded(&self, preemptions: usize, memory: Memory, schedules: usize) -> Report {
        self.explore(Search::Bounded { preemptions }, memory, schedules).unwrap()
    }
}

pub(crate) fn word(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap())
}

pub(crate) fn expect(what: &str, seen: u64, wanted: u64) -> Result<(), String> {
    if seen == wanted { Ok(()) } else { Err(format!("{what} is {seen}, not {wanted}")) }
}

fn bytes_of<T>(value: &T) -> Vec<u8> {
    // SAFETY: any value may be read as bytes for as long as it is borrowed; nobody else writes it,
    // and the types used here have no padding that matters.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }.to_vec()
}

/// Two semaphores with one permit each.
pub(crate) fn semaphores() -> Vec<u8> {
    // SAFETY: plain bytes, for which zero is a value.
    let mut both: [libc::sem_t; 2] = unsafe { std::mem::zeroed() };
    for one in &mut both {
        // SAFETY: a semaphore of ours alone.
        unsafe { libc::sem_init(one, 1, 1) };
    }
    bytes_of(&both)
}

/// A robust mutex.
pub(crate) fn robust() -> Vec<u8> {
    // SAFETY: plain bytes, for which zero is a value.
    let mut mutex: libc::pthread_mutex_t = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut attributes: libc::pthread_mutexattr_t = unsafe { std::mem::zeroed() };
    // SAFETY: attributes of ours alone.
    unsafe { libc::pthread_mutexattr_init(&mut attributes) };
    // SAFETY: as above, initialised.
    unsafe { libc::pthread_mutexattr_setpshared(&mut attributes, libc::PTHREAD_PROCESS_SHARED) };
    // SAFETY: as above.
    unsafe { libc::pthread_mutexattr_setrobust(&mut attributes, libc::PTHREAD_MUTEX_ROBUST) };
    // SAFETY: a mutex of ours alone.
    unsafe { libc::pthread_mutex_init(&mut mutex, &attributes) };
    bytes_of(&mutex)
}
