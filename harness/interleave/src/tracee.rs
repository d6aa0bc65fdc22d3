//! One process under ptrace: started, stopped, looked into, sent on. What its stops mean is for
//! others to say.

mod filter;
mod launch;
mod watchdog;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use memmap2::MmapRaw;
use nix::libc::{self, user_regs_struct as Registers};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::Unsupported;
pub(crate) use filter::{always_stops, name_of as call_name};
pub(crate) use launch::{Start, launch};
use watchdog::Leash;
pub(crate) use watchdog::Watchdog;

/// Where a process finds our code: a system call to inject, and the slots.
pub(crate) const CODE: u64 = 0x6000_0000_0000;

/// How much room there is for code.
pub(crate) const CODE_LEN: usize = 64 << 10;

/// Where a process finds the segment, however often it maps it; nothing there is accessible.
pub(crate) const ARENA: u64 = 0x6200_0000_0000;

/// How much it can map. The distance to the shadow must fit into a displacement of 31 bits.
pub(crate) const ARENA_LEN: u64 = 64 << 20;

/// From an address of the arena to the memory that is accessed in its stead.
pub(crate) const DISTANCE: u64 = ARENA_LEN;

/// `PTRACE_EVENT_SECCOMP`: the filter has asked for us.
const EVENT_SECCOMP: i32 = libc::PTRACE_EVENT_SECCOMP;

/// Why a process does not run at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It is about to make a system call that the filter stops.
    Entry,
    /// It is about to be given a signal.
    Signal(Signal),
    /// It runs another program.
    Exec,
    /// It has ended by itself.
    Exited(i32),
    /// It was killed.
    Killed(i32),
}

/// A process under our control. It is killed when this is dropped.
pub(crate) struct Tracee {
    pid: Pid,
    /// Our code and the shadow, shared with the process.
    runtime: Rc<MmapRaw>,
    memory: File,
    leash: Leash,
    ended: bool,
}

impl Tracee {
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn registers(&self) -> Result<Registers, Unsupported> {
        ptrace::getregs(self.pid).map_err(Unsupported::system("PTRACE_GETREGS"))
    }

    pub(crate) fn set_registers(&self, registers: Registers) -> Result<(), Unsupported> {
        ptrace::setregs(self.pid, registers).map_err(Unsupported::system("PTRACE_SETREGS"))
    }

    /// Reads its memory; what is not there reads as nothing.
    pub(crate) fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
        self.memory.read_at(bytes, address).unwrap_or(0)
    }

    pub(crate) fn read_u64(&self, address: u64) -> u64 {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Writes its memory, also where it may not write itself.
    pub(crate) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Unsupported> {
        self.memory
            .write_all_at(bytes, address)
            .map_err(|error| Unsupported::System(format!("its memory: {error}")))
    }

    /// Its memory, as a file.
    pub(crate) fn memory(&self) -> &File {
        &self.memory
    }

    /// Copies into the shadow, `at` bytes from its start.
    pub(crate) fn fill_shadow(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= ARENA_LEN as usize);
        let to = self.runtime.as_mut_ptr().wrapping_add(CODE_LEN + at);
        // SAFETY: Long enough: the mapping has CODE_LEN + ARENA_LEN bytes, and the sum was just
        // checked. Bytes need no alignment. The process, which also writes here, is stopped. The
        // mapping lives as long as `self`, and its file is sealed against shrinking.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    /// Copies out of the shadow.
    pub(crate) fn take_shadow(&self, at: usize, bytes: &mut [u8]) {
        assert!(at + bytes.len() <= ARENA_LEN as usize);
        let from = self.runtime.as_ptr().wrapping_add(CODE_LEN + at);
        // SAFETY: as in `fill_shadow`.
        unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
    }

    /// Puts code where the process can run it.
    pub(crate) fn put_code(&self, at: usize, code: &[u8]) {
        assert!(at + code.len() <= CODE_LEN);
        let to = self.runtime.as_mut_ptr().wrapping_add(at);
        // SAFETY: Long enough: the mapping has at least CODE_LEN bytes. Bytes need no alignment. The
        // process, which runs code here and cannot write to it, is stopped. The mapping lives as
        // long as `self`.
        unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), to, code.len()) };
    }

    /// Lets it run to its next stop, giving it a signal or none.
    pub(crate) fn run(&mut self, signal: Option<Signal>) -> Result<Stop, Unsupported> {
        ptrace::cont(self.pid, signal).map_err(Unsupported::system("PTRACE_CONT"))?;
        self.wait()
    }

    /// Lets it run to the end of the system call at whose beginning it stands.
    pub(crate) fn finish_call(&mut self) -> Result<Option<Stop>, Unsupported> {
        ptrace::syscall(self.pid, None).map_err(Unsupported::system("PTRACE_SYSCALL"))?;
        match self.wait_for_any()? {
            WaitStatus::PtraceSyscall(_) => Ok(None),
            status => self.stop(status).map(Some),
        }
    }

    /// Leaves out the system call at whose beginning it stands, and lets it return `value`.
    pub(crate) fn answer_call(&mut self, value: i64) -> Result<Option<Stop>, Unsupported> {
        let mut registers = self.registers()?;
        registers.orig_rax = u64::MAX;
        self.set_registers(registers)?;
        if let Some(stop) = self.finish_call()? {
            return Ok(Some(stop));
        }
        registers.rax = value as u64;
        self.set_registers(registers)?;
        Ok(None)
    }

    /// Lets it execute one instruction.
    pub(crate) fn step(&mut self) -> Result<(), Unsupported> {
        ptrace::step(self.pid, None).map_err(Unsupported::system("PTRACE_SINGLESTEP"))?;
        match self.wait_for_any()? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => Ok(()),
            status => Err(Unsupported::System(format!("a single step ended with {status:?}"))),
        }
    }

    /// Makes it do a system call for us, not at the beginning of one of its own.
    pub(crate) fn inject(&mut self, number: i64, arguments: [u64; 6]) -> Result<i64, Unsupported> {
        self.inject_at(CODE, number, arguments)
    }

    /// As [`Tracee::inject`], with `syscall; int3` at `address`.
    fn inject_at(
        &mut self,
        address: u64,
        number: i64,
        arguments: [u64; 6],
    ) -> Result<i64, Unsupported> {
        let before = self.registers()?;
        let mut registers = before;
        registers.rip = address;
        registers.rax = number as u64;
        registers.orig_rax = u64::MAX;
        [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9] =
            arguments;
        self.set_registers(registers)?;
        loop {
            ptrace::cont(self.pid, None).map_err(Unsupported::system("PTRACE_CONT"))?;
            match self.wait_for_any()? {
                WaitStatus::PtraceEvent(_, _, EVENT_SECCOMP) => {}
                WaitStatus::Stopped(_, Signal::SIGTRAP) => break,
                status => {
                    return Err(Unsupported::System(format!("an injected call: {status:?}")));
                }
            }
        }
        let returned = self.registers()?.rax as i64;
        self.set_registers(before)?;
        Ok(returned)
    }

    /// Waits until a fork of a traced process stands.
    pub(crate) fn wait_for_start(&mut self) -> Result<(), Unsupported> {
        match self.wait_for_any()? {
            WaitStatus::Stopped(_, Signal::SIGSTOP) => Ok(()),
            status => Err(Unsupported::System(format!("a fork began with {status:?}"))),
        }
    }

    /// Kills and reaps it.
    pub(crate) fn kill(&mut self) {
        if self.ended {
            return;
        }
        // The pid is still ours: nobody has reaped it.
        let _ = nix::sys::signal::kill(self.pid, Signal::SIGKILL);
        while let Ok(status) = waitpid(self.pid, Some(WaitPidFlag::__WALL)) {
            if matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..)) {
                break;
            }
        }
        self.ended = true;
    }

    fn wait(&mut self) -> Result<Stop, Unsupported> {
        let status = self.wait_for_any()?;
        self.stop(status)
    }

    fn stop(&mut self, status: WaitStatus) -> Result<Stop, Unsupported> {
        match status {
            WaitStatus::Exited(_, code) => Ok(Stop::Exited(code)),
            WaitStatus::Signaled(_, signal, _) => Ok(Stop::Killed(signal as i32)),
            WaitStatus::PtraceEvent(_, _, EVENT_SECCOMP) => Ok(Stop::Entry),
            WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_EXEC) => Ok(Stop::Exec),
            WaitStatus::Stopped(_, signal) => Ok(Stop::Signal(signal)),
            other => Err(Unsupported::System(format!("an unexpected stop: {other:?}"))),
        }
    }

    fn wait_for_any(&mut self) -> Result<WaitStatus, Unsupported> {
        let held = self.leash.running();
        let status = loop {
            match waitpid(self.pid, Some(WaitPidFlag::__WALL)) {
                Err(nix::errno::Errno::EINTR) => {}
                other => break other.map_err(Unsupported::system("waitpid"))?,
            }
        };
        let blocked = held.blocked();
        if matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..)) {
            self.ended = true;
        }
        match blocked {
            Some(call) => Err(Unsupported::Blocks(call)),
            None => Ok(status),
        }
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        self.kill();
    }
}
