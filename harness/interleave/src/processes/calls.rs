//! The system calls that stop a process: which of them are requests, which are answered at once, and
//! which we do not explore.

use std::os::unix::ffi::OsStrExt;

use nix::libc::{self, user_regs_struct as Registers};

use super::Stage;
use super::mappings::Mapping;
use super::object::Object;
use super::running::{Pending, Running};
use crate::Unsupported;
use crate::request::{Aspect, Futex, Request, Word};
use crate::tracee::{ARENA, ARENA_LEN, DISTANCE, Stop, always_stops, call_name};

/// What processes are told their ids are: the same in every run.
const FIRST_ID: i64 = 1001;

/// What they are told the time is, at the start: a second in 2020, for clocks of the wall.
const EPOCH: u64 = 1_600_000_000_000_000_000;

/// Nanoseconds that pass by looking at the clock.
const LOOK_AT_CLOCK: u64 = 1000;

impl Running {
    /// A call is about to begin. Returns the next stop, or nothing if the call is a request.
    pub(super) fn call(&mut self, stage: &mut Stage) -> Result<Option<Stop>, Unsupported> {
        let registers = self.tracee.registers()?;
        let arguments = [
            registers.rdi,
            registers.rsi,
            registers.rdx,
            registers.r10,
            registers.r8,
            registers.r9,
        ];
        let number = registers.orig_rax as i64;
        let in_arena = |address: u64| (ARENA..ARENA + ARENA_LEN).contains(&address);
        if let Some(nanoseconds) = self.nap(number, &arguments, stage) {
            return self.ask(Request::Yield { nanoseconds }, &registers, stage);
        }
        match number {
            libc::SYS_mmap => {
                let shared = matches!(
                    registers.r10 as i32 & libc::MAP_TYPE,
                    libc::MAP_SHARED | libc::MAP_SHARED_VALIDATE
                );
                if shared && registers.r8 as i32 >= 0 && self.is_segment(registers.r8, stage) {
                    return self.map(&registers, stage).map(Some);
                }
                self.pass_on().map(Some)
            }
            libc::SYS_munmap if in_arena(arguments[0]) => {
                let end = arguments[0].saturating_add(arguments[1]);
                self.mappings.remove(arguments[0], end);
                self.pass_on().map(Some)
            }
            libc::SYS_mprotect if in_arena(arguments[0]) => {
                self.mappings.protect(arguments[0], arguments[1], arguments[2] as i32);
                self.answer(0).map(Some)
            }
            libc::SYS_munmap | libc::SYS_mprotect => self.pass_on().map(Some),
            libc::SYS_mremap if !in_arena(arguments[0]) => self.pass_on().map(Some),
            libc::SYS_madvise | libc::SYS_msync | libc::SYS_mlock => self.pass_on().map(Some),
            libc::SYS_futex => self.ask_futex(&registers, stage),
            libc::SYS_clock_gettime => {
                stage.clock += LOOK_AT_CLOCK;
                self.write_time(arguments[1], now(arguments[0], stage), 1)?;
                self.answer(0).map(Some)
            }
            libc::SYS_gettimeofday => {
                stage.clock += LOOK_AT_CLOCK;
                self.write_time(arguments[0], EPOCH + stage.clock, 1000)?;
                self.answer(0).map(Some)
            }
            libc::SYS_time => {
                let seconds = (EPOCH + stage.clock) / 1_000_000_000;
                if arguments[0] != 0 {
                    self.tracee.write(arguments[0], &seconds.to_le_bytes())?;
                }
                self.answer(seconds as i64).map(Some)
            }
            libc::SYS_getrandom => {
                let count = arguments[1].min(256);
                let bytes: Vec<u8> = (0..count).map(|at| (at * 37 + 11) as u8).collect();
                self.tracee.write(arguments[0], &bytes)?;
                self.answer(count as i64).map(Some)
            }
            libc::SYS_getpid | libc::SYS_gettid => self.answer(self.id()).map(Some),
            libc::SYS_set_tid_address => {
                // It is made all the same: the kernel clears the word at the end.
                if let Some(stop) = self.tracee.finish_call()? {
                    return Ok(Some(stop));
                }
                let mut after = self.tracee.registers()?;
                after.rax = self.id() as u64;
                self.tracee.set_registers(after)?;
                self.tracee.run(None).map(Some)
            }
            libc::SYS_tgkill | libc::SYS_tkill | libc::SYS_kill => {
                self.send_signal(registers, number)
            }
            libc::SYS_readv | libc::SYS_writev => {
                for at in 0..arguments[2].min(1024) {
                    if in_arena(self.tracee.read_u64(arguments[1] + 16 * at)) {
                        return Err(Unsupported::Call(format!(
                            "{} with a buffer in the segment",
                            call_name(number)
                        )));
                    }
                }
                self.pass_on().map(Some)
            }
            libc::SYS_fstat | libc::SYS_newfstatat | libc::SYS_statx
                if stage.length_matters && self.is_segment(arguments[0], stage) =>
            {
                self.ask_object("fstat", Aspect::Length, false, &registers, stage)
            }
            libc::SYS_ftruncate if self.is_segment(arguments[0], stage) => {
                self.ask_object("ftruncate", Aspect::Length, true, &registers, stage)
            }
            libc::SYS_truncate => {
                if self.is_name(arguments[0], stage) {
                    return self.ask_object("truncate", Aspect::Length, true, &registers, stage);
                }
                self.pass_on().map(Some)
            }
            libc::SYS_fallocate if self.is_segment(arguments[0], stage) => {
                self.ask_object("fallocate", Aspect::Length, true, &registers, stage)
            }
            libc::SYS_open | libc::SYS_openat => {
                let (path, flags) = match number {
                    libc::SYS_open => (arguments[0], arguments[1]),
                    _ => (arguments[1], arguments[2]),
                };
                let creates = flags as i32 & (libc::O_CREAT | libc::O_TRUNC) != 0;
                if (creates || stage.name_matters) && self.is_name(path, stage) {
                    return self.ask_object("open", Aspect::Name, creates, &registers, stage);
                }
                self.pass_on().map(Some)
            }
            libc::SYS_unlink | libc::SYS_unlinkat => {
                let path = arguments[usize::from(number == libc::SYS_unlinkat)];
                if self.is_name(path, stage) {
                    return self.ask_object("unlink", Aspect::Name, true, &registers, stage);
                }
                self.pass_on().map(Some)
            }
            libc::SYS_link
            | libc::SYS_linkat
            | libc::SYS_rename
            | libc::SYS_renameat
            | libc::SYS_renameat2 => {
                let path = match number {
                    libc::SYS_link | libc::SYS_rename => arguments[1],
                    _ => arguments[3],
                };
                // What it did to the object before it had the name, nobody has seen.
                if self.is_name(path, stage) {
                    let call = format!("{} to the segment's name", call_name(number));
                    return Err(Unsupported::Call(call));
                }
                self.pass_on().map(Some)
            }
            libc::SYS_fstat
            | libc::SYS_newfstatat
            | libc::SYS_statx
            | libc::SYS_ftruncate
            | libc::SYS_fallocate => self.pass_on().map(Some),
            libc::SYS_poll if arguments[2] as i32 == 0 => self.pass_on().map(Some),
            libc::SYS_clone | libc::SYS_clone3 => {
                // The flags are the first argument of one and the first field of the other.
                let flags = match number {
                    libc::SYS_clone => arguments[0],
                    _ => self.tracee.read_u64(arguments[0]),
                };
                let threads = flags & libc::CLONE_THREAD as u64 != 0;
                Err(if threads { Unsupported::Threads } else { Unsupported::Forks })
            }
            libc::SYS_fork | libc::SYS_vfork => Err(Unsupported::Forks),
            libc::SYS_read | libc::SYS_write | libc::SYS_pread64 | libc::SYS_pwrite64 => {
                self.ask_buffer(number, &registers, stage)
            }
            _ if always_stops(number) => Err(Unsupported::Call(call_name(number))),
            _ => self.try_call(number).map(Some),
        }
    }

    /// For how many nanoseconds the call sleeps, if it does nothing else.
    fn nap(&self, number: i64, arguments: &[u64; 6], stage: &Stage) -> Option<u64> {
        match number {
            libc::SYS_sched_yield => Some(0),
            libc::SYS_nanosleep => Some(self.timespec(arguments[0])),
            libc::SYS_clock_nanosleep => {
                let nanoseconds = self.timespec(arguments[2]);
                let absolute = arguments[1] as i32 & libc::TIMER_ABSTIME != 0;
                let passed = if absolute { now(arguments[0], stage) } else { 0 };
                Some(nanoseconds.saturating_sub(passed))
            }
            // Asked about no descriptor at all, these are naps.
            libc::SYS_poll if arguments[1] == 0 && arguments[2] as i32 >= 0 => {
                Some(arguments[2] * 1_000_000)
            }
            libc::SYS_ppoll if arguments[1] == 0 && arguments[2] != 0 => {
                Some(self.timespec(arguments[2]))
            }
            libc::SYS_pselect6 if arguments[0] == 0 && arguments[4] != 0 => {
                Some(self.timespec(arguments[4]))
            }
            _ => None,
        }
    }

    /// Lets the call be made, unseen by the others.
    fn pass_on(&mut self) -> Result<Stop, Unsupported> {
        self.tracee.run(None)
    }

    /// Makes a call in one of whose registers there is an address of the segment. Mostly it is a
    /// register that the call does not use. If it does, the kernel finds nothing accessible there.
    fn try_call(&mut self, number: i64) -> Result<Stop, Unsupported> {
        if let Some(stop) = self.tracee.finish_call()? {
            return Ok(stop);
        }
        if self.tracee.registers()?.rax as i64 == -i64::from(libc::EFAULT) {
            return Err(Unsupported::Call(format!("{} on the segment", call_name(number))));
        }
        self.tracee.run(None)
    }

    fn answer(&mut self, value: i64) -> Result<Stop, Unsupported> {
        match self.tracee.answer_call(value)? {
            Some(stop) => Ok(stop),
            None => self.tracee.run(None),
        }
    }

    fn ask(
        &mut self,
        request: Request,
        registers: &Registers,
        stage: &mut Stage,
    ) -> Result<Option<Stop>, Unsupported> {
        self.pending = match request {
            Request::Object { .. } => Pending::Made,
            _ => Pending::Answered,
        };
        self.request = request;
        self.registers = *registers;
        // Behind the call by now: the instruction is two bytes long.
        self.site = self.site_of(registers, registers.rip.wrapping_sub(2), stage);
        Ok(None)
    }

    fn ask_object(
        &mut self,
        name: &'static str,
        aspect: Aspect,
        changes: bool,
        registers: &Registers,
        stage: &mut Stage,
    ) -> Result<Option<Stop>, Unsupported> {
        stage.length_changed |= changes && aspect == Aspect::Length;
        self.ask(Request::Object { name, aspect, changes }, registers, stage)
    }

    fn ask_futex(
        &mut self,
        registers: &Registers,
        stage: &mut Stage,
    ) -> Result<Option<Stop>, Unsupported> {
        const COMMAND: i32 = !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
        let command = registers.rsi as i32 & COMMAND;
        let (value, second) = (registers.rdx as u32, registers.r10 as u32);
        let bits = match command {
            libc::FUTEX_WAIT_BITSET | libc::FUTEX_WAKE_BITSET => registers.r9 as u32,
            _ => u32::MAX,
        };
        let call = match command {
            libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET => {
                Futex::Wait { expected: value, bits, timed: registers.r10 != 0 }
            }
            libc::FUTEX_WAKE | libc::FUTEX_WAKE_BITSET => Futex::Wake { most: value, bits },
            libc::FUTEX_REQUEUE | libc::FUTEX_CMP_REQUEUE => Futex::Requeue {
                wake: value,
                moved: second,
                to: self.word(registers.r8),
                expected: (command == libc::FUTEX_CMP_REQUEUE).then_some(registers.r9 as u32),
            },
            other => return Err(Unsupported::Call(format!("futex with command {other}"))),
        };
        let mut word = self.word(registers.rdi);
        if registers.rsi as i32 & libc::FUTEX_PRIVATE_FLAG != 0
            && let Word::Shared(_) = word
        {
            // Asleep in the segment, but only its own process can wake it.
            let value = stage_word(stage, self.mappings.offset_of(registers.rdi));
            word = Word::Private { process: self.number, address: registers.rdi, value };
        }
        self.ask(Request::Futex { word, call }, registers, stage)
    }

    fn word(&self, address: u64) -> Word {
        if self.mappings.hold(address) {
            return Word::Shared(self.mappings.offset_of(address));
        }
        let mut value = [0; 4];
        self.tracee.read(address, &mut value);
        Word::Private { process: self.number, address, value: u32::from_le_bytes(value) }
    }

    fn ask_buffer(
        &mut self,
        number: i64,
        registers: &Registers,
        stage: &mut Stage,
    ) -> Result<Option<Stop>, Unsupported> {
        let (address, size) = (registers.rsi, registers.rdx);
        let inside = self
            .mappings
            .at(address)
            .is_some_and(|mapping| address + size <= mapping.start + mapping.len);
        if !inside {
            // Not ours, or it reaches beyond: the kernel will say so.
            return self.pass_on().map(Some);
        }
        let writes = matches!(number, libc::SYS_read | libc::SYS_pread64);
        let name = if writes { "read" } else { "write" };
        let offset = self.mappings.offset_of(address);
        let request = Request::Call { name, offset, size: size as usize, writes };
        self.ask(request, registers, stage)?;
        self.pending = Pending::Buffer { argument: 1, address, writes };
        Ok(None)
    }

    pub(super) fn call_with_buffer(
        &mut self,
        argument: usize,
        address: u64,
        writes: bool,
        seen: &[u8],
        stage: &mut Stage,
    ) -> Result<Vec<u8>, Unsupported> {
        assert_eq!(argument, 1, "the buffer of read and write");
        let at = (address - ARENA) as usize;
        self.tracee.fill_shadow(at, seen);
        let mut registers = self.registers;
        registers.rsi = address + DISTANCE;
        self.tracee.set_registers(registers)?;
        if let Some(stop) = self.tracee.finish_call()? {
            self.settle(stop, stage)?;
            return Ok(Vec::new());
        }
        let mut after = self.tracee.registers()?;
        after.rsi = address;
        self.tracee.set_registers(after)?;
        let count = (after.rax as i64).clamp(0, seen.len() as i64) as usize;
        let mut left = vec![0; if writes { count } else { 0 }];
        self.tracee.take_shadow(at, &mut left);
        let stop = self.tracee.run(None)?;
        self.settle(stop, stage)?;
        Ok(left)
    }

    /// Maps the segment into the arena, inaccessible.
    fn map(&mut self, registers: &Registers, stage: &mut Stage) -> Result<Stop, Unsupported> {
        if registers.r10 as i32 & libc::MAP_FIXED != 0 {
            return Err(Unsupported::Call("mmap of the segment at a fixed address".to_owned()));
        }
        let Some((start, len)) = self.mappings.place(registers.rsi) else {
            return Err(Unsupported::Call("mmap of more than 64 MiB of segments".to_owned()));
        };
        let mut placed = *registers;
        placed.rdi = start;
        placed.rdx = libc::PROT_NONE as u64;
        // Nothing else is in the arena. MAP_FIXED_NOREPLACE would say so too, but is a flag that
        // MAP_SHARED_VALIDATE refuses.
        placed.r10 |= libc::MAP_FIXED as u64;
        self.tracee.set_registers(placed)?;
        if let Some(stop) = self.tracee.finish_call()? {
            return Ok(stop);
        }
        let mut after = self.tracee.registers()?;
        let mapped = after.rax == start;
        (after.rdi, after.rdx, after.r10) = (registers.rdi, registers.rdx, registers.r10);
        self.tracee.set_registers(after)?;
        if mapped {
            let (offset, protection) = (registers.r9, registers.rdx as i32);
            self.mappings.add(Mapping { start, len, offset, protection });
            self.object_may_be_new(stage)?;
            self.plant(stage)?;
        }
        self.tracee.run(None)
    }

    /// A call may have changed the object's length; and when the name was absent at the start, the
    /// object may be there by now.
    pub(super) fn object_may_be_new(&mut self, stage: &mut Stage) -> Result<(), Unsupported> {
        stage.object.look();
        if stage.name_matters && !stage.object.is_still(&stage.path) {
            let object = Object::open(&stage.path)?;
            if !object.is_absent() {
                stage.object = object;
            }
        }
        Ok(())
    }

    fn send_signal(
        &mut self,
        mut registers: Registers,
        number: i64,
    ) -> Result<Option<Stop>, Unsupported> {
        let real = self.tracee.pid().as_raw() as u64;
        if registers.rdi as i64 != self.id() {
            return Err(Unsupported::Call(format!("{} to another process", call_name(number))));
        }
        registers.rdi = real;
        if number == libc::SYS_tgkill {
            registers.rsi = real;
        }
        self.tracee.set_registers(registers)?;
        self.pass_on().map(Some)
    }

    pub(super) fn id(&self) -> i64 {
        FIRST_ID + self.number as i64
    }

    /// Whether a descriptor is of the segment.
    fn is_segment(&self, descriptor: u64, stage: &Stage) -> bool {
        let link = format!("/proc/{}/fd/{}", self.tracee.pid(), descriptor as i32);
        let Ok(target) = std::fs::read_link(link) else { return false };
        let target = target.as_os_str().as_bytes();
        let target = target.strip_suffix(b" (deleted)").unwrap_or(target);
        target == stage.path.as_os_str().as_bytes()
    }

    /// Whether a path in the process's memory is the segment's.
    fn is_name(&self, address: u64, stage: &Stage) -> bool {
        let wanted = stage.path.as_os_str().as_bytes();
        let mut path = vec![0; wanted.len() + 1];
        self.tracee.read(address, &mut path);
        path.strip_suffix(&[0]) == Some(wanted)
    }

    fn timespec(&self, address: u64) -> u64 {
        let seconds = self.tracee.read_u64(address);
        seconds.saturating_mul(1_000_000_000).saturating_add(self.tracee.read_u64(address + 8))
    }

    /// Writes seconds, and the rest in units of so many nanoseconds.
    fn write_time(&self, address: u64, time: u64, unit: u64) -> Result<(), Unsupported> {
        if address == 0 {
            return Ok(());
        }
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&(time / 1_000_000_000).to_le_bytes());
        bytes[8..].copy_from_slice(&(time % 1_000_000_000 / unit).to_le_bytes());
        self.tracee.write(address, &bytes)
    }
}

/// What a clock shows.
fn now(clock: u64, stage: &Stage) -> u64 {
    match clock as i32 {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => EPOCH + stage.clock,
        _ => 1_000_000_000 + stage.clock,
    }
}

fn stage_word(stage: &Stage, offset: usize) -> u32 {
    let mut value = [0; 4];
    stage.object.load(offset, &mut value);
    u32::from_le_bytes(value)
}
