//! Runs one program of a student. Every program gets a process group of its own: killing only the
//! child would leave us reading a pipe that a grandchild still holds.
//!
//! Its pipes are read without blocking and without threads, so that "it has printed nothing" and
//! "it sleeps" can be seen in one look.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, Signal, kill, killpg, signal};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use sandbox::Confinement;

use crate::{cleanup, procfs};

/// Most bytes kept of each output stream; what comes after is read and dropped.
const OUTPUT_CAP: usize = 4 << 20;

/// The patience of a program, unless told.
const PATIENCE: Duration = Duration::from_secs(5);

/// Patience of a program that is meant to wait: far more than any check takes, on any machine.
pub(crate) const LONG_PATIENCE: Duration = Duration::from_secs(600);

/// No file of a program, the object in `/dev/shm` included, grows beyond this many bytes.
const FILE_CAP: u64 = 256 << 20;

/// Processor seconds after which the kernel ends a program that computes for ever.
const CPU_CAP: u64 = 120;

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It returned this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl Exit {
    /// The exit told as a clause: `exits with 13`, `dies of SIGBUS`.
    pub fn told(self) -> String {
        match self {
            Exit::Code(code) => format!("exits with {code}{}", meaning(code)),
            Exit::Signal(number) => format!("dies of {}", signal_name(number)),
        }
    }
}

/// What is special about a program's start; the default is nothing.
#[derive(Default)]
pub struct Start<'a> {
    /// Its arguments.
    pub arguments: &'a [&'a str],
    /// Variables on top of the fixed environment.
    pub environment: &'a [(&'a str, String)],
    /// How long it may wait when it opens, as its `LAB_PATIENCE_MS`; 5 s unless told.
    pub patience: Option<Duration>,
    /// The file creation mask, 022 unless told.
    pub umask: Option<u32>,
    /// Largest file it may make, in bytes; a larger `ftruncate` fails with `EFBIG`.
    pub largest_file: Option<u64>,
    /// Bytes it may have mapped in all; an `mmap` beyond that fails with `ENOMEM`.
    pub address_space: Option<u64>,
    /// Take away the privilege to ignore file modes, so that permissions hold for root as well.
    pub obey_modes: bool,
    /// Read standard input from this file instead of from a pipe.
    pub input: Option<File>,
    /// Write standard output to this file instead of to a pipe.
    pub output: Option<File>,
    /// What it gives up before it runs.
    pub confinement: Option<Arc<Confinement>>,
}

impl Start<'_> {
    /// A start with another patience, and else nothing special.
    pub fn with_patience(patience: Duration) -> Self {
        Start { patience: Some(patience), ..Start::default() }
    }
}

/// A running or ended program. Dropping it kills its whole group.
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    out: Vec<u8>,
    err: Vec<u8>,
    taken: usize,
    flooded: bool,
    reaped: bool,
}

impl Process {
    /// Starts `program` in `folder`.
    ///
    /// # Errors
    ///
    /// What the system says when a program cannot be started: our fault, not the program's.
    pub fn start(program: &Path, folder: &Path, start: Start<'_>) -> io::Result<Process> {
        let mut command = Command::new(program);
        let patience = start.patience.unwrap_or(PATIENCE);
        command
            .args(start.arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("LAB_PATIENCE_MS", patience.as_millis().to_string())
            .envs(start.environment.iter().map(|(key, value)| (key, value)))
            .current_dir(folder)
            .process_group(0)
            .stdin(start.input.map_or_else(Stdio::piped, Stdio::from))
            .stdout(start.output.map_or_else(Stdio::piped, Stdio::from))
            .stderr(Stdio::piped());
        let mask = start.umask.unwrap_or(0o022);
        // A confinement has a limit of its own.
        let cap = if start.confinement.is_some() { libc::RLIM_INFINITY } else { FILE_CAP };
        let largest_file = start.largest_file.unwrap_or(cap);
        let address_space = start.address_space.unwrap_or(libc::RLIM_INFINITY);
        let obey_modes = start.obey_modes;
        // SAFETY: between fork and exec only async-signal-safe calls are allowed. The closure makes
        // system calls and nothing else: it neither allocates nor takes a lock, and what it captures
        // are four integers of its own.
        unsafe { command.pre_exec(move || prepare(mask, largest_file, address_space, obey_modes)) };
        confine(&mut command, start.confinement);
        let mut child = command.spawn()?;
        cleanup::watch_group(Pid::from_raw(child.id() as i32));
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        if let Some(pipe) = &stdout {
            never_block(pipe)?;
        }
        if let Some(pipe) = &stderr {
            never_block(pipe)?;
        }
        let (out, err) = (Vec::new(), Vec::new());
        Ok(Process {
            child,
            stdin,
            stdout,
            stderr,
            out,
            err,
            taken: 0,
            flooded: false,
            reaped: false,
        })
    }

    /// Its process id, ours until the process is dropped even when it has ended.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Writes to its standard input. A program that has ended or closed it is not an error here:
    /// what it did instead is seen from its exit.
    pub fn send(&mut self, bytes: &[u8]) {
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(bytes);
        }
    }

    /// Ends its standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Whether its standard input has been ended.
    pub fn input_has_ended(&self) -> bool {
        self.stdin.is_none()
    }

    /// Looks whether it has ended, without reaping it: as long as it is not reaped, its pid and so
    /// its group's number cannot become another's.
    pub fn exit(&self) -> Option<Exit> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.pid()), flags) {
            Ok(WaitStatus::Exited(_, code)) => Some(Exit::Code(code)),
            Ok(WaitStatus::Signaled(_, signal, _)) => Some(Exit::Signal(signal as i32)),
            _ => None,
        }
    }

    /// The next whole line of its standard output that has not been taken yet, without the newline;
    /// after its end also an unfinished last line.
    pub fn take_line(&mut self) -> Option<String> {
        let ended = self.exit().is_some();
        self.drain();
        let rest = &self.out[self.taken..];
        let (line, used) = match rest.iter().position(|&byte| byte == b'\n') {
            Some(end) => (&rest[..end], end + 1),
            None if ended && !rest.is_empty() => (rest, rest.len()),
            None => return None,
        };
        let line = String::from_utf8_lossy(line).into_owned();
        self.taken += used;
        Some(line)
    }

    /// All it has printed so far, taken or not, up to the cap.
    pub fn output(&mut self) -> &[u8] {
        self.drain();
        &self.out
    }

    /// The end of what it has written to standard error.
    pub fn errors(&mut self) -> String {
        self.drain();
        let tail = self.err.len().saturating_sub(4096);
        String::from_utf8_lossy(&self.err[tail..]).trim_end().to_owned()
    }

    /// Whether it printed more than is kept.
    pub fn flooded(&self) -> bool {
        self.flooded
    }

    /// Processor time so far.
    pub fn cpu_time(&self) -> Duration {
        procfs::cpu_time(self.pid())
    }

    /// Sends it one signal, which has no effect once it has ended.
    pub fn signal(&self, signal: Signal) {
        if !self.reaped {
            let _ = kill(self.pid(), signal);
        }
    }

    /// Kills it and everything in its group with -9 and waits for its end. Its exit stays readable
    /// no more: use it on a program whose end is no longer of interest.
    pub fn kill(&mut self) {
        if self.reaped {
            return;
        }
        let _ = killpg(self.pid(), Signal::SIGKILL);
        // It may have gone into another group.
        let _ = kill(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
        cleanup::forget_group(self.pid());
        self.reaped = true;
    }

    fn drain(&mut self) {
        if let Some(pipe) = &mut self.stdout {
            self.flooded |= !drain_into(pipe, &mut self.out);
        }
        if let Some(pipe) = &mut self.stderr {
            drain_into(pipe, &mut self.err);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Has the program of `command` give up what the confinement says before it runs.
pub(crate) fn confine(command: &mut Command, confinement: Option<Arc<Confinement>>) {
    if let Some(confinement) = confinement {
        // SAFETY: between fork and exec only async-signal-safe calls are allowed. Entering makes
        // system calls and nothing else, on what was made ready before and lives in the closure.
        unsafe { command.pre_exec(move || confinement.enter()) };
    }
}

/// Runs in the child between fork and exec.
fn prepare(mask: u32, largest_file: u64, address_space: u64, obey_modes: bool) -> io::Result<()> {
    umask(Mode::from_bits_truncate(mask));
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_CPU, CPU_CAP, CPU_CAP)?;
    if largest_file != libc::RLIM_INFINITY {
        setrlimit(Resource::RLIMIT_FSIZE, largest_file, largest_file)?;
    }
    if address_space != libc::RLIM_INFINITY {
        setrlimit(Resource::RLIMIT_AS, address_space, address_space)?;
    }
    // With the signal ignored, growing past the limit is an error the program sees.
    // SAFETY: ignoring a signal installs no handler, so there is nothing that could run.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }?;
    if obey_modes {
        // Out of the bounding set, the privilege cannot come back at exec. An ordinary user has
        // none to lose: the call fails and nothing needs to be done.
        for privilege in [1, 2] {
            // SAFETY: PR_CAPBSET_DROP takes one integer and touches no memory.
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, privilege, 0, 0, 0) };
        }
    }
    // Should we be killed with -9, the program dies too.
    // SAFETY: PR_SET_PDEATHSIG takes one integer and touches no memory.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
    Ok(())
}

fn never_block(pipe: &impl AsFd) -> io::Result<()> {
    fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Reads all there is. False when the cap was reached and bytes were dropped.
fn drain_into(pipe: &mut impl Read, kept: &mut Vec<u8>) -> bool {
    let mut whole = true;
    let mut buffer = [0; 16 << 10];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return whole,
            Ok(count) => {
                let room = OUTPUT_CAP.saturating_sub(kept.len()).min(count);
                kept.extend_from_slice(&buffer[..room]);
                whole &= room == count;
                // A program that prints without end must not hold us in this loop.
                if !whole {
                    return false;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return whole,
        }
    }
}

/// What an exit code of the labs means, in brackets; nothing for others.
fn meaning(code: i32) -> &'static str {
    match code {
        10 => " (the name exists)",
        11 => " (no such name)",
        12 => " (permission denied)",
        13 => " (wrong format)",
        14 => " (not ready in time)",
        15 => " (too small)",
        16 => " (too long)",
        17 => " (full)",
        18 => " (out of range)",
        20 => " (an error of the operating system)",
        21 => " (closed)",
        101 => " (a panic)",
        _ => "",
    }
}

/// `SIGBUS` for 7, and so on; the bare number where it has no name.
fn signal_name(number: i32) -> String {
    Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |s| s.as_str().to_owned())
}
