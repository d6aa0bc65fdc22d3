//! One process of a run: from a stop to what it asks for, and from an answer to the next stop.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use nix::libc::{self, user_regs_struct as Registers};
use nix::sys::signal::Signal;

use super::Stage;
use super::mappings::Mappings;
use crate::decode::{Access, Decoded, StringOp, Way};
use crate::dwarf::{Range, fence_sites};
use crate::request::{Kind, Reply, Request, Site};
use crate::tracee::{ARENA, CODE, DISTANCE, Stop, Tracee};
use crate::{Exit, Unsupported};

/// Where the one slot begins, behind the system call that we inject.
const SLOT: u64 = 64;

/// What a request is, in terms of the machine.
#[derive(Clone)]
pub(super) enum Pending {
    /// Nothing: it has ended.
    Nothing,
    /// An instruction that can run displaced.
    Access { decoded: Rc<Decoded>, access: Access },
    /// An element of a string instruction; what the load of it has seen, if that is over.
    Element { decoded: Rc<Decoded>, string: StringOp, loaded: Option<Vec<u8>> },
    /// A fence at which a breakpoint stands.
    Fence { decoded: Rc<Decoded> },
    /// A system call that is answered.
    Answered,
    /// A system call that is made, as it is.
    Made,
    /// A system call with a buffer in the segment, in this argument.
    Buffer { argument: usize, address: u64, writes: bool },
}

/// A process.
pub(crate) struct Running {
    pub(super) number: usize,
    pub(super) tracee: Tracee,
    pub(super) program: PathBuf,
    pub(super) request: Request,
    pub(super) pending: Pending,
    /// The registers at the request.
    pub(super) registers: Registers,
    pub(super) site: Site,
    pub(super) mappings: Mappings,
    pub(super) decoded: HashMap<u64, Rc<Decoded>>,
    /// The first byte of every instruction that a breakpoint has replaced.
    pub(super) breakpoints: HashMap<u64, u8>,
    pub(super) ranges: Vec<Range>,
    /// Where it keeps the list of robust mutexes, if the kernel does not know; else 0.
    pub(super) robust_list: u64,
    /// The words of robust mutexes that it held when it was killed.
    orphaned: Vec<(usize, u32)>,
}

impl Running {
    pub(super) fn new(number: usize, tracee: Tracee, program: PathBuf) -> Running {
        // SAFETY: the registers are plain integers, for which zero is a value.
        let registers = unsafe { std::mem::zeroed() };
        Running {
            number,
            tracee,
            program,
            request: Request::Yield { nanoseconds: 0 },
            pending: Pending::Nothing,
            registers,
            site: Site::default(),
            mappings: Mappings::new(),
            decoded: HashMap::new(),
            breakpoints: HashMap::new(),
            ranges: Vec::new(),
            robust_list: 0,
            orphaned: Vec::new(),
        }
    }

    pub(super) fn request(&self) -> &Request {
        &self.request
    }

    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    pub(super) fn exit(&self) -> Option<Exit> {
        match self.request {
            Request::Ended(exit) => Some(exit),
            _ => None,
        }
    }

    /// Runs it from the start to its first request.
    pub(super) fn begin(&mut self, stage: &mut Stage) -> Result<(), Unsupported> {
        let stop = self.tracee.run(None)?;
        self.settle(stop, stage)
    }

    /// Whether it stands at its first request and could be forked there.
    pub(super) fn stands_at_an_access(&self) -> bool {
        !self.tracee.has_ended() && !matches!(self.pending, Pending::Nothing)
    }

    /// Whether it stands at the beginning of a system call.
    pub(super) fn stands_before_a_call(&self) -> bool {
        matches!(self.pending, Pending::Answered | Pending::Made | Pending::Buffer { .. })
    }

    pub(super) fn kill(&mut self) {
        if !self.tracee.has_ended() {
            self.orphaned = self.held_mutexes();
            self.tracee.kill();
        }
    }

    pub(super) fn take_orphaned(&mut self) -> Vec<(usize, u32)> {
        std::mem::take(&mut self.orphaned)
    }

    /// From a stop on to the next request.
    pub(super) fn settle(&mut self, stop: Stop, stage: &mut Stage) -> Result<(), Unsupported> {
        let mut stop = stop;
        loop {
            stop = match stop {
                Stop::Exited(code) => return self.ended(Exit::Code(code)),
                Stop::Killed(signal) if signal == libc::SIGXCPU => {
                    return self.ended(Exit::Endless);
                }
                Stop::Killed(signal) => return self.ended(Exit::Signal(signal)),
                Stop::Exec => return Err(Unsupported::Exec),
                Stop::Entry => match self.call(stage)? {
                    Some(stop) => stop,
                    None => return Ok(()),
                },
                Stop::Signal(signal) => {
                    if self.signal(signal, stage)? {
                        return Ok(());
                    }
                    self.tracee.run(Some(signal))?
                }
            };
        }
    }

    fn ended(&mut self, exit: Exit) -> Result<(), Unsupported> {
        self.request = Request::Ended(exit);
        self.pending = Pending::Nothing;
        Ok(())
    }

    /// A signal is about to be delivered; whether it is really a request.
    fn signal(&mut self, signal: Signal, stage: &mut Stage) -> Result<bool, Unsupported> {
        let ours = signal == Signal::SIGSEGV
            || (signal == Signal::SIGTRAP && !self.breakpoints.is_empty());
        let fatal = matches!(
            signal,
            Signal::SIGBUS | Signal::SIGILL | Signal::SIGFPE | Signal::SIGABRT | Signal::SIGTRAP
        );
        if !ours && !fatal {
            return Ok(false);
        }
        let mut registers = self.tracee.registers()?;
        if registers.rip == CODE + SLOT {
            // The displaced instruction itself failed: let it fail where it belongs.
            self.tracee.set_registers(self.registers)?;
            self.site = self.site_of(&self.registers.clone(), self.registers.rip, stage);
            return Ok(false);
        }
        let at_breakpoint =
            signal == Signal::SIGTRAP && self.breakpoints.contains_key(&(registers.rip - 1));
        if at_breakpoint {
            registers.rip -= 1;
        }
        if signal == Signal::SIGSEGV || at_breakpoint {
            let decoded = self.decode(registers.rip)?;
            let mappings = &self.mappings;
            let inside = |address| mappings.hold(address);
            let access = decoded
                .access(&registers, inside)
                .map_err(|name| Unsupported::Instruction(format!("`{name}` on the segment")))?;
            let access = access.filter(|access| mappings.allow(access));
            if access.is_some() || at_breakpoint {
                self.registers = registers;
                self.site = self.site_of(&registers, registers.rip, stage);
                match access {
                    Some(access) => self.ask_for(decoded, access, stage),
                    None => {
                        self.request = Request::Fence;
                        self.pending = Pending::Fence { decoded };
                    }
                }
                return Ok(true);
            }
        }
        self.site = self.site_of(&registers, registers.rip, stage);
        Ok(false)
    }

    fn ask_for(&mut self, decoded: Rc<Decoded>, access: Access, stage: &mut Stage) {
        match access.way {
            Way::String(string) => {
                self.pending = Pending::Element { decoded, string, loaded: None };
                self.ask_for_element();
            }
            Way::Many => {
                stage.imprecise += 1;
                let mapping =
                    self.mappings.at(access.address).expect("the access is in a mapping").clone();
                self.request = Request::Call {
                    name: "an instruction that reads at many places",
                    offset: mapping.offset as usize,
                    size: mapping.len as usize,
                    writes: false,
                };
                let access = Access { address: mapping.start, ..access };
                self.pending = Pending::Access { decoded, access };
            }
            Way::Bias(..) | Way::Other(_) => {
                self.request = Request::Access {
                    offset: self.mappings.offset_of(access.address),
                    size: access.size,
                    kind: access.kind,
                };
                self.pending = Pending::Access { decoded, access };
            }
        }
    }

    /// Asks for what the next element of a string instruction needs; whether it needs anything.
    fn ask_for_element(&mut self) -> bool {
        let Pending::Element { string, loaded, .. } = &self.pending else { return false };
        let (from, to) = (self.registers.rsi, self.registers.rdi);
        let (kind, address) = if string.copies && loaded.is_none() && self.mappings.hold(from) {
            (Kind::Read, from)
        } else if self.mappings.hold(to) {
            (Kind::Write, to)
        } else {
            return false;
        };
        let (offset, size) = (self.mappings.offset_of(address), string.size);
        self.request = Request::Access { offset, size, kind };
        true
    }

    /// Does what the answer allows, and goes on to the next request. Returns what was stored.
    pub(super) fn resume(
        &mut self,
        reply: Reply,
        stage: &mut Stage,
    ) -> Result<Vec<u8>, Unsupported> {
        let pending = std::mem::replace(&mut self.pending, Pending::Nothing);
        match (pending, reply) {
            (Pending::Access { decoded, access }, Reply::Bytes(seen)) => {
                self.run_displaced(&decoded, &access, &seen, stage)
            }
            (Pending::Element { decoded, string, loaded }, Reply::Bytes(seen)) => {
                self.do_element(decoded, string, loaded, seen, stage)
            }
            (Pending::Fence { decoded }, Reply::Go) => {
                self.run_fence(&decoded, stage)?;
                Ok(Vec::new())
            }
            (Pending::Answered, Reply::Return(value)) => {
                let stop = match self.tracee.answer_call(value)? {
                    Some(stop) => stop,
                    None => self.tracee.run(None)?,
                };
                self.settle(stop, stage)?;
                Ok(Vec::new())
            }
            (Pending::Made, Reply::Go) => {
                let stop = match self.tracee.finish_call()? {
                    Some(stop) => stop,
                    None => {
                        self.object_may_be_new(stage)?;
                        self.tracee.run(None)?
                    }
                };
                self.settle(stop, stage)?;
                Ok(Vec::new())
            }
            (Pending::Buffer { argument, address, writes }, Reply::Bytes(seen)) => {
                self.call_with_buffer(argument, address, writes, &seen, stage)
            }
            (_, reply) => unreachable!("{reply:?} does not answer {:?}", self.request),
        }
    }

    fn run_displaced(
        &mut self,
        decoded: &Decoded,
        access: &Access,
        seen: &[u8],
        stage: &mut Stage,
    ) -> Result<Vec<u8>, Unsupported> {
        if !self.has_memory(access.address, stage) {
            self.tracee.set_registers(self.registers)?;
            let stop = self.tracee.run(Some(Signal::SIGBUS))?;
            self.die_of(Signal::SIGBUS, stop, stage)?;
            return Ok(Vec::new());
        }
        let at = (access.address - ARENA) as usize;
        self.tracee.fill_shadow(at, seen);
        let (mut registers, code) = decoded.displaced(access, &self.registers, DISTANCE);
        self.tracee.put_code(SLOT as usize, &code);
        registers.rip = CODE + SLOT;
        self.tracee.set_registers(registers)?;
        let stop = self.tracee.run(None)?;
        let mut stored = vec![0; if access.kind == Kind::Read { 0 } else { access.size }];
        self.tracee.take_shadow(at, &mut stored);
        self.settle(stop, stage)?;
        Ok(stored)
    }

    /// A handler of the process may want the signal first, and then the instruction faults again:
    /// that is not an access of the segment any more.
    fn die_of(
        &mut self,
        signal: Signal,
        mut stop: Stop,
        stage: &mut Stage,
    ) -> Result<(), Unsupported> {
        for _ in 0..3 {
            if stop != Stop::Signal(Signal::SIGSEGV) {
                break;
            }
            stop = self.tracee.run(Some(signal))?;
        }
        self.settle(stop, stage)
    }

    fn do_element(
        &mut self,
        decoded: Rc<Decoded>,
        string: StringOp,
        loaded: Option<Vec<u8>>,
        seen: Vec<u8>,
        stage: &mut Stage,
    ) -> Result<Vec<u8>, Unsupported> {
        let loads_now = string.copies && loaded.is_none() && self.mappings.hold(self.registers.rsi);
        let element = if loads_now {
            seen
        } else if let Some(loaded) = loaded {
            loaded
        } else if string.copies {
            let mut element = vec![0; string.size];
            self.tracee.read(self.registers.rsi, &mut element);
            element
        } else {
            self.registers.rax.to_le_bytes()[..string.size].to_vec()
        };
        if loads_now && self.mappings.hold(self.registers.rdi) {
            self.pending = Pending::Element { decoded, string, loaded: Some(element) };
            self.ask_for_element();
            return Ok(Vec::new());
        }
        let stored = if self.mappings.hold(self.registers.rdi) {
            element
        } else {
            self.tracee.write(self.registers.rdi, &element)?;
            Vec::new()
        };
        const DIRECTION: u64 = 0x400;
        let backwards = self.registers.eflags & DIRECTION != 0;
        let size = string.size as u64;
        let step = if backwards { size.wrapping_neg() } else { size };
        self.registers.rdi = self.registers.rdi.wrapping_add(step);
        if string.copies {
            self.registers.rsi = self.registers.rsi.wrapping_add(step);
        }
        let mut over = true;
        if string.repeats {
            self.registers.rcx = self.registers.rcx.wrapping_sub(1);
            over = self.registers.rcx == 0;
        }
        if over {
            self.registers.rip += decoded.len() as u64;
        } else {
            self.pending = Pending::Element { decoded, string, loaded: None };
            if self.ask_for_element() {
                return Ok(stored);
            }
        }
        self.tracee.set_registers(self.registers)?;
        let stop = self.tracee.run(None)?;
        self.settle(stop, stage)?;
        Ok(stored)
    }

    fn run_fence(&mut self, decoded: &Decoded, stage: &mut Stage) -> Result<(), Unsupported> {
        let mut registers = self.registers;
        if decoded.is_movable() {
            let mut code = decoded.code().to_vec();
            code.extend([0xff, 0x25, 0, 0, 0, 0]);
            code.extend((registers.rip + decoded.len() as u64).to_le_bytes());
            self.tracee.put_code(SLOT as usize, &code);
            registers.rip = CODE + SLOT;
            self.tracee.set_registers(registers)?;
        } else {
            self.tracee.write(registers.rip, &decoded.code()[..1])?;
            self.tracee.set_registers(registers)?;
            self.tracee.step()?;
            self.tracee.write(registers.rip, &[0xcc])?;
        }
        let stop = self.tracee.run(None)?;
        self.settle(stop, stage)
    }

    /// Puts a breakpoint on every fence and locked instruction of the program.
    pub(super) fn plant(&mut self, stage: &mut Stage) -> Result<(), Unsupported> {
        if !stage.fences || !self.breakpoints.is_empty() {
            return Ok(());
        }
        self.ranges = stage.symbols.ranges(self.tracee.pid());
        let sites = fence_sites(&self.program);
        for range in self.ranges.clone() {
            if stage.symbols.path(range.module) != Some(self.program.as_path()) {
                continue;
            }
            for offset in sites.iter().filter(|offset| range.offsets().contains(offset)) {
                let address = range.start + (offset - range.offset);
                let mut first = [0];
                self.tracee.read(address, &mut first);
                self.tracee.write(address, &[0xcc])?;
                self.breakpoints.insert(address, first[0]);
            }
        }
        Ok(())
    }

    fn decode(&mut self, rip: u64) -> Result<Rc<Decoded>, Unsupported> {
        if let Some(decoded) = self.decoded.get(&rip) {
            return Ok(Rc::clone(decoded));
        }
        let mut code = [0; 16];
        self.tracee.read(rip, &mut code);
        if let Some(&first) = self.breakpoints.get(&rip) {
            code[0] = first;
        }
        let decoded = Decoded::new(&code, rip)
            .ok_or_else(|| Unsupported::Instruction(format!("the bytes {code:02x?}")))?;
        let decoded = Rc::new(decoded);
        self.decoded.insert(rip, Rc::clone(&decoded));
        Ok(decoded)
    }

    /// The place of an address of code, and of the calls that led there.
    pub(super) fn site_of(&mut self, registers: &Registers, rip: u64, stage: &mut Stage) -> Site {
        let place = stage.symbols.place(rip, &mut self.ranges, self.tracee.pid());
        let callers = if stage.stacks {
            let at = Registers { rip, ..*registers };
            stage.symbols.callers(&at, self.tracee.memory(), &self.ranges)
        } else {
            Vec::new()
        };
        Site { place, callers }
    }

    /// Whether the object has a page there.
    fn has_memory(&self, address: u64, stage: &Stage) -> bool {
        let offset = self.mappings.offset_of(address) as u64;
        offset < stage.object.len().next_multiple_of(4096)
    }
}
