//! Instructions as bytes; what they want, and what their copies look like.

use super::*;

/// Registers with `rdi` at 0x1000 and `rax` at 0x1000.
fn registers() -> Registers {
    // SAFETY: the registers are plain integers, for which zero is a value.
    let mut registers: Registers = unsafe { std::mem::zeroed() };
    (registers.rdi, registers.rax, registers.rsp) = (0x1000, 0x1000, 0x9000);
    registers
}

fn access(code: &[u8]) -> (Decoded, Access) {
    let mut bytes = [0x90; 16];
    bytes[..code.len()].copy_from_slice(code);
    let decoded = Decoded::new(&bytes, 0).unwrap();
    assert_eq!(decoded.len(), code.len());
    let inside = |address| (0x1000..0x2000).contains(&address);
    let access = decoded.access(&registers(), inside).unwrap().unwrap();
    (decoded, access)
}

#[test]
fn kinds_and_sizes() {
    let seen = |code: &[u8]| {
        let (_, access) = access(code);
        (access.kind, access.size, access.address)
    };
    // mov ecx, [rdi+4]; mov [rdi], cl; inc qword [rdi]; lock xadd [rdi], rcx; xchg [rdi], ecx
    assert_eq!(seen(&[0x8b, 0x4f, 0x04]), (Kind::Read, 4, 0x1004));
    assert_eq!(seen(&[0x88, 0x0f]), (Kind::Write, 1, 0x1000));
    assert_eq!(seen(&[0x48, 0xff, 0x07]), (Kind::Update, 8, 0x1000));
    assert_eq!(seen(&[0xf0, 0x48, 0x0f, 0xc1, 0x0f]), (Kind::Locked, 8, 0x1000));
    assert_eq!(seen(&[0x87, 0x0f]), (Kind::Locked, 4, 0x1000));
    // vmovdqu ymm0, [rdi]
    assert_eq!(seen(&[0xc5, 0xfe, 0x6f, 0x07]), (Kind::Read, 32, 0x1000));
}

#[test]
fn the_address_register_is_moved_and_moved_back() {
    let (decoded, access) = access(&[0x8b, 0x4f, 0x04]);
    assert_eq!(access.way, Way::Bias(Register::RDI, 1, Restore::Needed));
    let (moved, code) = decoded.displaced(&access, &registers(), 0x400_0000);
    assert_eq!(moved.rdi, 0x400_1000);
    // The instruction; lea rdi, [rdi - 0x4000000]; jmp [rip].
    assert_eq!(code[..3], [0x8b, 0x4f, 0x04]);
    assert_eq!(code[3..10], [0x48, 0x8d, 0xbf, 0, 0, 0, 0xfc]);
    assert_eq!(code[10..16], [0xff, 0x25, 0, 0, 0, 0]);
    assert_eq!(code[16..], 3_u64.to_le_bytes());
}

#[test]
fn a_register_that_is_loaded_need_not_be_moved_back() {
    // mov rdi, [rdi]
    let (_, access) = access(&[0x48, 0x8b, 0x3f]);
    assert_eq!(access.way, Way::Bias(Register::RDI, 1, Restore::Overwritten));
}

#[test]
fn an_address_that_is_an_operand_too_gets_another_register() {
    // mov [rax+8], rax with rax = 0x1000
    let (decoded, access) = access(&[0x48, 0x89, 0x40, 0x08]);
    assert_eq!(access.way, Way::Other(Register::RCX));
    let (moved, code) = decoded.displaced(&access, &registers(), 0x400_0000);
    assert_eq!((moved.rax, moved.rcx), (0x1000, 0x400_1008));
    // mov [rcx], rax; mov rcx, 0
    assert_eq!(code[..3], [0x48, 0x89, 0x01]);
    assert_eq!(code[3..13], [0x48, 0xb9, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn what_is_elsewhere_is_no_access() {
    // mov ecx, [rsp]
    let mut bytes = [0x90; 16];
    bytes[..3].copy_from_slice(&[0x8b, 0x0c, 0x24]);
    let decoded = Decoded::new(&bytes, 0).unwrap();
    assert!(decoded.access(&registers(), |address| address == 0x1000).unwrap().is_none());
}
