//! The seccomp filters: the system calls that no lab needs are refused with `EPERM`, as a program
//! expects of a machine that will not, so that only the attempt fails and not the program.

use std::collections::BTreeMap;

use crate::confinement::Purpose;
use nix::libc::{self, sock_filter};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// Calls that change what a machine is, look into other processes, or open a way out.
const REFUSED: &[i64] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Other ways to pass bytes than the segment.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_mknod,
    libc::SYS_mknodat,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Namespaces, mounts, other roots.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    // The kernel's large surfaces.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_personality,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    // A place in the queue before others.
    libc::SYS_ioprio_set,
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
];

/// `ioctl`s that type on a terminal or change it.
const REFUSED_IOCTLS: [u64; 3] = [libc::TIOCSTI, libc::TIOCSETD, libc::TIOCLINUX];

/// Flags of `clone` that make namespaces.
const NAMESPACE_FLAGS: [i32; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// The filters in the order in which they are put in force.
pub(crate) fn programs(purpose: Purpose) -> Result<Vec<BpfProgram>, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().map(|&call| (call, Vec::new())).collect();
    // No kind of socket: none is needed, and some reach past every namespace.
    rules.insert(libc::SYS_socket, Vec::new());
    if purpose == Purpose::Compiler {
        for call in [libc::SYS_memfd_create, libc::SYS_mknodat, libc::SYS_mbind] {
            rules.remove(&call);
        }
    } else {
        rules.insert(libc::SYS_socketpair, Vec::new());
    }
    let bits = |argument, value: u64| {
        let equal = SeccompCmpOp::MaskedEq(value);
        let length = SeccompCmpArgLen::Qword;
        let condition = SeccompCondition::new(argument, length, equal, value);
        condition.and_then(|condition| SeccompRule::new(vec![condition]))
    };
    let equals = |argument, value: u64| {
        let (equal, length) = (SeccompCmpOp::Eq, SeccompCmpArgLen::Dword);
        let condition = SeccompCondition::new(argument, length, equal, value);
        condition.and_then(|condition| SeccompRule::new(vec![condition]))
    };
    let mut told = Vec::new();
    for flag in NAMESPACE_FLAGS {
        told.push(bits(0, flag as u64).map_err(|error| error.to_string())?);
    }
    rules.insert(libc::SYS_clone, told);
    let mut told = Vec::new();
    for number in REFUSED_IOCTLS {
        told.push(equals(1, number).map_err(|error| error.to_string())?);
    }
    rules.insert(libc::SYS_ioctl, told);
    let compiled = |rules, answer| -> Result<BpfProgram, String> {
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, answer, arch);
        let filter = filter.map_err(|error| error.to_string())?;
        filter.try_into().map_err(|error: seccompiler::BackendError| error.to_string())
    };
    // Its flags lie in memory, where a filter cannot look; libc falls back to `clone`.
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    Ok(vec![
        no_x32(),
        compiled(clone3, SeccompAction::Errno(libc::ENOSYS as u32))?,
        compiled(rules, SeccompAction::Errno(libc::EPERM as u32))?,
    ])
}

/// Refuses the calls of the x32 interface: they come with the architecture of x86-64, and other
/// numbers, so that they would pass a list.
fn no_x32() -> BpfProgram {
    const X32: u32 = 0x4000_0000;
    let plain = |code: u32, k| sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let at_least = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    let refuse = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    let instructions = [
        plain(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        sock_filter { code: at_least, jt: 0, jf: 1, k: X32 },
        plain(libc::BPF_RET | libc::BPF_K, refuse),
        plain(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let own =
        |i: sock_filter| seccompiler::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
    instructions.into_iter().map(own).collect()
}

/// Refuses what a plain container of today refuses: namespaces and mounts. With it a machine that
/// allows them can show how the lower tier holds.
///
/// # Errors
///
/// When the filter cannot be made or put in force.
pub fn plain_container() -> Result<(), String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = [
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_move_mount,
        libc::SYS_fsopen,
        libc::SYS_fsmount,
        libc::SYS_open_tree,
        libc::SYS_mount_setattr,
        libc::SYS_io_uring_setup,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_pidfd_getfd,
    ]
    .into_iter()
    .map(|call| (call, Vec::new()))
    .collect();
    let mut told = Vec::new();
    for flag in NAMESPACE_FLAGS {
        let (op, length) = (SeccompCmpOp::MaskedEq(flag as u64), SeccompCmpArgLen::Qword);
        let condition = SeccompCondition::new(0, length, op, flag as u64);
        let rule = condition.and_then(|condition| SeccompRule::new(vec![condition]));
        told.push(rule.map_err(|error| error.to_string())?);
    }
    rules.insert(libc::SYS_clone, told);
    for (rules, errno) in
        [(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS), (rules, libc::EPERM)]
    {
        let filter = SeccompFilter::new(
            rules,
            SeccompAction::Allow,
            SeccompAction::Errno(errno as u32),
            arch,
        );
        let filter = filter.map_err(|error| error.to_string())?;
        let program: BpfProgram =
            filter.try_into().map_err(|error: seccompiler::BackendError| error.to_string())?;
        seccompiler::apply_filter(&program).map_err(|error| error.to_string())?;
    }
    Ok(())
}
