//! The plain way: fault, `mprotect`, single step, `mprotect`, in a child that does nothing else.

use std::time::Duration;

use nix::libc;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

/// The time one access takes, of so many.
pub(super) fn access(count: u32) -> Duration {
    // SAFETY: a new mapping at an address of the kernel's choice.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_NONE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    // SAFETY: the child makes system calls and touches the page, and nothing else.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            let _ = ptrace::traceme();
            let _ = nix::sys::signal::raise(Signal::SIGSTOP);
            for _ in 0..count {
                // SAFETY: the parent opens the page at each access; nobody else writes it.
                unsafe { page.cast::<u64>().write_volatile(1) };
            }
            // SAFETY: ends the process.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            let page = page as u64;
            waitpid(child, None).expect("the child stops");
            let start = crate::bench::processor_time();
            ptrace::cont(child, None).expect("it goes on");
            while let Ok(WaitStatus::Stopped(_, Signal::SIGSEGV)) = waitpid(child, None) {
                let at = ptrace::getregs(child).expect("registers");
                protect(child, page, libc::PROT_READ | libc::PROT_WRITE);
                ptrace::setregs(child, at).expect("registers");
                ptrace::step(child, None).expect("it steps");
                waitpid(child, None).expect("the child stops");
                let behind = ptrace::getregs(child).expect("registers");
                protect(child, page, libc::PROT_NONE);
                ptrace::setregs(child, behind).expect("registers");
                ptrace::cont(child, None).expect("it goes on");
            }
            (crate::bench::processor_time() - start) / count
        }
    }
}

/// Makes the child call `mprotect`, by a `syscall` that is put where it stands.
fn protect(child: Pid, page: u64, protection: i32) {
    let before = ptrace::getregs(child).expect("registers");
    let at = before.rip as *mut libc::c_void;
    let code = ptrace::read(child, at).expect("code");
    ptrace::write(child, at, code & !0xffff | 0x050f).expect("code");
    let mut call = before;
    call.rax = libc::SYS_mprotect as u64;
    call.orig_rax = u64::MAX;
    (call.rdi, call.rsi, call.rdx) = (page, 4096, protection as u64);
    ptrace::setregs(child, call).expect("registers");
    ptrace::step(child, None).expect("it steps");
    waitpid(child, None).expect("the child stops");
    ptrace::write(child, at, code).expect("code");
}
