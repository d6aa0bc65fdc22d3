//! Runs by forks. Programs are started once, brought to their first request, and forked for every
//! run: that spares exec, the dynamic linker, and the way to the first access, some 3 ms a process.

use nix::libc;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::Stage;
use super::running::Running;
use crate::Unsupported;
use crate::tracee::{CODE, Tracee, Watchdog};

/// The processes that are forked. They never run on themselves.
pub(super) struct Masters {
    processes: Vec<Running>,
    /// What the segment held when they stood.
    bytes: Vec<u8>,
    clock: u64,
}

impl Masters {
    /// Takes processes that stand at their first request. Gives them back if they cannot be forked.
    pub(super) fn new(
        mut processes: Vec<Running>,
        stage: &Stage,
        clock: u64,
    ) -> Result<Result<Masters, Vec<Running>>, Unsupported> {
        let usable = !stage.name_matters && processes.iter().all(Running::stands_at_an_access);
        if !usable {
            return Ok(Err(processes));
        }
        for process in &mut processes {
            process.step_back()?;
        }
        Ok(Ok(Masters { processes, bytes: stage.object.bytes(), clock }))
    }

    /// Brings the segment back to what it was. Whether that is possible.
    pub(super) fn restore(&self, stage: &mut Stage) -> Result<bool, Unsupported> {
        if !stage.object.is_still(&stage.path) {
            return Ok(false);
        }
        stage.object.restore(&self.bytes)?;
        stage.clock = self.clock;
        Ok(true)
    }

    /// A fresh copy of every process.
    pub(super) fn fork(
        &mut self,
        stage: &mut Stage,
        watchdog: &Watchdog,
    ) -> Result<Vec<Running>, Unsupported> {
        let mut forks = Vec::new();
        for master in &mut self.processes {
            forks.push(master.fork(watchdog)?);
        }
        for fork in &mut forks {
            fork.begin(stage)?;
        }
        Ok(forks)
    }
}

impl Running {
    /// Brings a process that stands before a system call back to before the instruction, so that
    /// another call can be injected.
    fn step_back(&mut self) -> Result<(), Unsupported> {
        if self.stands_before_a_call() {
            let mut again = self.registers;
            if self.tracee.answer_call(0)?.is_some() {
                return Err(Unsupported::System("a process ended when it was held".to_owned()));
            }
            again.rip = again.rip.wrapping_sub(2);
            again.rax = again.orig_rax;
            again.orig_rax = u64::MAX;
            self.registers = again;
        }
        let mut registers = self.registers;
        registers.orig_rax = u64::MAX;
        self.tracee.set_registers(registers)
    }

    fn fork(&mut self, watchdog: &Watchdog) -> Result<Running, Unsupported> {
        let before = self.tracee.registers()?;
        let mut registers = before;
        registers.rip = CODE;
        registers.rax = libc::SYS_clone as u64;
        registers.orig_rax = u64::MAX;
        // Our child and not the master's, so that we may wait for it.
        registers.rdi = (libc::CLONE_PARENT | libc::CLONE_PTRACE | libc::SIGCHLD) as u64;
        (registers.rsi, registers.rdx, registers.r10, registers.r8) = (0, 0, 0, 0);
        self.tracee.set_registers(registers)?;
        let child = self.tracee.run_injected_fork()?;
        self.tracee.set_registers(before)?;
        let mut tracee = Tracee::of_fork(child, &self.tracee, watchdog)?;
        tracee.wait_for_start()?;
        tracee.set_registers(before)?;
        let mut fork = Running::new(self.number, tracee, self.program.clone());
        fork.mappings = self.mappings.clone();
        fork.decoded = self.decoded.clone();
        fork.breakpoints = self.breakpoints.clone();
        fork.ranges = self.ranges.clone();
        // The kernel forgets the list in the copy, whose thread goes on using it all the same.
        fork.robust_list = self.robust_list();
        Ok(fork)
    }
}

impl Tracee {
    /// Runs the injected fork to its end, and returns the new process.
    fn run_injected_fork(&mut self) -> Result<Pid, Unsupported> {
        use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
        let mut child = None;
        loop {
            ptrace::cont(self.pid(), None).map_err(Unsupported::system("PTRACE_CONT"))?;
            let status = waitpid(self.pid(), Some(WaitPidFlag::__WALL))
                .map_err(Unsupported::system("waitpid"))?;
            match status {
                WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_SECCOMP) => {}
                WaitStatus::PtraceEvent(..) => {
                    let event = ptrace::getevent(self.pid())
                        .map_err(Unsupported::system("PTRACE_GETEVENTMSG"))?;
                    child = Some(Pid::from_raw(event as i32));
                }
                WaitStatus::Stopped(_, Signal::SIGTRAP) => {
                    let returned = self.registers()?.rax as i64;
                    return child
                        .or((returned > 0).then(|| Pid::from_raw(returned as i32)))
                        .ok_or_else(|| Unsupported::System(format!("a fork: {returned}")));
                }
                status => return Err(Unsupported::System(format!("a fork: {status:?}"))),
            }
        }
    }
}
