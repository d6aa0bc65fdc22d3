//! Reads what the kernel says of a process: where it sleeps, what it maps, how much it has computed.
//!
//! A student's program is judged from outside, and `/proc` is the outside view that needs neither
//! its cooperation nor a debugger: `/proc/PID/syscall` names the very word a process sleeps on.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::libc;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// What one thread is doing at the moment it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It is on a processor or ready to be, or it has just been woken.
    Running,
    /// It is in the system call `futex` for the word at this virtual address, as a rule asleep.
    Futex {
        /// Virtual address of the word, in the thread's own address space.
        address: u64,
        /// Whether the wait ends by itself: only an untimed wait needs somebody else to end it.
        timed: bool,
        /// Whether the wait is a process-private one, which no other process can end.
        private: bool,
        /// Whether it wakes others, and does not wait itself.
        wakes: bool,
    },
    /// It waits for bytes on this descriptor.
    Reading {
        /// The descriptor's number.
        descriptor: u64,
    },
    /// It writes, as a rule waiting for room: what it writes to are our pipes.
    Writing,
    /// It is blocked in another system call, by number: as a rule it naps.
    Other(i64),
    /// It has ended, or it could not be looked at.
    Gone,
}

/// One thread, looked at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// What it is doing.
    pub doing: Doing,
    /// Whether it sleeps, and neither computes nor waits for a disk.
    pub asleep: bool,
    /// How often it has gone to sleep of its own accord since it started.
    pub sleeps: u64,
    /// How often it has left a processor and wanted to go on, as with a yield.
    pub pushed_aside: u64,
}

impl Task {
    /// Whether it sleeps, and will wake by itself as far as anybody can see.
    pub fn naps(&self) -> bool {
        self.asleep && !self.doing.lasts_for_ever() && self.doing != Doing::Writing
    }
}

impl Doing {
    /// Whether only somebody else ends it, by waking or by writing.
    pub fn lasts_for_ever(&self) -> bool {
        matches!(self, Doing::Futex { timed: false, .. } | Doing::Reading { descriptor: 0 })
    }
}

/// One line of `/proc/PID/maps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First virtual address.
    pub start: u64,
    /// First virtual address behind it.
    pub end: u64,
    /// Permissions as the kernel prints them: `rw-s` is readable, writable and shared.
    pub permissions: String,
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// The file, or a name like `[heap]`, or nothing.
    pub path: String,
}

/// Looks at every thread of the process once.
pub fn tasks(pid: Pid) -> Vec<Task> {
    threads(pid)
        .map(|path| {
            let syscall = text(path.join("syscall")).unwrap_or_default();
            let status = text(path.join("status")).unwrap_or_default();
            // Who has been woken but waits for its processor to take note still shows the call it
            // slept in, while its state says already that it runs.
            let state = status.lines().find_map(|line| line.strip_prefix("State:\t"));
            let is = |letter| state.is_some_and(|state| state.starts_with(letter));
            let doing = if is('R') { Doing::Running } else { parse_syscall(&syscall) };
            Task {
                doing,
                asleep: is('S'),
                sleeps: count(&status, "voluntary_ctxt_switches:"),
                pushed_aside: count(&status, "nonvoluntary_ctxt_switches:"),
            }
        })
        .collect()
}

/// How often all these threads together have gone to sleep of their own accord.
pub fn sleeps(tasks: &[Task]) -> u64 {
    tasks.iter().map(|task| task.sleeps).sum()
}

/// Everything the process maps, in the order of its addresses; empty once it has ended.
pub fn mappings(pid: Pid) -> Vec<Mapping> {
    let maps = text(format!("/proc/{pid}/maps")).unwrap_or_default();
    maps.lines().filter_map(parse_mapping).collect()
}

/// How many descriptors the process has open.
pub fn descriptors(pid: Pid) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map(Iterator::count).unwrap_or(0)
}

/// Processor time of all threads so far. Exact where the kernel keeps `schedstat`, else in steps
/// of the clock tick (10 ms).
pub fn cpu_time(pid: Pid) -> Duration {
    let used = |path: PathBuf| {
        let exact = schedstat(&path).map(|(used, ..)| used);
        exact.unwrap_or_else(|| ticks(&text(path.join("stat")).unwrap_or_default()))
    };
    threads(pid).map(used).sum()
}

/// What a thread got of the processors.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// The thread.
    pub thread: Pid,
    /// Whether it could go on if the machine let it.
    pub state: State,
    /// How long it has run.
    pub used: Duration,
    /// How long it has been ready to run and had no processor: the machine's fault, not the
    /// program's. What it waits at the moment is added when it runs again.
    pub starved: Duration,
    /// How often it got one.
    pub turns: u64,
}

/// Whether a thread could go on if the machine let it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs, or is ready to.
    Ready,
    /// It waits inside the kernel, where no signal reaches it: for a disk, or for a lock that another
    /// holds, who may himself be waiting for a processor.
    HeldUp,
    /// It sleeps, is stopped, or has ended.
    Asleep,
}

/// What each thread of the process got; nothing where the kernel does not keep it.
pub fn turns(pid: Pid) -> Vec<Turn> {
    let turn = |path: PathBuf| {
        let thread = path.file_name()?.to_str()?.parse().ok()?;
        // The state first: what a thread has waited that sleeps by now is in the numbers.
        let state = text(path.join("stat")).ok()?;
        let (used, starved, turns) = schedstat(path)?;
        Some(Turn {
            thread: Pid::from_raw(thread),
            state: match after_name(&state).next() {
                Some("R") => State::Ready,
                Some("D") => State::HeldUp,
                _ => State::Asleep,
            },
            used,
            starved,
            turns,
        })
    };
    threads(pid).filter_map(turn).collect()
}

/// How long the process's main thread has been ready to run but had no processor: the machine's
/// fault, not the program's. Zero where the kernel does not keep it.
pub fn starved(pid: Pid) -> Duration {
    schedstat(format!("/proc/{pid}")).map_or(Duration::ZERO, |(_, starved, _)| starved)
}

/// How long a thread has run, how long it was ready to and had no processor, and how often it got one.
fn schedstat(path: impl AsRef<Path>) -> Option<(Duration, Duration, u64)> {
    let numbers = text(path.as_ref().join("schedstat")).ok()?;
    let mut numbers = numbers.split_whitespace().map_while(|number| number.parse().ok());
    let used = Duration::from_nanos(numbers.next()?);
    let starved = Duration::from_nanos(numbers.next()?);
    Some((used, starved, numbers.next()?))
}

/// Processes that have a variable in their environment which begins with `marker`: what a student's
/// program started and left behind, even in a group of its own.
pub fn with_environment(marker: &str) -> Vec<Pid> {
    let Ok(all) = fs::read_dir("/proc") else { return Vec::new() };
    all.flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|&pid| {
            fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
                environ.split(|&byte| byte == 0).any(|v| v.starts_with(marker.as_bytes()))
            })
        })
        .map(Pid::from_raw)
        .collect()
}

/// The processes whose parent this is, ended ones that nobody has waited for included.
pub fn children(parent: Pid) -> Vec<Pid> {
    let Ok(all) = fs::read_dir("/proc") else { return Vec::new() };
    all.flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let stat = text(format!("/proc/{pid}/stat")).unwrap_or_default();
            after_name(&stat).nth(1).and_then(|text| text.parse().ok()) == Some(parent.as_raw())
        })
        .map(Pid::from_raw)
        .collect()
}

/// Whether the process has ended, and only waits to be waited for.
pub fn ended(pid: Pid) -> bool {
    let stat = text(format!("/proc/{pid}/stat")).unwrap_or_default();
    matches!(after_name(&stat).next(), None | Some("Z" | "X"))
}

/// Whether every thread of the process is stopped, as by SIGSTOP or by a debugger: then it has
/// stored what it has stored. The threads stop one after another, the first one not last.
pub fn stopped(pid: Pid) -> bool {
    // A thread that has ended stores nothing either.
    let states: Vec<String> = threads(pid)
        .filter_map(|path| text(path.join("stat")).ok())
        .filter_map(|stat| after_name(&stat).next().map(str::to_owned))
        .filter(|state| !matches!(state.as_str(), "Z" | "X"))
        .collect();
    !states.is_empty() && states.iter().all(|state| matches!(state.as_str(), "T" | "t"))
}

/// Whether every thread of the process holds this signal off for now.
pub fn hold_off(pid: Pid, signal: Signal) -> bool {
    let mut threads = threads(pid).peekable();
    // One that has ended holds nothing off.
    threads.peek().is_some()
        && threads.all(|path| {
            let status = text(path.join("status")).unwrap_or_default();
            let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
            let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            mask.is_some_and(|mask| mask & 1 << (signal as i32 - 1) != 0)
        })
}

/// When the process was started, in ticks since boot: with the pid it names a process for good.
pub fn start_time(pid: Pid) -> Option<u64> {
    let stat = text(format!("/proc/{pid}/stat")).ok()?;
    after_name(&stat).nth(19)?.parse().ok()
}

fn parse_syscall(line: &str) -> Doing {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let hex = |index: usize| {
        fields
            .get(index)
            .and_then(|field| u64::from_str_radix(field.trim_start_matches("0x"), 16).ok())
            .unwrap_or(0)
    };
    match fields.first() {
        None => Doing::Gone,
        Some(&"running") => Doing::Running,
        Some(number) => match number.parse::<i64>() {
            Ok(libc::SYS_futex) => Doing::Futex {
                address: hex(1),
                timed: hex(4) != 0,
                private: hex(2) & libc::FUTEX_PRIVATE_FLAG as u64 != 0,
                wakes: hex(2) & 0x7f == libc::FUTEX_WAKE as u64,
            },
            Ok(libc::SYS_read) => Doing::Reading { descriptor: hex(1) },
            Ok(libc::SYS_write | libc::SYS_writev) => Doing::Writing,
            Ok(other) => Doing::Other(other),
            Err(_) => Doing::Gone,
        },
    }
}

fn parse_mapping(line: &str) -> Option<Mapping> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?.to_owned();
    let offset = u64::from_str_radix(fields.next()?, 16).ok()?;
    let path = fields.skip(2).collect::<Vec<_>>().join(" ");
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        permissions,
        offset,
        path,
    })
}

fn count(status: &str, name: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

fn ticks(stat: &str) -> Duration {
    // User and system time are fields 14 and 15 of the line, the 12th and 13th after the name.
    let ticks: u64 = after_name(stat).skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// The folder of every thread of the process; none once it has ended.
fn threads(pid: Pid) -> impl Iterator<Item = PathBuf> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    threads.into_iter().flatten().flatten().map(|thread| thread.path())
}

/// What a file of `/proc` says. Read into room enough for nearly all of them: the kernel writes its
/// text anew for every piece that is asked for.
fn text(path: impl AsRef<Path>) -> io::Result<String> {
    let mut text = String::with_capacity(4096);
    File::open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// The fields behind the program's name, which may itself hold spaces and brackets.
fn after_name(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit(')').next().unwrap_or("").split_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_futex_wait_tells_its_word_its_timeout_and_its_scope() {
        let line = "202 0x7f11a7a020c0 0x189 0x0 0x0 0x0 0xffffffff 0x7ffd 0x7f11\n";
        let doing =
            Doing::Futex { address: 0x7f11_a7a0_20c0, timed: false, private: true, wakes: false };
        assert_eq!(parse_syscall(line), doing);
    }

    #[test]
    fn a_mapping_keeps_a_path_with_spaces_together() {
        let line = "7f00-8f00 rw-s 00001000 00:1b 42 /dev/shm/a b (deleted)";
        let mapping = parse_mapping(line).unwrap();
        assert_eq!((mapping.start, mapping.end, mapping.offset), (0x7f00, 0x8f00, 0x1000));
        assert_eq!(mapping.permissions, "rw-s");
        assert_eq!(mapping.path, "/dev/shm/a b (deleted)");
    }

    #[test]
    fn this_process_has_a_start_time_and_used_some_processor_time() {
        let me = Pid::this();
        assert!(start_time(me).unwrap() > 0);
        assert!(!tasks(me).is_empty() && !mappings(me).is_empty());
        assert!(cpu_time(me) > Duration::ZERO);
    }
}
