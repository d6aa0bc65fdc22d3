//! Several real processes on one fresh name: the stage on which a check plays.
//!
//! The student's programs and the grader's peer all live here. When the scene ends they are killed,
//! the name is removed, and what is left behind all the same is the student's to explain.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::bench::Bench;
use crate::cleanup::{self, MARKER};
use crate::deadline::Deadline;
use crate::diagnosis::fail;
use crate::object::Object;
use crate::peer::Peer;
use crate::process::{Exit, Process, Start};
use crate::procfs::{self, Mapping};
use crate::verdict::{Outcome, Stop};
use crate::watch::{Event, Wanted};

/// Stands for the scene's name among a program's arguments.
pub const NAME: &str = "{name}";

/// More than any mistake with a child or two leaves behind.
const MANY_PROCESSES: usize = 32;

/// One of the student's processes on the stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor(pub(crate) usize);

/// A program that ran to its end.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub exit: Exit,
    /// What it printed on standard output.
    pub output: Vec<u8>,
    /// The end of what it wrote to standard error.
    pub errors: String,
}

/// What a program did while nobody asked anything of it.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// How long it was watched.
    pub window: Duration,
    /// Processor time it used.
    pub cpu: Duration,
    /// How long its main thread was ready to run and had no processor.
    pub starved: Duration,
    /// How often it went to sleep.
    pub sleeps: u64,
}

/// The stage of one check.
pub struct Scene<'a> {
    pub(crate) bench: &'a Bench,
    name: String,
    folder: TempDir,
    pub(crate) processes: Vec<Process>,
    roles: Vec<String>,
    peer: Option<Peer>,
    remarks: Vec<String>,
}

impl<'a> Scene<'a> {
    /// Sets an empty stage with a fresh name.
    ///
    /// # Errors
    ///
    /// What the system says: our fault, not the student's.
    pub fn new(bench: &'a Bench) -> std::io::Result<Scene<'a>> {
        Ok(Scene {
            bench,
            name: cleanup::fresh_name(),
            folder: cleanup::fresh_folder()?,
            processes: Vec::new(),
            roles: Vec::new(),
            peer: None,
            remarks: Vec::new(),
        })
    }

    /// The scene's name, with its slash. Nothing carries it yet.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What marks this scene's processes: the name, and a sign that it ends here, since the name of
    /// scene 1 begins that of scene 10.
    fn mark(&self) -> String {
        format!("{}.", self.name)
    }

    /// The submission this scene is played with.
    pub fn bench(&self) -> &'a Bench {
        self.bench
    }

    /// Clears the stage and takes another fresh name, for the next round of the same check.
    pub fn renew(&mut self) {
        self.processes.clear();
        self.roles.clear();
        self.peer = None;
        cleanup::remove_name(&self.name);
        self.name = cleanup::fresh_name();
    }

    /// A file in the scene's own folder, which is removed with the scene.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds a sentence to the check's record that is no failure: what could not be looked at.
    pub fn remark(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }

    /// The remarks so far.
    pub fn take_remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }

    /// Starts the student's program with these arguments, [`NAME`] standing for the scene's name.
    /// The first argument is its role in messages: `your producer`.
    ///
    /// # Errors
    ///
    /// `Broken` when the program cannot be started.
    pub fn start(&mut self, arguments: &[&str]) -> Outcome<Actor> {
        self.start_with(arguments, Start::default())
    }

    /// As [`Scene::start`], with something special about the start; its `arguments` and `environment`
    /// are replaced.
    ///
    /// # Errors
    ///
    /// `Broken` when the program cannot be started.
    pub fn start_with(&mut self, arguments: &[&str], start: Start<'_>) -> Outcome<Actor> {
        let arguments: Vec<&str> =
            arguments.iter().map(|&a| if a == NAME { self.name.as_str() } else { a }).collect();
        let environment = [(MARKER, self.mark()), ("RUST_BACKTRACE", "0".to_owned())];
        let confinement = self.bench.confinement();
        let start =
            Start { arguments: &arguments, environment: &environment, confinement, ..start };
        let process =
            Process::start(&self.bench.program, self.folder.path(), start).map_err(|e| {
                Stop::Broken(format!("cannot start {}: {e}", self.bench.program.display()))
            })?;
        self.processes.push(process);
        self.roles.push(arguments.first().copied().unwrap_or("program").to_owned());
        Ok(Actor(self.processes.len() - 1))
    }

    /// Starts a program with `--step` and waits for its `attached`.
    ///
    /// # Errors
    ///
    /// The diagnosis of what it did instead.
    pub fn attach(&mut self, arguments: &[&str]) -> Outcome<Actor> {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--step"]).collect();
        let actor = self.start(&arguments)?;
        let line = self.line(actor, "opens the segment and prints `attached`")?;
        if line != "attached" {
            return Err(fail("breaks-the-step-protocol")
                .expected("`attached` as its first line with --step")
                .seen(format!("{} prints `{}`", self.role(actor), shown(&line)))
                .into());
        }
        Ok(actor)
    }

    /// Starts a program, lets it run to its end with no input, and returns what came of it.
    ///
    /// # Errors
    ///
    /// `NotStarted` at a `todo!`; a diagnosis for a panic, or when it does not end.
    pub fn run(&mut self, arguments: &[&str]) -> Outcome<Ended> {
        self.run_with(arguments, Start::default())
    }

    /// As [`Scene::run`], with something special about the start.
    ///
    /// # Errors
    ///
    /// As [`Scene::run`].
    pub fn run_with(&mut self, arguments: &[&str], start: Start<'_>) -> Outcome<Ended> {
        let actor = self.start_with(arguments, start)?;
        self.close_stdin(actor);
        self.finish(actor, "runs to its end")
    }

    /// Waits for a program to end by itself.
    ///
    /// # Errors
    ///
    /// `NotStarted` at a `todo!`; a diagnosis for a panic, or when it does not end.
    pub fn finish(&mut self, actor: Actor, doing: &str) -> Outcome<Ended> {
        match self.watch(actor, Wanted::End) {
            Event::Ended(exit) => {
                if exit == Exit::Code(101) {
                    return Err(self.explain(actor, doing, Event::Ended(exit)));
                }
                let process = &mut self.processes[actor.0];
                let (output, errors) = (process.output().to_vec(), process.errors());
                Ok(Ended { exit, output, errors })
            }
            event => Err(self.explain(actor, doing, event)),
        }
    }

    /// The next line the program prints.
    ///
    /// # Errors
    ///
    /// A diagnosis of what it does instead: it ended, it sleeps for ever and on which word, it
    /// spins. `doing` says what is expected of it, as in `prints the message`.
    pub fn line(&mut self, actor: Actor, doing: &str) -> Outcome<String> {
        match self.watch(actor, Wanted::Line) {
            Event::Line(line) => Ok(line),
            event => Err(self.explain(actor, doing, event)),
        }
    }

    /// What the program does next, when it is expected to block: state decides, not time.
    pub fn event(&mut self, actor: Actor) -> Event {
        self.watch(actor, Wanted::Block)
    }

    /// What the program does next, when a line is expected but its absence is the check's to tell.
    pub fn answer(&mut self, actor: Actor) -> Event {
        self.watch(actor, Wanted::Line)
    }

    /// Writes to the program's standard input.
    pub fn send(&mut self, actor: Actor, bytes: &[u8]) {
        self.processes[actor.0].send(bytes);
    }

    /// Ends the program's standard input.
    pub fn close_stdin(&mut self, actor: Actor) {
        self.processes[actor.0].close_stdin();
    }

    /// Sends the program a signal.
    pub fn signal(&self, actor: Actor, signal: Signal) {
        self.processes[actor.0].signal(signal);
    }

    /// Kills the program with -9.
    pub fn kill(&mut self, actor: Actor) {
        self.processes[actor.0].kill();
    }

    /// The program's process id.
    pub fn pid(&self, actor: Actor) -> Pid {
        self.processes[actor.0].pid()
    }

    /// `your producer`, for messages.
    pub fn role(&self, actor: Actor) -> String {
        format!("your {}", self.roles[actor.0])
    }

    /// The program's mappings of the scene's object.
    pub fn mappings(&self, actor: Actor) -> Vec<Mapping> {
        let path = format!("{}{}", cleanup::SHM_DIR, self.name);
        let mut mappings = procfs::mappings(self.pid(actor));
        mappings.retain(|m| m.path.strip_suffix(" (deleted)").unwrap_or(&m.path) == path);
        mappings
    }

    /// Lets the program be for so long, or longer where the machine keeps it from running or us from
    /// looking; returns what it did meanwhile.
    pub fn idle(&self, actor: Actor, window: Duration) -> Idle {
        let pid = self.pid(actor);
        let sleeps = || procfs::sleeps(&procfs::tasks(pid));
        let start = Instant::now();
        let before = (procfs::cpu_time(pid), procfs::starved(pid), sleeps());
        let mut deadline = self.deadline_of(window);
        while !deadline.is_over() {
            sleep(Duration::from_millis(20));
        }
        Idle {
            cpu: procfs::cpu_time(pid).saturating_sub(before.0),
            starved: procfs::starved(pid).saturating_sub(before.1),
            sleeps: sleeps().saturating_sub(before.2),
            // Last, so that it is never too short.
            window: start.elapsed(),
        }
    }

    /// The scene's object, which the student's program must have made by now.
    ///
    /// # Errors
    ///
    /// A diagnosis when there is none.
    pub fn object(&self) -> Outcome<Object> {
        Object::open(&self.name)?.ok_or_else(|| {
            fail("makes-no-object")
                .expected("a shared memory object behind the name from the command line")
                .seen(format!("{}{} does not exist", cleanup::SHM_DIR, "/NAME"))
                .into()
        })
    }

    /// Whether anything carries the scene's name.
    pub fn exists(&self) -> bool {
        Path::new(&format!("{}{}", cleanup::SHM_DIR, self.name)).symlink_metadata().is_ok()
    }

    /// The grader's own partner, started when first asked for.
    ///
    /// # Errors
    ///
    /// `Broken` when it cannot be started.
    pub fn peer(&mut self) -> Outcome<&mut Peer> {
        let peer = match self.peer.take() {
            Some(peer) => peer,
            None => Peer::start(&self.bench.peer_program)?,
        };
        Ok(self.peer.insert(peer))
    }

    /// Lets the peer go; the next [`Scene::peer`] is a new process.
    pub fn dismiss_peer(&mut self) {
        self.peer = None;
    }

    /// A deadline, beginning now, for whatever the programs do together.
    pub fn deadline(&self) -> Deadline {
        self.deadline_of(self.bench.deadline)
    }

    /// As [`Scene::deadline`], with a limit of its own.
    pub fn deadline_of(&self, limit: Duration) -> Deadline {
        Deadline::new(limit, self.processes.iter().map(Process::pid).collect())
    }

    /// Waits until `done` holds, which the peer or the programs bring about; false at the deadline.
    pub fn until(&mut self, mut done: impl FnMut(&mut Scene<'a>) -> bool) -> bool {
        let mut deadline = self.deadline();
        while !done(self) {
            if deadline.is_over() {
                return false;
            }
            sleep(Duration::from_micros(500));
        }
        true
    }

    /// Stops the program where it is, until a SIGCONT; see [`Scene::until_stopped`].
    pub fn stop(&mut self, actor: Actor) -> bool {
        self.signal(actor, Signal::SIGSTOP);
        self.until_stopped(actor)
    }

    /// Waits until the program stands still after a SIGSTOP, or has ended: then it has stored what it
    /// has stored. False: neither has happened within the deadline.
    pub fn until_stopped(&mut self, actor: Actor) -> bool {
        let pid = self.pid(actor);
        self.until(|scene| procfs::stopped(pid) || scene.processes[actor.0].exit().is_some())
    }

    /// Writes a file into the scene's folder and opens it for reading, to be a program's input.
    ///
    /// # Errors
    ///
    /// `Broken` with the system's words.
    pub fn input(&self, name: &str, bytes: &[u8]) -> Outcome<File> {
        fs::write(self.file(name), bytes)?;
        Ok(File::open(self.file(name))?)
    }

    /// Makes a file in the scene's folder, to be a program's output.
    ///
    /// # Errors
    ///
    /// `Broken` with the system's words.
    pub fn output(&self, name: &str) -> Outcome<File> {
        Ok(File::create(self.file(name))?)
    }

    /// Ends the scene: kills every process, removes the name, and reports what was left behind.
    ///
    /// # Errors
    ///
    /// A diagnosis when a process outlived its program, or another name was left.
    pub fn end(mut self) -> Outcome {
        self.processes.clear();
        self.peer = None;
        let left = self.end_what_is_left();
        let mut names = if cleanup::in_a_cell() {
            cleanup::remove_own_names()
        } else {
            cleanup::names_beginning_with(&self.name)
        };
        names.retain(|name| name != self.name.trim_start_matches('/'));
        cleanup::remove_name(&self.name);
        if left > 0 {
            let cause = if left > MANY_PROCESSES {
                fail("starts-too-many-processes")
            } else {
                fail("leaves-a-process")
            };
            return Err(cause
                .expected("no process is left when the program has ended")
                .seen(format!("{} still running", count(left, "process", "processes")))
                .into());
        }
        if !names.is_empty() {
            return Err(fail("leaves-a-name")
                .expected("no name in /dev/shm apart from the one on the command line")
                .seen(count(names.len(), "other name", "other names"))
                .into());
        }
        Ok(())
    }
}

impl Scene<'_> {
    /// Ends what programs have left running; returns how many there were.
    fn end_what_is_left(&self) -> usize {
        if cleanup::in_a_cell() {
            return cleanup::end_strays();
        }
        let left = procfs::with_environment(&format!("{MARKER}={}", self.mark()));
        for &pid in &left {
            let _ = kill(pid, Signal::SIGKILL);
        }
        left.len()
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        self.processes.clear();
        self.peer = None;
        cleanup::remove_name(&self.name);
    }
}

/// `1 process`, `2 processes`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// A student's text made safe and short for a message: no control characters, at most 80
/// characters.
pub fn shown(text: &str) -> String {
    let mut safe: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().count() > 80 {
        safe.push('…');
    }
    safe
}
