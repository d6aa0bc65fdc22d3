//! The backend with real processes: programs run under ptrace, with the segment mapped where every
//! access faults.

mod calls;
mod forks;
mod janitor;
mod mappings;
mod object;
mod robust;
mod running;

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::Pid;

use crate::dwarf::Symbols;
use crate::engine::{self, Rules};
use crate::request::{Backend, Ending, Ordering, Place, Reply, Request, Site};
use crate::schedule::Schedule;
use crate::tracee::{Start, Watchdog, launch};
use crate::{Lab, Program, Unsupported};
use forks::Masters;
use janitor::Janitor;
use object::Object;
use running::Running;

/// How many bytes of each output are kept.
const OUTPUT_CAP: usize = 1 << 20;

/// Real processes on a real segment.
pub(crate) struct Processes<'a> {
    lab: &'a Lab<'a>,
    stage: Stage,
    streams: Vec<Streams>,
    running: Vec<Running>,
    masters: Option<Masters>,
    may_fork: bool,
    affinity: Option<CpuSet>,
    watchdog: Watchdog,
    _janitor: Janitor,
}

/// What all processes have in common.
pub(crate) struct Stage {
    /// The path of the segment's name.
    pub(crate) path: PathBuf,
    pub(crate) object: Object,
    /// Nanoseconds since the start of the run.
    pub(crate) clock: u64,
    pub(crate) symbols: Symbols,
    /// Whether somebody may create the name: then looking for it matters.
    pub(crate) name_matters: bool,
    /// Whether the object's length changes: then looking at it matters.
    pub(crate) length_matters: bool,
    /// Whether somebody has changed it in this run.
    pub(crate) length_changed: bool,
    /// Whether fences and locked instructions on private memory are of interest.
    pub(crate) fences: bool,
    /// Whether call stacks are of interest.
    pub(crate) stacks: bool,
    pub(crate) imprecise: usize,
    processor: Option<usize>,
}

/// Standard input, output and error of one process. They are files, so nothing can block on them.
struct Streams {
    input: File,
    output: File,
    errors: File,
}

impl<'a> Processes<'a> {
    pub(crate) fn new(lab: &'a Lab<'a>, fences: bool) -> Result<Processes<'a>, Unsupported> {
        let streams = lab.programs.iter().map(Streams::new).collect::<io::Result<Vec<_>>>();
        let streams = streams.map_err(|error| Unsupported::System(error.to_string()))?;
        // One processor for everybody: whoever goes on never waits for another one to wake up.
        let affinity = sched_getaffinity(Pid::from_raw(0)).ok();
        let processor = sched_getcpu().ok();
        if let Some(processor) = processor {
            let mut set = CpuSet::new();
            let _ = set.set(processor).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
        }
        let path = PathBuf::from(format!("/dev/shm{}", lab.name));
        Ok(Processes {
            lab,
            _janitor: Janitor::new(&path)?,
            stage: Stage {
                object: Object::default(),
                path,
                clock: 0,
                symbols: Symbols::new(lab.hidden_fences),
                name_matters: false,
                length_matters: false,
                length_changed: false,
                fences,
                stacks: false,
                imprecise: 0,
                processor,
            },
            streams,
            running: Vec::new(),
            masters: None,
            may_fork: lab.fork_server,
            affinity,
            watchdog: Watchdog::new(),
        })
    }

    /// Runs once, to learn whether the object changes its length: if not, the calls that look at
    /// the length are of no interest, and need not be scheduled.
    pub(crate) fn scout(&mut self, rules: Rules) -> Result<(), Unsupported> {
        let fork = std::mem::replace(&mut self.may_fork, false);
        engine::run(self, rules, &mut Schedule::default().follower())?;
        self.may_fork = fork;
        self.stage.length_matters = self.stage.length_changed;
        Ok(())
    }

    /// Whether call stacks are recorded from the next start on.
    pub(crate) fn record_stacks(&mut self, yes: bool) {
        if self.stage.stacks != yes {
            self.stage.stacks = yes;
            self.masters = None;
        }
    }

    pub(crate) fn symbols(&mut self) -> &mut Symbols {
        &mut self.stage.symbols
    }

    /// Whether runs are forks of processes that stand at their first request.
    pub(crate) fn forks(&self) -> bool {
        self.masters.is_some()
    }

    fn launch_all(&mut self) -> Result<(), Unsupported> {
        (self.lab.prepare)(&self.stage.path)
            .map_err(|error| Unsupported::Start(format!("the segment: {error}")))?;
        self.stage.object = Object::open(&self.stage.path)?;
        self.stage.name_matters = self.stage.object.is_absent();
        for (number, program) in self.lab.programs.iter().enumerate() {
            let streams = &self.streams[number];
            let same = |file: &File| {
                file.try_clone().map_err(|error| Unsupported::System(error.to_string()))
            };
            let start = Start {
                program: &program.path,
                arguments: &program.arguments,
                environment: &program.environment,
                input: same(&streams.input)?,
                output: same(&streams.output)?,
                errors: same(&streams.errors)?,
                processor: self.stage.processor,
                confine: self.lab.confine,
            };
            let tracee = launch(start, &self.watchdog)?;
            self.running.push(Running::new(number, tracee, program.path.clone()));
        }
        for process in &mut self.running {
            process.begin(&mut self.stage)?;
        }
        Ok(())
    }
}

impl Backend for Processes<'_> {
    fn processes(&self) -> usize {
        self.lab.programs.len()
    }

    fn start(&mut self) -> Result<(), Unsupported> {
        self.running.clear();
        self.stage.clock = 0;
        for streams in &mut self.streams {
            streams.rewind().map_err(|error| Unsupported::System(error.to_string()))?;
        }
        if self.may_fork && self.masters.is_none() {
            self.launch_all()?;
            let masters = std::mem::take(&mut self.running);
            let clock = self.stage.clock;
            match Masters::new(masters, &self.stage, clock)? {
                Ok(masters) => self.masters = Some(masters),
                Err(fresh) => {
                    // They cannot be forked: then this run is theirs, and the next ones are started
                    // anew.
                    self.running = fresh;
                    self.may_fork = false;
                    return Ok(());
                }
            }
        }
        let Some(masters) = &mut self.masters else { return self.launch_all() };
        if !masters.restore(&mut self.stage)? {
            self.masters = None;
            return self.start();
        }
        self.running = masters.fork(&mut self.stage, &self.watchdog)?;
        Ok(())
    }

    fn request(&self, process: usize) -> &Request {
        self.running[process].request()
    }

    fn site(&self, process: usize) -> &Site {
        self.running[process].site()
    }

    fn resume(&mut self, process: usize, reply: Reply) -> Result<Vec<u8>, Unsupported> {
        self.running[process].resume(reply, &mut self.stage)
    }

    fn kill(&mut self, process: usize) {
        self.running[process].kill();
    }

    fn pass(&mut self, nanoseconds: u64) {
        self.stage.clock = self.stage.clock.saturating_add(nanoseconds);
    }

    fn load(&self, offset: usize, bytes: &mut [u8]) -> usize {
        self.stage.object.load(offset, bytes)
    }

    fn store(&mut self, offset: usize, bytes: &[u8]) {
        self.stage.object.store(offset, bytes);
    }

    fn ending(&mut self) -> Ending {
        let exits = self.running.iter().map(Running::exit).collect();
        // Whoever is still there ends now, before its output is read.
        self.running.iter_mut().for_each(Running::kill);
        Ending {
            bytes: self.stage.object.bytes_of_name(&self.stage.path),
            exits,
            outputs: self.streams.iter().map(|streams| kept(&streams.output)).collect(),
            errors: self.streams.iter().map(|streams| kept(&streams.errors)).collect(),
        }
    }

    fn orphaned(&mut self, process: usize) -> Vec<(usize, u32)> {
        self.running[process].take_orphaned()
    }

    fn ordering(&mut self, place: Place, locked: bool) -> Ordering {
        self.stage.symbols.ordering(place, locked)
    }

    fn imprecise(&self) -> usize {
        self.stage.imprecise
    }
}

impl Drop for Processes<'_> {
    fn drop(&mut self) {
        if let Some(affinity) = self.affinity {
            let _ = sched_setaffinity(Pid::from_raw(0), &affinity);
        }
    }
}

impl Streams {
    fn new(program: &Program) -> io::Result<Streams> {
        let file = || -> io::Result<File> {
            Ok(File::from(memfd_create(c"stream", MFdFlags::MFD_CLOEXEC)?))
        };
        let (mut input, output, errors) = (file()?, file()?, file()?);
        input.write_all(&program.input)?;
        Ok(Streams { input, output, errors })
    }

    /// The processes share our offsets, so they begin at the beginning.
    fn rewind(&mut self) -> io::Result<()> {
        self.input.seek(SeekFrom::Start(0))?;
        for file in [&mut self.output, &mut self.errors] {
            nix::unistd::ftruncate(file.as_fd(), 0)?;
            file.seek(SeekFrom::Start(0))?;
        }
        Ok(())
    }
}

fn kept(file: &File) -> Vec<u8> {
    let len = file.metadata().map_or(0, |metadata| metadata.len() as usize);
    let mut bytes = vec![0; len.min(OUTPUT_CAP)];
    let read = file.read_at(&mut bytes, 0).unwrap_or(0);
    bytes.truncate(read);
    bytes
}
