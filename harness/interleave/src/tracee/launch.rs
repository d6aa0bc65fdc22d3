//! Starts a program under control: stopped at its first instruction, with our code and the shadow
//! mapped, and with the filter in place.

use std::ffi::{CString, OsStr, OsString, c_char};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::Relaxed;

use memmap2::{Advice, MmapOptions, MmapRaw};
use nix::fcntl::{FcntlArg, FdFlag, SealFlag, fcntl};
use nix::libc::{self, sock_filter};
use nix::sched::{CloneFlags, CpuSet, clone, sched_setaffinity};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::ptrace;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use super::{ARENA, ARENA_LEN, CODE, CODE_LEN, DISTANCE, Tracee, Watchdog, filter};
use crate::{Confine, Unsupported};

/// Processor seconds after which a program that computes for ever is ended by the kernel.
const CPU_SECONDS: u64 = 2;

/// No file of a program grows beyond this many bytes.
const FILE_CAP: u64 = 256 << 20;

/// What a new process needs of a stack before it runs the program.
const CHILD_STACK: usize = 64 << 10;

/// `AT_SYSINFO_EHDR`, where a program finds the calls it can make without the kernel.
const AT_SYSINFO_EHDR: u64 = 33;

/// `AT_RANDOM`, sixteen bytes that are different in each run.
const AT_RANDOM: u64 = 25;

/// What to start, and with what.
pub(crate) struct Start<'a> {
    pub(crate) program: &'a Path,
    pub(crate) arguments: &'a [OsString],
    pub(crate) environment: &'a [(OsString, OsString)],
    pub(crate) input: File,
    pub(crate) output: File,
    pub(crate) errors: File,
    pub(crate) processor: Option<usize>,
    pub(crate) confine: Option<Confine<'a>>,
}

/// Starts a program and stops it at its first instruction.
pub(crate) fn launch(start: Start<'_>, watchdog: &Watchdog) -> Result<Tracee, Unsupported> {
    let (memory, runtime) = runtime().map_err(|error| Unsupported::System(error.to_string()))?;
    let (descriptor, processor) = (memory.as_raw_fd(), start.processor);
    let filter = filter::program();
    let prepared = || prepare(descriptor, processor, start.confine, &filter);
    let pid = spawn(&start, prepared)
        .map_err(|error| Unsupported::Start(format!("{}: {error}", start.program.display())))?;
    let leash = watchdog.leash(pid)?;
    let memory_file = File::options()
        .read(true)
        .write(true)
        .open(format!("/proc/{pid}/mem"))
        .map_err(|error| Unsupported::System(format!("/proc/PID/mem: {error}")));
    let mut tracee = match memory_file {
        Ok(file) => Tracee { pid, runtime: Rc::new(runtime), memory: file, leash, ended: false },
        Err(error) => {
            let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
            let _ = nix::sys::wait::waitpid(pid, None);
            return Err(error);
        }
    };
    match tracee.wait_for_any()? {
        WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
        status => {
            return Err(Unsupported::System(format!("the program did not stop: {status:?}")));
        }
    }
    let options = ptrace::Options::PTRACE_O_EXITKILL
        | ptrace::Options::PTRACE_O_TRACESYSGOOD
        | ptrace::Options::PTRACE_O_TRACEEXEC
        | ptrace::Options::PTRACE_O_TRACESECCOMP;
    ptrace::setoptions(pid, options).map_err(Unsupported::system("PTRACE_SETOPTIONS"))?;
    // The file behind /proc/PID/mem is the memory of before exec; take the new one's.
    tracee.memory = File::options()
        .read(true)
        .write(true)
        .open(format!("/proc/{pid}/mem"))
        .map_err(|error| Unsupported::System(format!("/proc/PID/mem: {error}")))?;
    settle(&mut tracee, descriptor)?;
    Ok(tracee)
}

/// Starts a program in a process group of its own, after `prepare` in the new process. Until it runs
/// the program, the new process borrows our memory and we stand still: to copy what tells where our
/// pages are takes as long as all the rest of it.
fn spawn(start: &Start<'_>, prepare: impl Fn() -> io::Result<()>) -> io::Result<Pid> {
    let text = |text: &OsStr| CString::new(text.as_bytes()).map_err(io::Error::from);
    let program = text(start.program.as_os_str())?;
    let mut words = vec![program.clone()];
    for argument in start.arguments {
        words.push(text(argument)?);
    }
    let mut variables = Vec::new();
    for (key, value) in start.environment {
        let pair = [key.as_bytes(), b"=", value.as_bytes()].concat();
        variables.push(text(OsStr::from_bytes(&pair))?);
    }
    let pointers = |list: &[CString]| -> Vec<*const c_char> {
        list.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(&words), pointers(&variables));
    let streams = [&start.input, &start.output, &start.errors].map(AsRawFd::as_raw_fd);
    let failed = AtomicI32::new(0);
    let begin = || -> io::Result<()> {
        nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
        for (target, stream) in (0..).zip(streams) {
            // SAFETY: dup2 takes integers. Ours are behind the three targets, so none is overwritten
            // before it is copied.
            nix::errno::Errno::result(unsafe { libc::dup2(stream, target) })?;
        }
        SigSet::empty().thread_set_mask()?;
        // SAFETY: the default action installs no handler, so there is nothing that could run.
        unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }?;
        prepare()?;
        // SAFETY: a path and two lists with a null at their ends, all of which outlive the call,
        // since whoever owns them stands still.
        unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
        Err(io::Error::last_os_error())
    };
    let child = Box::new(|| {
        let error = begin().err().and_then(|error| error.raw_os_error());
        failed.store(error.unwrap_or(libc::EINVAL), Relaxed);
        127
    });
    let mut stack = vec![0; CHILD_STACK];
    let flags = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK;
    // SAFETY: the new process shares our memory, but this thread stands still until it runs the
    // program or ends, so that nobody else uses what the closure borrows, nor this thread's errno;
    // and it has a stack of its own. The closure makes system calls and takes no lock.
    let pid = unsafe { clone(child, &mut stack, flags, Some(libc::SIGCHLD)) }?;
    match failed.load(Relaxed) {
        0 => Ok(pid),
        error => {
            nix::sys::wait::waitpid(pid, None)?;
            Err(io::Error::from_raw_os_error(error))
        }
    }
}

impl Tracee {
    /// Takes over a process that a traced one has forked off. It shares the code and the shadow
    /// with its parent, which does not run as long as it lives.
    pub(crate) fn of_fork(
        pid: Pid,
        parent: &Tracee,
        watchdog: &Watchdog,
    ) -> Result<Tracee, Unsupported> {
        let leash = watchdog.leash(pid)?;
        let memory = File::options()
            .read(true)
            .write(true)
            .open(format!("/proc/{pid}/mem"))
            .map_err(|error| Unsupported::System(format!("/proc/PID/mem: {error}")))?;
        Ok(Tracee { pid, runtime: Rc::clone(&parent.runtime), memory, leash, ended: false })
    }
}

/// Memory for our code and the shadow. It costs only the pages that are touched.
fn runtime() -> io::Result<(OwnedFd, MmapRaw)> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let memory = memfd_create(c"interleave", flags)?;
    let len = CODE_LEN + ARENA_LEN as usize;
    nix::unistd::ftruncate(&memory, len as i64)?;
    fcntl(&memory, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW))?;
    let runtime = MmapOptions::new().len(len).map_raw(&memory)?;
    // No child of ours needs it, and starting one copies what tells where its pages are.
    runtime.advise(Advice::DontFork)?;
    Ok((memory, runtime))
}

/// Runs in the new process, before the program.
fn prepare(
    descriptor: RawFd,
    processor: Option<usize>,
    confine: Option<Confine<'_>>,
    program: &[sock_filter],
) -> io::Result<()> {
    // Should we die before the options are set: the process dies too.
    // SAFETY: PR_SET_PDEATHSIG takes one integer and touches no memory.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
    ptrace::traceme()?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // The first limit sends SIGXCPU, by which we know it; the second would be a plain kill.
    setrlimit(Resource::RLIMIT_CPU, CPU_SECONDS, CPU_SECONDS + 1)?;
    setrlimit(Resource::RLIMIT_FSIZE, FILE_CAP, FILE_CAP)?;
    // SAFETY: ignoring a signal installs no handler, so there is nothing that could run.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }?;
    if let Some(processor) = processor {
        let mut set = CpuSet::new();
        set.set(processor)?;
        // Handing over between processes costs 3 us on one processor and 77 us across two.
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
    // Traced already, since this may take away the right to be.
    confine.map_or(Ok(()), |confine| confine())?;
    // SAFETY: F_SETFD takes integers; the descriptor is open, our copy of the parent's.
    nix::errno::Errno::result(unsafe {
        libc::fcntl(descriptor, libc::F_SETFD, FdFlag::empty().bits())
    })?;
    let filter =
        libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: PR_SET_NO_NEW_PRIVS takes one integer and touches no memory.
    nix::errno::Errno::result(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    // SAFETY: the kernel reads the filter, `len` instructions that live until the call returns, and
    // writes nothing.
    nix::errno::Errno::result(unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter, 0, 0)
    })?;
    Ok(())
}

/// Maps code and shadow, and takes away what differs from run to run.
fn settle(tracee: &mut Tracee, descriptor: RawFd) -> Result<(), Unsupported> {
    const CALL: [u8; 3] = [0x0f, 0x05, 0xcc]; // syscall; int3
    tracee.put_code(0, &CALL);
    let entry = tracee.registers()?;
    let mut before = [0; 3];
    tracee.read(entry.rip, &mut before);
    tracee.write(entry.rip, &CALL)?;
    let fixed = (libc::MAP_SHARED | libc::MAP_FIXED_NOREPLACE) as u64;
    let executable = (libc::PROT_READ | libc::PROT_EXEC) as u64;
    let writable = (libc::PROT_READ | libc::PROT_WRITE) as u64;
    let file = descriptor as u64;
    let code = [CODE, CODE_LEN as u64, executable, fixed, file, 0];
    let at = tracee.inject_at(entry.rip, libc::SYS_mmap, code)?;
    tracee.write(entry.rip, &before)?;
    let shadow = [ARENA + DISTANCE, ARENA_LEN, writable, fixed, file, CODE_LEN as u64];
    let shadow_at = tracee.inject(libc::SYS_mmap, shadow)?;
    if at != CODE as i64 || shadow_at != (ARENA + DISTANCE) as i64 {
        return Err(Unsupported::System("no room at the addresses we need".to_owned()));
    }
    tracee.inject(libc::SYS_close, [file, 0, 0, 0, 0, 0])?;
    // argc, the arguments, 0, the environment, 0, and then pairs until a pair with 0.
    let mut at = entry.rsp + 8 * (tracee.read_u64(entry.rsp) + 2);
    while tracee.read_u64(at) != 0 {
        at += 8;
    }
    at += 8;
    loop {
        match tracee.read_u64(at) {
            0 => break,
            // Without it time is asked of the kernel, and so of us.
            AT_SYSINFO_EHDR => tracee.write(at, &1_u64.to_le_bytes())?,
            AT_RANDOM => tracee.write(tracee.read_u64(at + 8), &[0x5a; 16])?,
            _ => {}
        }
        at += 16;
    }
    tracee.set_registers(entry)
}
