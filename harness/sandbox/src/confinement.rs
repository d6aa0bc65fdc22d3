//! What one program enters just before it runs.
//!
//! Everything that allocates is done beforehand; what is left for the new process are system calls.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};
use nix::libc;
use seccompiler::BpfProgram;
use serde::{Deserialize, Serialize};

use crate::defence::Defence;
use crate::filter;
use crate::limits::Limits;
use crate::paths;

/// The newest rules we know; what a kernel has not is left out.
const NEWEST: ABI = ABI::V6;

/// What a program is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// A student's program: shared memory, and no other way to pass bytes.
    Program,
    /// A compiler: it reads a toolchain and writes folders.
    Compiler,
}

/// What a program may do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// What it is for.
    pub purpose: Purpose,
    /// How much of everything.
    pub limits: Limits,
    /// Files and folders it may read and run, on top of the system's.
    pub read: Vec<PathBuf>,
    /// Folders it may do everything in.
    pub write: Vec<PathBuf>,
    /// Folders it may have plain files in: no folder, no link, no pipe.
    pub share: Vec<PathBuf>,
    /// Whether it may look at `/proc`: only where the processes there are its own.
    pub see_processes: bool,
    /// Defences that are left out, to show what they are there for.
    pub without: Vec<Defence>,
}

/// A policy made ready to be entered by any number of programs, one after the other or at once.
#[derive(Debug)]
pub struct Confinement {
    ruleset: Option<OwnedFd>,
    filters: Vec<BpfProgram>,
    limits: Limits,
    closes: bool,
    rules: u32,
}

impl Confinement {
    /// Makes a policy ready. A kernel without Landlock gives a confinement without it: see
    /// [`Confinement::landlock`].
    ///
    /// # Errors
    ///
    /// When a filter cannot be made for this processor.
    pub fn new(policy: &Policy) -> Result<Confinement, String> {
        let has = |defence| !policy.without.contains(&defence);
        let ruleset = if has(Defence::Landlock) {
            ruleset(policy).map_err(|error| error.to_string())?
        } else {
            None
        };
        let filters =
            if has(Defence::Seccomp) { filter::programs(policy.purpose)? } else { Vec::new() };
        let mut limits = policy.limits;
        for (defence, limit) in [
            (Defence::ProcessLimit, &mut limits.processes),
            (Defence::FileSizeLimit, &mut limits.file_size),
            (Defence::OpenFilesLimit, &mut limits.open_files),
            (Defence::MemoryLimit, &mut limits.data),
        ] {
            if !has(defence) {
                *limit = None;
            }
        }
        if !has(Defence::MemoryLimit) {
            limits.address_space = None;
        }
        let rules = if ruleset.is_some() { version() } else { 0 };
        Ok(Confinement { ruleset, filters, limits, closes: has(Defence::ClosedDescriptors), rules })
    }

    /// The version of Landlock's rules in force; 0 where there is none. From 6 on, signals stay
    /// inside too.
    pub fn landlock(&self) -> u32 {
        self.rules
    }

    /// Confines the calling process. Makes system calls and nothing else, so it may run between fork
    /// and exec. There is no way back.
    ///
    /// # Errors
    ///
    /// What the system says; the program must not be run then.
    pub fn enter(&self) -> io::Result<()> {
        self.limits.enter()?;
        if self.closes {
            // At exec, so that whoever starts us can still be told of a failure.
            let flags = libc::CLOSE_RANGE_CLOEXEC as libc::c_int;
            // SAFETY: close_range takes three integers.
            check(unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, flags) })?;
        }
        // SAFETY: PR_SET_NO_NEW_PRIVS takes one integer and touches no memory.
        check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())?;
        no_privileges()?;
        if let Some(ruleset) = &self.ruleset {
            // SAFETY: landlock_restrict_self takes a descriptor, which is open, and flags.
            check(unsafe {
                libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0)
            })?;
        }
        for program in &self.filters {
            seccompiler::apply_filter(program)
                .map_err(|_| io::Error::from_raw_os_error(last_error()))?;
        }
        Ok(())
    }
}

/// Gives up every privilege, for good once no new ones can be had.
pub(crate) fn no_privileges() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    // _LINUX_CAPABILITY_VERSION_3, and this very process.
    let header = Header { version: 0x2008_0522, pid: 0 };
    let none = [0_u32; 6];
    // SAFETY: the kernel reads a header and, with this version, two times three words; both live on
    // our stack until the call returns.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) })
}

pub(crate) fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn last_error() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EPERM)
}

/// The rules as the kernel holds them; nothing where it has none.
fn ruleset(policy: &Policy) -> Result<Option<OwnedFd>, landlock::RulesetError> {
    let reading = AccessFs::from_read(NEWEST);
    let writing = AccessFs::from_all(NEWEST)
        & !(AccessFs::MakeSock | AccessFs::MakeFifo | AccessFs::MakeChar | AccessFs::MakeBlock);
    let sharing = AccessFs::ReadFile
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::ReadDir
        | AccessFs::MakeReg
        | AccessFs::RemoveFile;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let mut readable = paths::of_the_system();
    readable.extend(policy.read.iter().cloned());
    if policy.see_processes {
        readable.push("/proc".into());
    }
    let devices = paths::DEVICES.map(PathBuf::from);
    let device = AccessFs::ReadFile | AccessFs::WriteFile;
    let lists: [(&[PathBuf], BitFlags<AccessFs>); 4] = [
        (&readable, reading),
        (&devices, device),
        (&policy.write, writing),
        (&policy.share, sharing),
    ];
    for (list, access) in lists {
        for path in list {
            // What is not there need not be allowed.
            let Ok(file) = PathFd::new(path) else { continue };
            let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
            rules = rules.add_rule(PathBeneath::new(file, access))?;
        }
    }
    Ok(rules.into())
}

/// The version of Landlock's rules that this kernel has; 0 for none.
fn version() -> u32 {
    const VERSION: libc::c_int = 1;
    let null = std::ptr::null::<u8>();
    // SAFETY: with this flag the kernel reads no attribute: a null of size 0 is what it asks for.
    let found = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, null, 0, VERSION) };
    u32::try_from(found).unwrap_or(0)
}
