//! Call stacks of a stopped process, from `.eh_frame`, which even a stripped libc has.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, EhFrame, EhFrameOffset, EndianSlice, FrameDescriptionEntry,
    LittleEndian, RegisterRule, UnwindContext, UnwindSection,
};
use nix::libc::user_regs_struct as Registers;
use object::{Object, ObjectSection, ObjectSegment};

use super::kept::Kept;
use crate::request::Place;

type Table<'a> = EhFrame<EndianSlice<'a, LittleEndian>>;
type Function<'a> = FrameDescriptionEntry<EndianSlice<'a, LittleEndian>>;

/// More callers than this explain nothing.
const DEEPEST: usize = 12;

/// The numbers of the stack pointer and of the return address in DWARF on this processor.
const RSP: usize = 7;
const RETURN: usize = 16;

/// Unwinding tables, by file.
#[derive(Default)]
pub(super) struct Unwinder {
    modules: HashMap<PathBuf, Arc<Option<Module>>>,
}

struct Module {
    table: Vec<u8>,
    bases: BaseAddresses,
    /// Every function that the table describes, in order: its first address, and where in the table.
    functions: Vec<(u64, EhFrameOffset)>,
    /// Offset in the file, length, address.
    segments: Vec<(u64, u64, u64)>,
}

impl Unwinder {
    /// The places to which the calls return, innermost first.
    pub(super) fn callers<'a>(
        &mut self,
        registers: &Registers,
        memory: &File,
        locate: impl Fn(u64) -> Option<(Place, &'a Path)>,
    ) -> Vec<Place> {
        let r = registers;
        let mut values = [
            r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11,
            r.r12, r.r13, r.r14, r.r15, r.rip,
        ];
        let read = |address| {
            let mut bytes = [0; 8];
            memory.read_exact_at(&mut bytes, address).ok().map(|()| u64::from_le_bytes(bytes))
        };
        let mut callers = Vec::new();
        let mut context = UnwindContext::new();
        for depth in 0..DEEPEST {
            // A return address may already be of the next function.
            let address = values[RETURN].wrapping_sub(u64::from(depth > 0));
            let Some((place, path)) = locate(address) else { break };
            if depth > 0 {
                callers.push(Place { offset: place.offset + 1, ..place });
            }
            let module = match self.modules.get(path) {
                Some(known) => known,
                None => self.modules.entry(path.to_owned()).or_insert_with(|| Module::of(path)),
            };
            let Some(module) = module.as_ref() else { break };
            let Some(at) = module.address(place.offset) else { break };
            let table = EhFrame::new(&module.table, LittleEndian);
            let Some(function) = module.function(&table, at) else { break };
            let bases = &module.bases;
            let Ok(row) = function.unwind_info_for_address(&table, bases, &mut context, at) else {
                break;
            };
            let CfaRule::RegisterAndOffset { register, offset } = row.cfa() else { break };
            let Some(frame) = values.get(usize::from(register.0)) else { break };
            let frame = frame.wrapping_add_signed(*offset);
            let mut outer = values;
            outer[RETURN] = 0;
            for (register, rule) in row.registers() {
                if let (RegisterRule::Offset(offset), Some(value)) =
                    (rule, outer.get_mut(usize::from(register.0)))
                {
                    *value = read(frame.wrapping_add_signed(*offset)).unwrap_or(0);
                }
            }
            if outer[RETURN] == 0 {
                break;
            }
            outer[RSP] = frame;
            values = outer;
        }
        callers
    }
}

impl Module {
    fn of(path: &Path) -> Arc<Option<Module>> {
        static KEPT: Kept<Option<Module>> = Kept::new();
        KEPT.of(path, || Module::open(path))
    }

    fn open(path: &Path) -> Option<Module> {
        let data = super::contents(path)?;
        let file = object::File::parse(&*data).ok()?;
        let table = file.section_by_name(".eh_frame")?;
        let text = file.section_by_name(".text")?;
        let bases = BaseAddresses::default().set_eh_frame(table.address()).set_text(text.address());
        let segments = file
            .segments()
            .map(|segment| {
                let (offset, len) = segment.file_range();
                (offset, len, segment.address())
            })
            .collect();
        let table = table.data().ok()?.to_vec();
        let mut functions = Vec::new();
        let parsed = EhFrame::new(&table, LittleEndian);
        let mut entries = parsed.entries(&bases);
        while let Ok(Some(entry)) = entries.next() {
            if let CieOrFde::Fde(function) = entry
                && let Ok(function) = function.parse(EhFrame::cie_from_offset)
            {
                functions.push((function.initial_address(), EhFrameOffset(function.offset())));
            }
        }
        functions.sort_unstable_by_key(|&(start, _)| start);
        Some(Module { table, bases, functions, segments })
    }

    /// The description of the function that holds an address.
    fn function<'a>(&self, table: &Table<'a>, at: u64) -> Option<Function<'a>> {
        let after = self.functions.partition_point(|&(start, _)| start <= at);
        let (_, offset) = self.functions[after.checked_sub(1)?];
        let function = table.fde_from_offset(&self.bases, offset, EhFrame::cie_from_offset).ok()?;
        function.contains(at).then_some(function)
    }

    fn address(&self, offset: u64) -> Option<u64> {
        let within = |&&(start, len, _): &&(u64, u64, u64)| (start..start + len).contains(&offset);
        let (start, _, address) = self.segments.iter().rfind(within)?;
        Some(offset - start + address)
    }
}
