//! The seccomp filter that says which system calls stop a process. All others run at full speed:
//! 100 stops instead of 300 for a small program.

use nix::libc::{self, sock_filter};

use super::ARENA;

/// Calls that are answered, watched, or refused, with the names by which they are told.
const CALLS: &[(i64, &str)] = &[
    (libc::SYS_mmap, "mmap"),
    (libc::SYS_munmap, "munmap"),
    (libc::SYS_mremap, "mremap"),
    (libc::SYS_mprotect, "mprotect"),
    (libc::SYS_futex, "futex"),
    (libc::SYS_sched_yield, "sched_yield"),
    (libc::SYS_nanosleep, "nanosleep"),
    (libc::SYS_clock_nanosleep, "clock_nanosleep"),
    (libc::SYS_clock_gettime, "clock_gettime"),
    (libc::SYS_gettimeofday, "gettimeofday"),
    (libc::SYS_time, "time"),
    (libc::SYS_getrandom, "getrandom"),
    (libc::SYS_getpid, "getpid"),
    (libc::SYS_gettid, "gettid"),
    (libc::SYS_set_tid_address, "set_tid_address"),
    (libc::SYS_tgkill, "tgkill"),
    (libc::SYS_tkill, "tkill"),
    (libc::SYS_kill, "kill"),
    (libc::SYS_readv, "readv"),
    (libc::SYS_writev, "writev"),
    (libc::SYS_fstat, "fstat"),
    (libc::SYS_newfstatat, "newfstatat"),
    (libc::SYS_statx, "statx"),
    (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_truncate, "truncate"),
    (libc::SYS_fallocate, "fallocate"),
    (libc::SYS_open, "open"),
    (libc::SYS_openat, "openat"),
    (libc::SYS_unlink, "unlink"),
    (libc::SYS_unlinkat, "unlinkat"),
    (libc::SYS_link, "link"),
    (libc::SYS_linkat, "linkat"),
    (libc::SYS_rename, "rename"),
    (libc::SYS_renameat, "renameat"),
    (libc::SYS_renameat2, "renameat2"),
    (libc::SYS_poll, "poll"),
    // More than one thread, or one program: not explored.
    (libc::SYS_clone, "clone"),
    (libc::SYS_clone3, "clone3"),
    (libc::SYS_fork, "fork"),
    (libc::SYS_vfork, "vfork"),
    // These block where we could not see who wakes them.
    (libc::SYS_ppoll, "ppoll"),
    (libc::SYS_select, "select"),
    (libc::SYS_pselect6, "pselect6"),
    (libc::SYS_epoll_wait, "epoll_wait"),
    (libc::SYS_epoll_pwait, "epoll_pwait"),
    (libc::SYS_pause, "pause"),
    (libc::SYS_wait4, "wait4"),
    (libc::SYS_waitid, "waitid"),
    (libc::SYS_rt_sigsuspend, "sigsuspend"),
    (libc::SYS_rt_sigtimedwait, "sigtimedwait"),
    // A signal that real time sends would come at another step each time.
    (libc::SYS_alarm, "alarm"),
    (libc::SYS_setitimer, "setitimer"),
    (libc::SYS_timer_create, "timer_create"),
    (libc::SYS_semop, "semop"),
    (libc::SYS_semtimedop, "semtimedop"),
    (libc::SYS_msgsnd, "msgsnd"),
    (libc::SYS_msgrcv, "msgrcv"),
    (libc::SYS_mq_timedsend, "mq_timedsend"),
    (libc::SYS_mq_timedreceive, "mq_timedreceive"),
    (libc::SYS_flock, "flock"),
    (libc::SYS_futex_waitv, "futex_waitv"),
];

/// Calls that only stop when an argument points into the segment.
const OTHERS: &[(i64, &str)] = &[
    (libc::SYS_read, "read"),
    (libc::SYS_write, "write"),
    (libc::SYS_pread64, "pread"),
    (libc::SYS_pwrite64, "pwrite"),
    (libc::SYS_madvise, "madvise"),
    (libc::SYS_msync, "msync"),
    (libc::SYS_mlock, "mlock"),
    (libc::SYS_ioctl, "ioctl"),
    (libc::SYS_getcwd, "getcwd"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_accept, "accept"),
    (libc::SYS_accept4, "accept4"),
    (libc::SYS_recvfrom, "recvfrom"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_fcntl, "fcntl"),
    (libc::SYS_set_robust_list, "set_robust_list"),
];

/// Whether a call stops whatever its arguments are.
pub(crate) fn always_stops(number: i64) -> bool {
    CALLS.iter().any(|(call, _)| *call == number)
}

/// What a call is called.
pub(crate) fn name_of(number: i64) -> String {
    let known = CALLS.iter().chain(OTHERS).find(|(call, _)| *call == number);
    known.map_or_else(|| format!("system call {number}"), |(_, name)| (*name).to_owned())
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// The program of the filter.
pub(super) fn program() -> Vec<sock_filter> {
    let plain = |code, k| sock_filter { code, jt: 0, jf: 0, k };
    let stop_if = |value| {
        [
            sock_filter { code: JUMP_EQUAL, jt: 0, jf: 1, k: value },
            plain(RETURN, libc::SECCOMP_RET_TRACE),
        ]
    };
    // struct seccomp_data: number, architecture, instruction pointer, six arguments of 64 bits.
    let mut program = vec![
        plain(LOAD, 4),
        // AUDIT_ARCH_X86_64; a call of 32 bits is refused.
        sock_filter { code: JUMP_EQUAL, jt: 1, jf: 0, k: 0xc000_003e },
        plain(RETURN, libc::SECCOMP_RET_TRACE),
        plain(LOAD, 0),
    ];
    for (number, _) in CALLS {
        program.extend(stop_if(*number as u32));
    }
    for argument in 0..6 {
        program.push(plain(LOAD, 16 + 8 * argument + 4));
        program.extend(stop_if((ARENA >> 32) as u32));
    }
    program.push(plain(RETURN, libc::SECCOMP_RET_ALLOW));
    program
}
