//! What the debugging information says of a place in the code: file and line, the function that was
//! called, the ordering that the source asked for. Only the explanation of a run needs it, and the
//! weak model.

mod fences;
mod fields;
mod kept;
mod lines;
mod orderings;
mod units;
mod unwind;

use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use nix::libc::user_regs_struct as Registers;
use nix::unistd::Pid;

use crate::request::{Ordering, Place};
pub(crate) use fences::fence_sites;
pub(crate) use fields::fields;
pub(crate) use lines::Frames;
use lines::Lines;
use orderings::Orderings;
use unwind::Unwinder;

/// Executable code of a process, and where in which file it is from.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Where in the file it begins.
    pub(crate) offset: u64,
    pub(crate) module: u32,
}

impl Range {
    /// The offsets in the file that it covers.
    pub(crate) fn offsets(&self) -> std::ops::Range<u64> {
        self.offset..self.offset + (self.end - self.start)
    }
}

/// All that is known about all modules.
pub(crate) struct Symbols {
    paths: HashMap<u32, PathBuf>,
    modules: HashMap<u32, Arc<Option<Lines>>>,
    orderings: HashMap<(Place, bool), Ordering>,
    hidden_fences: bool,
    unwinder: Unwinder,
}

impl Symbols {
    pub(crate) fn new(hidden_fences: bool) -> Symbols {
        Symbols {
            paths: HashMap::new(),
            modules: HashMap::new(),
            orderings: HashMap::new(),
            hidden_fences,
            unwinder: Unwinder::default(),
        }
    }

    /// The file of a module.
    pub(crate) fn path(&self, module: u32) -> Option<&Path> {
        self.paths.get(&module).map(PathBuf::as_path)
    }

    /// The code of a process as it is mapped now.
    pub(crate) fn ranges(&mut self, pid: Pid) -> Vec<Range> {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        let mut ranges = Vec::new();
        for line in maps.lines() {
            // start-end rwxp offset device inode path
            let mut words = line.split_ascii_whitespace();
            let mut next = || words.next().unwrap_or_default();
            let (span, rights, offset) = (next(), next(), next());
            let (_device, _inode) = (next(), next());
            let path = next();
            if !rights.contains('x') || !path.starts_with('/') {
                continue;
            }
            let number = |text| u64::from_str_radix(text, 16).unwrap_or(0);
            let (start, end) = span.split_once('-').unwrap_or_default();
            let module = self.module(Path::new(path));
            ranges.push(Range {
                start: number(start),
                end: number(end),
                offset: number(offset),
                module,
            });
        }
        ranges
    }

    /// The place of an address; where a process has mapped what, is looked up anew when needed.
    pub(crate) fn place(&mut self, address: u64, ranges: &mut Vec<Range>, pid: Pid) -> Place {
        for _ in 0..2 {
            if let Some(place) = place_in(address, ranges) {
                return place;
            }
            *ranges = self.ranges(pid);
        }
        Place { module: 0, offset: 0 }
    }

    /// The places that the calls return to, innermost first.
    pub(crate) fn callers(
        &mut self,
        registers: &Registers,
        memory: &File,
        ranges: &[Range],
    ) -> Vec<Place> {
        let Symbols { unwinder, paths, .. } = self;
        unwinder.callers(registers, memory, |address| {
            let place = place_in(address, ranges)?;
            Some((place, paths.get(&place.module)?.as_path()))
        })
    }

    /// The functions and lines at a place.
    pub(crate) fn frames(&mut self, place: Place) -> Arc<Frames> {
        let lines = self.lines(place.module);
        let frames = lines.as_deref().and_then(Option::as_ref);
        frames.map(|lines| lines.frames(place.offset)).unwrap_or_default()
    }

    /// The name of the library function that the call before a place calls.
    pub(crate) fn callee(&mut self, place: Place) -> Option<String> {
        (*self.lines(place.module)?).as_ref()?.callee(place.offset)
    }

    /// The ordering that the source asked for. What is not known counts as the strongest, so that
    /// nobody is accused of what he has not written.
    pub(crate) fn ordering(&mut self, place: Place, locked: bool) -> Ordering {
        if let Some(&known) = self.orderings.get(&(place, locked)) {
            return known;
        }
        let ordering = self.look_up(place, locked).unwrap_or(Ordering::SeqCst);
        self.orderings.insert((place, locked), ordering);
        ordering
    }

    /// Whether the orderings of atomic accesses can be told at all.
    pub(crate) fn knows_orderings(&mut self) -> bool {
        Orderings::of_this_compiler().is_known()
    }

    fn look_up(&mut self, place: Place, locked: bool) -> Option<Ordering> {
        let lines = self.lines(place.module)?;
        let lines = (*lines).as_ref()?;
        // A module without lines of Rust is libc, or C: nothing is known of it.
        let compiler = lines.compiler()?.to_owned();
        let hidden = self.hidden_fences || lines.mentions_fences();
        let frames = self.frames(place);
        match frames.atomic_line {
            None if frames.user.is_none() => None,
            None if locked => Some(Ordering::SeqCst),
            None => Some(Ordering::Plain),
            // An acquire or release fence leaves no trace in the code of this processor: a relaxed
            // access may be as strong as anything.
            Some(_) if hidden => None,
            Some(line) => Orderings::of_this_compiler().of_line(line, &compiler),
        }
    }

    fn lines(&mut self, module: u32) -> Option<Arc<Option<Lines>>> {
        let path = self.paths.get(&module)?;
        let lines = self.modules.entry(module).or_insert_with(|| Lines::of(path));
        Some(Arc::clone(lines))
    }

    /// Modules are numbered by their file's name, so that a place is the same in every run and on
    /// every machine.
    fn module(&mut self, path: &Path) -> u32 {
        let mut hasher = DefaultHasher::new();
        path.file_name().hash(&mut hasher);
        let module = hasher.finish() as u32 | 1;
        self.paths.entry(module).or_insert_with(|| path.to_owned());
        module
    }
}

/// What a program or a library holds. Mapped, since most of it is never looked at: the debugging
/// information of a program is many times as large as its code.
fn contents(path: &Path) -> Option<Mmap> {
    let file = File::open(path).ok()?;
    // SAFETY: mapped for reading alone, and a slice of bytes has no alignment; the mapping lives as
    // long as the value. The system lets nobody write to a program that runs, nor cut it short; a
    // library is the system's own. Were one cut short all the same, this process would end with it.
    unsafe { Mmap::map(&file) }.ok()
}

fn place_in(address: u64, ranges: &[Range]) -> Option<Place> {
    let range = ranges.iter().find(|range| (range.start..range.end).contains(&address))?;
    Some(Place { module: range.module, offset: address - range.start + range.offset })
}
