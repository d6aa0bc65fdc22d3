//! Instructions and system calls that are awkward for an interceptor, and what is not explored.

use std::arch::asm;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::libc;

use crate::layout::open;

pub(crate) fn run(name: &str, what: &[&str]) {
    let words = open::<u64>(name);
    match what[0] {
        "instructions" => instructions(words),
        "memcpy" => memcpy(words),
        "buffers" => buffers(words),
        "clock" => clock(words),
        "thread" => {
            let handle = std::thread::spawn(|| {});
            handle.join().unwrap();
        }
        "fork" => {
            // SAFETY: the child ends at once.
            if unsafe { libc::fork() } == 0 {
                // SAFETY: ends the process.
                unsafe { libc::_exit(0) };
            }
        }
        "spawn" => drop(std::process::Command::new("/bin/true").status()),
        "exec" => {
            use std::os::unix::process::CommandExt;
            let _ = std::process::Command::new("/bin/true").exec();
        }
        "pause" => {
            // SAFETY: waits for a signal.
            unsafe { libc::pause() };
        }
        "stray-register" => {
            // SAFETY: asks for the flags of a descriptor; the third argument is not looked at.
            unsafe { libc::syscall(libc::SYS_fcntl, 1, libc::F_GETFD, words) };
        }
        "folder" => {
            // SAFETY: the kernel writes at most 64 bytes into a mapping of 4096 that stays.
            unsafe { libc::syscall(libc::SYS_getcwd, words, 64) };
        }
        "read-pipe" => {
            let (end, _other) = nix::unistd::pipe().unwrap();
            let _ = nix::unistd::read(&end, &mut [0; 8]);
        }
        "endless" => loop {
            black_box(());
        },
        "crash" => {
            // SAFETY: none: this is meant to fail.
            unsafe { black_box(std::ptr::dangling_mut::<u64>()).write_volatile(1) };
        }
        "beyond" => {
            // SAFETY: none: this is meant to fail.
            unsafe { words.wrapping_add(1 << 20).write_volatile(1) };
        }
        "shrink" => shrink(name, words),
        "readers" => {
            let mut sum = 0;
            for _ in 0..50 {
                sum += peek(words, 0);
            }
            assert_eq!(sum, 0);
            poke(words, 1, 1);
        }
        other => panic!("{other}"),
    }
}

fn peek(words: *mut u64, at: usize) -> u64 {
    // SAFETY: an aligned word of a mapping of 4096 bytes that stays.
    unsafe { words.wrapping_add(at).read_volatile() }
}

fn poke(words: *mut u64, at: usize, value: u64) {
    // SAFETY: as in `peek`.
    unsafe { words.wrapping_add(at).write_volatile(value) };
}

#[expect(clippy::multiple_unsafe_ops_per_block, reason = "a list of instructions")]
fn instructions(p: *mut u64) {
    // SAFETY: every address lies in the mapping of 4096 bytes, and every register that an
    // instruction changes is told to the compiler.
    unsafe {
        asm!("mov [rax], rax", in("rax") p);
        assert_eq!(peek(p, 0), p as u64);
        asm!("mov [rax+8], rax", in("rax") p);
        assert_eq!(peek(p, 1), p as u64);
        let mut a = p as u64;
        asm!("xchg rax, [rax]", inout("rax") a);
        assert_eq!(a, p as u64);
        poke(p, 0, 5);
        let mut r: u64 = 5;
        asm!("lock cmpxchg [rdi], rcx", in("rdi") p, in("rcx") 9_u64, inout("rax") r);
        assert_eq!((r, peek(p, 0)), (5, 9));
        poke(p, 0, p as u64);
        let mut q = p as u64;
        asm!("lock cmpxchg [rax], rcx", in("rcx") 7_u64, inout("rax") q);
        assert_eq!((q, peek(p, 0)), (p as u64, 7));
        asm!("push qword ptr [rdi]", "pop rcx", in("rdi") p, out("rcx") r);
        assert_eq!(r, 7);
        asm!("push 11", "pop qword ptr [rdi+8]", in("rdi") p);
        assert_eq!(peek(p, 1), 11);
        let x: u64;
        asm!("mov rdx, 0", "mov rax, 100", "div qword ptr [rdi]", in("rdi") p, out("rax") x,
            out("rdx") _);
        assert_eq!(x, 14);
        for at in 0..8 {
            poke(p, at, at as u64);
        }
        asm!("rep movsq", inout("rdi") p.add(16) => _, inout("rsi") p => _,
            inout("rcx") 8_u64 => _);
        for at in 0..8 {
            assert_eq!(peek(p, 16 + at), at as u64);
        }
        asm!("rep stosq", inout("rdi") p.add(32) => _, in("rax") 3_u64,
            inout("rcx") 8_u64 => _);
        assert_eq!((peek(p, 39), peek(p, 40)), (3, 0));
        let here = [1_u64, 2, 3];
        asm!("rep movsq", inout("rdi") p.add(64) => _, inout("rsi") here.as_ptr() => _,
            inout("rcx") 3_u64 => _);
        assert_eq!(peek(p, 66), 3);
        let mut there = [0_u64; 3];
        asm!("rep movsq", inout("rdi") there.as_mut_ptr() => _, inout("rsi") p.add(64) => _,
            inout("rcx") 3_u64 => _);
        assert_eq!(there, here);
        asm!("movups xmm0, [rdi]", "movups [rdi+64], xmm0", in("rdi") p, out("xmm0") _);
        assert_eq!(peek(p, 9), 1);
        asm!("lock xadd [rdi], rcx", in("rdi") p, inout("rcx") 41_u64 => r);
        assert_eq!((r, peek(p, 0)), (0, 41));
        asm!("mov r8, 2", "mov [rdi + r8*8], r8", in("rdi") p, out("r8") _);
        assert_eq!(peek(p, 2), 2);
        asm!("push rbx", "mov rax, 0", "mov rdx, 0", "mov rbx, 11", "mov rcx, 12",
            "lock cmpxchg16b [rdi]", "pop rbx", in("rdi") p.add(100), out("rax") _, out("rdx") _,
            out("rcx") _);
        assert_eq!((peek(p, 100), peek(p, 101)), (11, 12));
        poke(p, 0, 0x1234_5678_9abc_def0);
        let low: u64;
        asm!("mov rax, 0", "mov al, [rdi]", in("rdi") p, out("rax") low);
        assert_eq!(low, 0xf0);
        let own: u64;
        asm!("movzx rdi, word ptr [rdi]", inout("rdi") p as u64 => own);
        assert_eq!(own, 0xdef0);
        // The address register loses its lowest byte only.
        let mixed: u64;
        asm!("mov al, [rax]", inout("rax") p as u64 => mixed);
        assert_eq!(mixed, p as u64 & !0xff | 0xf0);
        asm!("inc qword ptr [rdi]", "shl qword ptr [rdi], cl", in("rdi") p, in("rcx") 1_u64);
        assert_eq!(peek(p, 0), (0x1234_5678_9abc_def1_u64) << 1);
        poke(p, 10, 0);
        asm!("bts qword ptr [rdi], 3", in("rdi") p.add(10));
        assert_eq!(peek(p, 10), 8);
        // Eight equal bytes and then one that differs.
        let equal: u64;
        poke(p, 11, 8);
        asm!("xor eax, eax", "repe cmpsb", "sete al", inout("rdi") p.add(10) => _,
            inout("rsi") p.add(11) => _, inout("rcx") 8_u64 => _, out("rax") equal);
        assert_eq!(equal, 1);
    }
}

fn memcpy(p: *mut u64) {
    let from: Vec<u64> = (0..256).collect();
    // SAFETY: 2048 bytes of a mapping of 4096.
    unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), p, black_box(256)) };
    let mut to = vec![0_u64; 256];
    // SAFETY: as above.
    unsafe { std::ptr::copy_nonoverlapping(p, to.as_mut_ptr(), black_box(256)) };
    assert_eq!(from, to);
}

fn buffers(p: *mut u64) {
    poke(p, 0, u64::from_le_bytes(*b"Hello!!\n"));
    // SAFETY: eight bytes of the mapping.
    assert_eq!(unsafe { libc::write(1, p.cast(), 8) }, 8);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::read(0, p.wrapping_add(4).cast(), 8) }, 8);
    assert_eq!(peek(p, 4), u64::from_le_bytes(*b"whatever"));
}

fn clock(p: *mut u64) {
    let start = std::time::Instant::now();
    poke(p, 0, 1);
    while start.elapsed().as_micros() < 500 {
        std::hint::spin_loop();
    }
    poke(p, 0, start.elapsed().as_nanos() as u64);
    let numbers: std::collections::HashMap<u64, u64> = (1..6).map(|x| (x, x)).collect();
    poke(p, 1, *numbers.keys().next().unwrap());
    poke(p, 2, u64::from(std::process::id()));
    let private = AtomicU64::new(1);
    private.fetch_add(1, Ordering::SeqCst);
    poke(p, 3, black_box(&private).load(Ordering::Relaxed));
}

/// Shortens the object under its own mapping.
fn shrink(name: &str, p: *mut u64) {
    use nix::fcntl::OFlag;
    use nix::sys::stat::Mode;
    let fd = nix::sys::mman::shm_open(name, OFlag::O_RDWR, Mode::empty()).unwrap();
    nix::unistd::ftruncate(&fd, 0).unwrap();
    poke(p, 0, 1);
}
