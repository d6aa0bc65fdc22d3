//! What an instruction that was stopped at the segment wants from it, and a copy of it that gets it
//! elsewhere. Pure: bytes and registers in, bytes and registers out.
//!
//! The copy runs in a slot, with its operand moved by a constant into the *shadow*, and then jumps
//! back behind the original:
//!
//! ```text
//! instruction with [base + …]      base was moved by D before
//! lea base, [base - D]             changes no flag
//! jmp [rip] ; address of what follows
//! ```
//!
//! So the processor itself executes every instruction, with its flags and its vector registers, and
//! no single step is needed.

use std::cell::RefCell;

use iced_x86::{
    Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind,
    Register,
};
use nix::libc::user_regs_struct as Registers;

use crate::request::Kind;

/// One decoded instruction.
#[derive(Clone, Debug)]
pub(crate) struct Decoded {
    instruction: Instruction,
    code: [u8; 15],
    operands: Vec<Operand>,
}

/// One of the places in memory that an instruction names.
#[derive(Clone, Copy, Debug)]
struct Operand {
    base: Register,
    index: Register,
    scale: u64,
    displacement: u64,
    size: usize,
    kind: Kind,
    /// Reached through FS or GS: thread-local, never the segment.
    local: bool,
}

/// An instruction's access to the segment.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// Where its first byte is.
    pub(crate) address: u64,
    /// How many bytes; 0 if only the processor knows.
    pub(crate) size: usize,
    /// What it does.
    pub(crate) kind: Kind,
    /// How it can be given its bytes.
    pub(crate) way: Way,
}

/// How an instruction is given other memory than it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A register of the address is moved; the second says by which share of the distance.
    Bias(Register, u64, Restore),
    /// The address register is an operand too: the copy names another one instead.
    Other(Register),
    /// `movs` and `stos`: one element at a time, by hand.
    String(StringOp),
    /// It reads at many places at once, all of which are moved. Counted as not precise.
    Many,
}

/// Whether a moved register must be moved back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restore {
    /// Yes.
    Needed,
    /// The instruction loads the register itself.
    Overwritten,
}

/// A string instruction that stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StringOp {
    /// `movs`, not `stos`.
    pub(crate) copies: bool,
    /// Bytes an element.
    pub(crate) size: usize,
    /// With a repeat prefix: RCX counts.
    pub(crate) repeats: bool,
}

thread_local! {
    static FACTORY: RefCell<InstructionInfoFactory> = RefCell::new(InstructionInfoFactory::new());
}

impl Decoded {
    /// Decodes the instruction at `rip`, whose bytes begin `code`.
    pub(crate) fn new(code: &[u8; 16], rip: u64) -> Option<Decoded> {
        let mut decoder = Decoder::with_ip(64, code, rip, DecoderOptions::NONE);
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            return None;
        }
        let operands = FACTORY.with_borrow_mut(|factory| {
            let info = factory.info(&instruction);
            info.used_memory()
                .iter()
                .filter_map(|memory| {
                    let (reads, writes) = match memory.access() {
                        OpAccess::Read | OpAccess::CondRead => (true, false),
                        OpAccess::Write | OpAccess::CondWrite => (false, true),
                        OpAccess::ReadWrite | OpAccess::ReadCondWrite => (true, true),
                        _ => return None,
                    };
                    let locked =
                        instruction.has_lock_prefix() || instruction.mnemonic() == Mnemonic::Xchg;
                    let kind = match (reads, writes) {
                        (true, true) if locked => Kind::Locked,
                        (true, true) => Kind::Update,
                        (false, _) => Kind::Write,
                        (true, false) => Kind::Read,
                    };
                    Some(Operand {
                        base: memory.base().full_register(),
                        index: memory.index(),
                        scale: u64::from(memory.scale()),
                        displacement: memory.displacement(),
                        size: memory.memory_size().size(),
                        kind,
                        local: matches!(memory.segment(), Register::FS | Register::GS),
                    })
                })
                .collect()
        });
        let mut bytes = [0; 15];
        bytes.copy_from_slice(&code[..15]);
        Some(Decoded { instruction, code: bytes, operands })
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.instruction.len()
    }

    /// Its bytes.
    pub(crate) fn code(&self) -> &[u8] {
        &self.code[..self.len()]
    }

    /// Whether it can run at another address: nothing in it is relative to where it stands.
    pub(crate) fn is_movable(&self) -> bool {
        !self.instruction.is_ip_rel_memory_operand()
    }

    /// The access it makes to addresses that `inside` accepts, with these registers. The error
    /// names an instruction that we can neither redirect nor do by hand.
    pub(crate) fn access(
        &self,
        registers: &Registers,
        inside: impl Fn(u64) -> bool,
    ) -> Result<Option<Access>, String> {
        if let Some(string) = self.string() {
            let touched = [registers.rdi, registers.rsi];
            let touched = &touched[..if string.copies { 2 } else { 1 }];
            let Some(&address) = touched.iter().find(|&&address| inside(address)) else {
                return Ok(None);
            };
            let kind = if inside(registers.rdi) { Kind::Write } else { Kind::Read };
            return Ok(Some(Access { address, size: string.size, kind, way: Way::String(string) }));
        }
        let reads_many = self.operands.iter().all(|operand| operand.kind == Kind::Read);
        if self.reads_many() {
            if !reads_many {
                return Err(self.name());
            }
            let registers_of = |operand: &Operand| value(registers, operand.base);
            return Ok(self
                .operands
                .iter()
                .map(registers_of)
                .find(|&address| inside(address))
                .map(|address| Access { address, size: 0, kind: Kind::Read, way: Way::Many }));
        }
        let mut found = self.operands.iter().filter_map(|operand| {
            let address = operand.address(registers);
            (!operand.local && inside(address)).then_some((operand, address))
        });
        let Some((operand, address)) = found.next() else { return Ok(None) };
        if found.next().is_some() || operand.size == 0 || operand.size > 64 {
            return Err(self.name());
        }
        let way = self.way(operand).ok_or_else(|| self.name())?;
        Ok(Some(Access { address, size: operand.size, kind: operand.kind, way }))
    }

    /// The copy for a slot, for an access of way [`Way::Bias`] or [`Way::Other`]: the registers to
    /// run it with, and its code up to the jump back.
    pub(crate) fn displaced(
        &self,
        access: &Access,
        registers: &Registers,
        distance: u64,
    ) -> (Registers, Vec<u8>) {
        let mut moved = *registers;
        let mut code = self.code().to_vec();
        match access.way {
            Way::Bias(register, share, restore) => {
                let by = distance / share;
                let slot = value_mut(&mut moved, register);
                *slot = slot.wrapping_add(by);
                if restore == Restore::Needed {
                    add_to(&mut code, register, -(by as i64) as i32);
                }
            }
            Way::Other(register) => {
                code = self.with_base(register).expect("decided when the way was chosen");
                let was = std::mem::replace(
                    value_mut(&mut moved, register),
                    access.address.wrapping_add(distance),
                );
                // mov register, imm64
                code.extend([0x48, 0xb8 | number(register)]);
                code.extend(was.to_le_bytes());
            }
            Way::Many => {
                let mut bases: Vec<Register> = Vec::new();
                for operand in &self.operands {
                    if !bases.contains(&operand.base) && !operand.local {
                        bases.push(operand.base);
                    }
                }
                for base in bases {
                    // Every base that points into the segment lies within one distance of the first.
                    let at = value_mut(&mut moved, base);
                    if at.abs_diff(access.address) < distance {
                        *at = at.wrapping_add(distance);
                        add_to(&mut code, base, -(distance as i64) as i32);
                    }
                }
            }
            Way::String(_) => unreachable!("string instructions are done by hand"),
        }
        code.extend([0xff, 0x25, 0, 0, 0, 0]);
        code.extend(registers.rip.wrapping_add(self.len() as u64).to_le_bytes());
        (moved, code)
    }

    fn name(&self) -> String {
        format!("{:?}", self.instruction.mnemonic()).to_lowercase()
    }

    fn string(&self) -> Option<StringOp> {
        use Mnemonic::{Movsb, Movsd, Movsq, Movsw, Stosb, Stosd, Stosq, Stosw};
        // `movsd` is also a vector instruction; that one has an explicit operand.
        if self.instruction.is_string_instruction() {
            let (copies, size) = match self.instruction.mnemonic() {
                Movsb => (true, 1),
                Movsw => (true, 2),
                Movsd => (true, 4),
                Movsq => (true, 8),
                Stosb => (false, 1),
                Stosw => (false, 2),
                Stosd => (false, 4),
                Stosq => (false, 8),
                _ => return None,
            };
            let repeats = self.instruction.has_rep_prefix() || self.instruction.has_repne_prefix();
            return Some(StringOp { copies, size, repeats });
        }
        None
    }

    /// Whether it reads at more than one address that may lie in the segment.
    fn reads_many(&self) -> bool {
        let repeated = self.instruction.is_string_instruction()
            && (self.instruction.has_rep_prefix()
                || self.instruction.has_repne_prefix()
                || self.operands.len() > 1);
        repeated || self.operands.iter().any(|operand| operand.index.is_vector_register())
    }

    fn way(&self, operand: &Operand) -> Option<Way> {
        let movable = |register: Register, other: Register| {
            register != Register::None
                && register != Register::RIP
                && register != other.full_register()
                && !self.reads(register)
        };
        let restore = |register| {
            if self.overwrites(register) { Restore::Overwritten } else { Restore::Needed }
        };
        if operand.base != Register::RSP && movable(operand.base, operand.index) {
            return Some(Way::Bias(operand.base, 1, restore(operand.base)));
        }
        if movable(operand.index, operand.base) && operand.index.is_gpr64() {
            return Some(Way::Bias(operand.index, operand.scale, restore(operand.index)));
        }
        let free = [Register::RCX, Register::RDX, Register::RSI, Register::RDI, Register::RBX];
        free.into_iter()
            .chain([Register::RAX])
            .find(|&register| !self.uses(register) && self.with_base(register).is_some())
            .map(Way::Other)
    }

    /// Whether the register is anything but the address, and not merely loaded.
    fn reads(&self, register: Register) -> bool {
        if self.overwrites(register) {
            return false;
        }
        let explicit = (0..self.instruction.op_count()).any(|at| {
            self.instruction.op_kind(at) == OpKind::Register
                && self.instruction.op_register(at).full_register() == register
        });
        explicit || self.implicit().contains(&register)
    }

    fn overwrites(&self, register: Register) -> bool {
        let loads = matches!(
            self.instruction.mnemonic(),
            Mnemonic::Mov | Mnemonic::Movzx | Mnemonic::Movsx | Mnemonic::Movsxd
        );
        // A load of 8 or 16 bits keeps the rest of the register, and so the distance in it.
        loads
            && self.instruction.op_kind(0) == OpKind::Register
            && self.instruction.op_register(0).full_register() == register
            && self.instruction.op_register(0).size() >= 4
    }

    /// Whether the register occurs at all, also in the address.
    fn uses(&self, register: Register) -> bool {
        FACTORY.with_borrow_mut(|factory| {
            let info = factory.info(&self.instruction);
            info.used_registers().iter().any(|used| used.register().full_register() == register)
        })
    }

    fn implicit(&self) -> &'static [Register] {
        match self.instruction.mnemonic() {
            Mnemonic::Cmpxchg => &[Register::RAX],
            Mnemonic::Cmpxchg8b | Mnemonic::Cmpxchg16b => {
                &[Register::RAX, Register::RBX, Register::RCX, Register::RDX]
            }
            Mnemonic::Mul | Mnemonic::Imul | Mnemonic::Div | Mnemonic::Idiv
                if self.instruction.op_count() == 1 =>
            {
                &[Register::RAX, Register::RDX]
            }
            Mnemonic::Push | Mnemonic::Pop | Mnemonic::Call => &[Register::RSP],
            Mnemonic::Rol | Mnemonic::Ror | Mnemonic::Shl | Mnemonic::Shr | Mnemonic::Sar => {
                &[Register::RCX]
            }
            _ => &[],
        }
    }

    /// The instruction with `[register]` as its operand. Only for encodings without VEX or EVEX:
    /// those have no general register among their operands, so their address can be moved.
    fn with_base(&self, register: Register) -> Option<Vec<u8>> {
        let code = self.code();
        let prefixes = code
            .iter()
            .take_while(|&&byte| matches!(byte, 0x66 | 0xf0 | 0xf2 | 0xf3 | 0x2e | 0x3e))
            .count();
        let mut at = prefixes;
        let rex = code[at] & 0xf0 == 0x40;
        at += usize::from(rex);
        if matches!(code[at], 0xc4 | 0xc5 | 0x62) {
            return None;
        }
        if code[at] == 0x0f {
            at += 1;
            at += usize::from(matches!(code[at], 0x38 | 0x3a));
        }
        at += 1;
        let modrm = *code.get(at)?;
        if modrm >> 6 == 3 {
            return None;
        }
        let has_sib = modrm & 7 == 4;
        let displacement = match (modrm >> 6, modrm & 7) {
            (1, _) => 1,
            (2, _) | (0, 5) => 4,
            (0, 4) if code[at + 1] & 7 == 5 => 4,
            _ => 0,
        };
        let rest = at + 1 + usize::from(has_sib) + displacement;
        let mut new = code[..at].to_vec();
        if rex {
            new[prefixes] &= !0b11; // neither the index's nor the base's fourth bit
        }
        new.push(modrm & 0b0011_1000 | number(register));
        new.extend(&code[rest..]);
        // The decoder has the last word on whether this is the same instruction.
        let mut decoder = Decoder::with_ip(64, &new, 0, DecoderOptions::NONE);
        let again = decoder.decode();
        (again.mnemonic() == self.instruction.mnemonic()
            && again.len() == new.len()
            && again.memory_base() == register
            && again.memory_index() == Register::None)
            .then_some(new)
    }
}

impl Operand {
    fn address(&self, registers: &Registers) -> u64 {
        let index = value(registers, self.index.full_register()).wrapping_mul(self.scale);
        value(registers, self.base).wrapping_add(index).wrapping_add(self.displacement)
    }
}

/// `lea register, [register + by]`
fn add_to(code: &mut Vec<u8>, register: Register, by: i32) {
    let number = number(register);
    let (high, low) = (number >> 3, number & 7);
    code.extend([0x48 | high << 2 | high, 0x8d, 0x80 | low << 3 | low]);
    if low == 4 {
        code.push(0x24);
    }
    code.extend(by.to_le_bytes());
}

fn number(register: Register) -> u8 {
    register.number() as u8
}

fn value(registers: &Registers, register: Register) -> u64 {
    match register {
        // iced gives the whole address as the displacement of a RIP-relative operand.
        Register::RIP | Register::None => 0,
        _ => {
            let mut copy = *registers;
            if register.is_gpr64() { *value_mut(&mut copy, register) } else { 0 }
        }
    }
}

fn value_mut(registers: &mut Registers, register: Register) -> &mut u64 {
    match register {
        Register::RAX => &mut registers.rax,
        Register::RBX => &mut registers.rbx,
        Register::RCX => &mut registers.rcx,
        Register::RDX => &mut registers.rdx,
        Register::RSI => &mut registers.rsi,
        Register::RDI => &mut registers.rdi,
        Register::RBP => &mut registers.rbp,
        Register::RSP => &mut registers.rsp,
        Register::R8 => &mut registers.r8,
        Register::R9 => &mut registers.r9,
        Register::R10 => &mut registers.r10,
        Register::R11 => &mut registers.r11,
        Register::R12 => &mut registers.r12,
        Register::R13 => &mut registers.r13,
        Register::R14 => &mut registers.r14,
        Register::R15 => &mut registers.r15,
        other => unreachable!("{other:?} is no general register"),
    }
}

#[cfg(test)]
mod tests;
