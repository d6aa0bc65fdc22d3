//! How programs of strangers are kept in while they are built and judged.
//!
//! The work is done by this very program, started once more for each piece of work, in a cell
//! (`sandbox::Cell`); every program of the student's in it is confined once more. What comes back are
//! lines of JSON on a pipe that no student's program ever holds.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::spawn;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use sandbox::{Cell, Defence, Limits, Policy, Purpose, Tier};
use tempfile::TempDir;

use crate::cleanup;
use crate::record;

mod inside;
mod task;
mod unpack;
mod users;

pub use inside::main as inside_main;
pub use task::{Answer, Compile, Judge, Request, Task, Unpack};
use users::User;

/// What `/dev/shm` of a cell holds: as much as that of a plain container.
const SHM_BYTES: u64 = 64 << 20;
const SHM_FILES: u64 = 256;

/// What the judge's own files may take, those it hands to programs included.
const TMP_BYTES: u64 = 128 << 20;

/// The same while compiling.
const COMPILER_TMP_BYTES: u64 = 512 << 20;

/// What one program of a student's may use. The crowds of the labs are a dozen processes, their
/// largest objects a few megabytes.
const PROGRAM: Limits = Limits {
    processes: Some(128),
    address_space: Some(2 << 30),
    data: Some(256 << 20),
    file_size: Some(64 << 20),
    open_files: Some(128),
    cpu_seconds: Some(60),
};

/// What the compiler may use: a lab takes it a second or two and 300 MB.
const COMPILER: Limits = Limits {
    processes: Some(256),
    address_space: None,
    data: Some(3 << 30),
    file_size: Some(512 << 20),
    open_files: Some(1024),
    cpu_seconds: Some(20),
};

/// What unpacking an archive may use.
const UNPACKER: Limits = Limits {
    processes: Some(128),
    address_space: Some(2 << 30),
    data: Some(256 << 20),
    file_size: Some(16 << 20),
    open_files: Some(64),
    cpu_seconds: Some(20),
};

/// How long it may take.
const UNPACK_DEADLINE: Duration = Duration::from_secs(60);

/// How long the compiler may take altogether, whatever it waits for.
const COMPILE_DEADLINE: Duration = Duration::from_secs(240);

/// How long a machine may take to prove what it can.
const PROBE_DEADLINE: Duration = Duration::from_secs(30);

/// The confinement that every submission of a batch gets.
#[derive(Debug)]
pub struct Isolation {
    tier: Tier,
    harness: PathBuf,
    without: Vec<Defence>,
    found: record::Isolation,
    /// Where a copy of our own program lies, if its own place is not for everybody.
    _copy: Option<TempDir>,
}

/// What came of a piece of work.
pub struct Done {
    /// Its lines, in order.
    pub answers: Vec<Answer>,
    /// Why it ended early, where it did.
    pub cut: Option<Cut>,
}

/// Why a piece of work ended before it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Its time was up.
    Deadline,
    /// It died, in these words.
    Died(String),
}

impl Isolation {
    /// The strongest confinement that this machine allows, at most `most`, found by doing it.
    /// `without` leaves defences out, for tests that show what they are there for.
    ///
    /// # Errors
    ///
    /// When not even the weakest works: then no program can be judged here.
    pub fn strongest(harness: &Path, most: Tier, without: &[Defence]) -> Result<Isolation> {
        let mut missing = Vec::new();
        for tier in [Tier::T2, Tier::T1, Tier::T0] {
            if tier > most {
                continue;
            }
            let isolation = Isolation {
                tier,
                harness: harness.to_owned(),
                without: without.to_vec(),
                found: record::Isolation::default(),
                _copy: None,
            };
            let isolation = isolation.with_a_program_for_all()?;
            match isolation.prove() {
                Ok(features) => {
                    let found = record::Isolation { tier: tier.into(), features, missing };
                    return Ok(Isolation { found, ..isolation });
                }
                Err(why) => missing.push(format!("{tier}: {why:#}")),
            }
        }
        bail!("no program can be run here at all\n  {}", missing.join("\n  "))
    }

    /// How much of it there is.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// What is written into every record.
    pub fn record(&self) -> &record::Isolation {
        &self.found
    }

    /// Has the compiler run in a cell that sees the toolchain and these folders and nothing else.
    ///
    /// # Errors
    ///
    /// When there is no cell: the machine's fault.
    pub fn compile(&self, compile: Compile, read: &[PathBuf], write: &Path) -> Result<Answer> {
        let user = self.user()?;
        // Without a file system of its own, another user could not even get there. The compiler runs
        // nothing of the student's, and Landlock tells it what it may read.
        let open_to_all = || read.iter().all(|path| all_may_read(path)) && all_may_read(write);
        let user = user.filter(|_| self.tier == Tier::T2 || open_to_all());
        if let Some(user) = &user {
            users::give(write, user.number())?;
        }
        let mut cell = self.cell(user.as_ref());
        cell.tmp_bytes = COMPILER_TMP_BYTES;
        cell.read.extend(read.iter().cloned());
        cell.write.push(write.to_owned());
        let mut policy = self.policy(Purpose::Compiler, COMPILER);
        policy.read.extend(read.iter().cloned());
        policy.write.extend([write.to_owned(), PathBuf::from("/tmp")]);
        // Cargo keeps locks there, and the compiler asks how much memory there is.
        policy.see_processes = true;
        let request = Request { cell, policy, task: Task::Compile(compile) };
        let done = self.ask(&request, user, COMPILE_DEADLINE, |_| {})?;
        match (done.answers.into_iter().next(), done.cut) {
            (Some(answer), _) => Ok(answer),
            (None, Some(Cut::Deadline)) => Ok(Answer::Compiled {
                code: None,
                signal: None,
                words: format!("it took longer than {} s", COMPILE_DEADLINE.as_secs()),
            }),
            (None, Some(Cut::Died(how))) => bail!("the compiler's cell {how}"),
            (None, None) => bail!("the compiler's cell said nothing"),
        }
    }

    /// Has an archive unpacked into an empty folder, in a cell that sees nothing else. The inner error
    /// says why it is not taken.
    ///
    /// # Errors
    ///
    /// When there is no cell: the machine's fault.
    pub fn unpack(&self, archive: &Path, into: &Path) -> Result<Result<(), String>> {
        let user = self.user()?;
        // As with the compiler.
        let user = user.filter(|_| self.tier == Tier::T2 || all_may_read(archive));
        if let Some(user) = &user {
            users::give(into, user.number())?;
        }
        let mut cell = self.cell(user.as_ref());
        cell.read.push(archive.to_owned());
        cell.write.push(into.to_owned());
        let mut policy = self.policy(Purpose::Compiler, UNPACKER);
        policy.read.push(archive.to_owned());
        policy.write.push(into.to_owned());
        let task = Unpack { archive: archive.to_owned(), into: into.to_owned() };
        let request = Request { cell, policy, task: Task::Unpack(task) };
        let done = self.ask(&request, user, UNPACK_DEADLINE, |_| {})?;
        match (done.answers.into_iter().next(), done.cut) {
            (Some(Answer::Unpacked(result)), _) => Ok(result),
            (Some(answer), _) => bail!("the archive cannot be unpacked: {answer:?}"),
            // Whoever reads it dies of it, or does not come back: that is the archive's doing.
            (None, cut) => {
                Ok(Err(format!("it cannot be unpacked in the limits there are ({cut:?})")))
            }
        }
    }

    /// Has a submission judged in a cell that sees its program and nothing else. `tell` hears every
    /// line when it comes.
    ///
    /// # Errors
    ///
    /// When there is no cell: the machine's fault.
    pub fn judge(
        &self,
        mut judge: Judge,
        deadline: Duration,
        tell: impl FnMut(&Answer),
    ) -> Result<Done> {
        let user = self.user()?;
        let mut _copies = None;
        if self.tier == Tier::T1 && user.is_some() && !all_may_read(&judge.program) {
            let folder = open_folder()?;
            judge.program = copy_for_all(&judge.program, folder.path())?;
            for path in &mut judge.intermediate {
                *path = copy_for_all(path, folder.path())?;
            }
            _copies = Some(folder);
        }
        let mut cell = self.cell(user.as_ref());
        // The tracer reads in our own program where the standard library's lines are.
        cell.read.extend([judge.program.clone(), self.harness.clone()]);
        cell.read.extend(judge.intermediate.iter().cloned());
        let mut policy = self.policy(Purpose::Program, PROGRAM);
        policy.read.push(judge.program.clone());
        policy.share.push(PathBuf::from(cleanup::SHM_DIR));
        let request = Request { cell, policy, task: Task::Judge(Box::new(judge)) };
        self.ask(&request, user, deadline, tell)
    }

    /// Without a file system of its own, another user must be able to get at our program, which plays
    /// the peer and the tracer.
    fn with_a_program_for_all(self) -> Result<Isolation> {
        let another_user = self.tier == Tier::T1 && nix::unistd::geteuid().is_root();
        if !another_user || all_may_read(&self.harness) {
            return Ok(self);
        }
        let folder = open_folder()?;
        let harness = copy_for_all(&self.harness, folder.path())?;
        Ok(Isolation { harness, _copy: Some(folder), ..self })
    }

    /// Proves the tier by running something in it; returns its features.
    fn prove(&self) -> Result<Vec<String>> {
        let user = self.user()?;
        let mut policy = self.policy(Purpose::Program, PROGRAM);
        policy.share.push(PathBuf::from(cleanup::SHM_DIR));
        let request = Request { cell: self.cell(user.as_ref()), policy, task: Task::Prove };
        let splits = user.is_some();
        let done = self.ask(&request, user, PROBE_DEADLINE, |_| {})?;
        let landlock = match done.answers.into_iter().next() {
            Some(Answer::Proved { landlock }) => landlock,
            Some(Answer::Refused(why) | Answer::Broken(why)) => bail!("{why}"),
            answer => bail!("it said nothing of use ({answer:?}, {:?})", done.cut),
        };
        let taken_away = |defence| self.without.contains(&defence);
        let weakened = taken_away(Defence::Landlock) || taken_away(Defence::UserSplit);
        match self.tier {
            Tier::T2 if landlock == 0 && !weakened => bail!("the kernel has no Landlock"),
            Tier::T1 if !splits && landlock < 6 && !weakened => {
                bail!(
                    "neither a user of its own (not the superuser) nor Landlock 6 keeps signals in"
                )
            }
            _ => {}
        }
        let mut features = vec!["limits".to_owned()];
        if self.tier == Tier::T2 {
            features.push("namespaces".to_owned());
        }
        if self.tier > Tier::T0 {
            features.push("seccomp".to_owned());
        }
        if splits {
            features.push("user-split".to_owned());
        }
        if landlock > 0 {
            features.push(format!("landlock-{landlock}"));
        }
        Ok(features)
    }

    /// A user for one piece of work, where we may become another.
    fn user(&self) -> Result<Option<User>> {
        let wanted = self.tier > Tier::T0 && nix::unistd::geteuid().is_root();
        wanted.then(User::take).transpose()
    }

    fn cell(&self, user: Option<&User>) -> Cell {
        Cell {
            tier: self.tier,
            user: user.map(User::number),
            shm_bytes: SHM_BYTES,
            shm_files: SHM_FILES,
            tmp_bytes: TMP_BYTES,
            read: Vec::new(),
            write: Vec::new(),
            without: self.without.clone(),
        }
    }

    fn policy(&self, purpose: Purpose, limits: Limits) -> Policy {
        let mut without = self.without.clone();
        if self.tier == Tier::T0 {
            without.extend([Defence::Landlock, Defence::Seccomp]);
        }
        Policy {
            purpose,
            limits,
            read: Vec::new(),
            write: Vec::new(),
            share: Vec::new(),
            // In the upper tier there are none but those of the cell.
            see_processes: self.tier != Tier::T1,
            without,
        }
    }

    /// Starts the cell, sends the request, and hears the answers until the cell is gone with all that
    /// was in it.
    fn ask(
        &self,
        request: &Request,
        user: Option<User>,
        deadline: Duration,
        mut tell: impl FnMut(&Answer),
    ) -> Result<Done> {
        let mut command = Command::new(&self.harness);
        command.arg("__cell");
        // A session of its own: no terminal can be typed on from there, and its group is its pid.
        // SAFETY: setsid is one system call, and may be made between fork and exec.
        unsafe { command.pre_exec(|| Ok(nix::unistd::setsid().map(drop)?)) };
        if !self.without.contains(&Defence::EmptyEnvironment) {
            command.env_clear();
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("a cell cannot be started")?;
        let group = Pid::from_raw(child.id() as i32);
        cleanup::watch_group(group);
        let heard = hear(&mut child, request, deadline, &mut tell);
        let _ = killpg(group, Signal::SIGKILL);
        let status = child.wait();
        cleanup::forget_group(group);
        if let Some(user) = user {
            user.clear(self.tier == Tier::T1)?;
        }
        let (answers, mut cut, words) = heard?;
        let whole = answers.last().is_some_and(Answer::is_last);
        if !whole && cut.is_none() {
            cut = Some(Cut::Died(died(status.ok(), &words)));
        }
        Ok(Done { answers, cut })
    }
}

/// Sends the request and collects the lines, and the end of what is on standard error.
fn hear(
    child: &mut Child,
    request: &Request,
    deadline: Duration,
    tell: &mut impl FnMut(&Answer),
) -> Result<(Vec<Answer>, Option<Cut>, String)> {
    let (Some(stdin), Some(stdout), Some(mut stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        bail!("a cell has no pipes");
    };
    // Who ends before it has read all says so in its answer.
    let _ = serde_json::to_writer(stdin, request);
    let (sender, receiver) = channel();
    spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let words = spawn(move || {
        let mut words = Vec::new();
        let _ = stderr.by_ref().take(64 << 10).read_to_end(&mut words);
        // The rest is read too, so that nobody waits for us.
        let _ = std::io::copy(&mut stderr, &mut std::io::sink());
        String::from_utf8_lossy(&words).trim().to_owned()
    });
    let begin = Instant::now();
    let mut answers = Vec::new();
    let cut = loop {
        match receiver.recv_timeout(deadline.saturating_sub(begin.elapsed())) {
            Ok(line) => {
                let answer = serde_json::from_str(&line).context("a cell's answer")?;
                tell(&answer);
                let last = Answer::is_last(&answer);
                answers.push(answer);
                if last {
                    break None;
                }
            }
            Err(RecvTimeoutError::Timeout) => break Some(Cut::Deadline),
            Err(RecvTimeoutError::Disconnected) => break None,
        }
    };
    // A cell that has said its last word, or none in time, has nothing more to say.
    let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
    let words = words.join().unwrap_or_default();
    Ok((answers, cut, words))
}

fn died(status: Option<ExitStatus>, words: &str) -> String {
    let how = status.map_or_else(|| "ended".to_owned(), |status| format!("ended with {status}"));
    match words.lines().last() {
        Some(last) => format!("{how}: {last}"),
        None => how,
    }
}

/// A folder that everybody may look into.
fn open_folder() -> Result<TempDir> {
    let folder = cleanup::fresh_folder()?;
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
    Ok(folder)
}

/// A copy of the file that everybody may read and run.
fn copy_for_all(file: &Path, folder: &Path) -> Result<PathBuf> {
    let target = folder.join(file.file_name().unwrap_or(file.as_os_str()));
    std::fs::copy(file, &target).with_context(|| format!("cannot copy {}", file.display()))?;
    std::fs::set_permissions(&target, PermissionsExt::from_mode(0o755))?;
    Ok(target)
}

/// Whether anybody may read what is at this path, by the modes of all folders above it.
fn all_may_read(path: &Path) -> bool {
    let open = |path: &Path| {
        path.metadata().is_ok_and(|meta| {
            meta.permissions().mode() & if meta.is_dir() { 0o005 } else { 0o004 }
                == if meta.is_dir() { 0o005 } else { 0o004 }
        })
    };
    !path.exists() || path.ancestors().filter(|above| !above.as_os_str().is_empty()).all(open)
}
