//! Where a program has fences and locked instructions. They order accesses to the segment even when
//! they do not touch it.

use std::path::Path;
use std::sync::Arc;

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};
use object::{Object, ObjectSection, SectionKind};

use super::kept::Kept;

/// The offsets in the file of all such instructions.
pub(crate) fn fence_sites(program: &Path) -> Arc<Vec<u64>> {
    static KEPT: Kept<Vec<u64>> = Kept::new();
    KEPT.of(program, || find(program).unwrap_or_default())
}

fn find(program: &Path) -> Option<Vec<u64>> {
    let data = super::contents(program)?;
    let file = object::File::parse(&*data).ok()?;
    let mut sites = Vec::new();
    for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
        let (Some((offset, _)), Ok(code)) = (section.file_range(), section.data()) else {
            continue;
        };
        let mut decoder = Decoder::with_ip(64, code, offset, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        while decoder.can_decode() {
            decoder.decode_out(&mut instruction);
            let fence = instruction.mnemonic() == Mnemonic::Mfence
                || instruction.has_lock_prefix()
                || (instruction.mnemonic() == Mnemonic::Xchg
                    && (0..instruction.op_count())
                        .any(|at| instruction.op_kind(at) == iced_x86::OpKind::Memory));
            if fence && !instruction.is_invalid() {
                sites.push(instruction.ip());
            }
        }
    }
    Some(sites)
}
