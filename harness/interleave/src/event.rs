//! What happened in a run, one event after the other. Everything that is told of a run is derived
//! from its events.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::Exit;
use crate::bytes::Bytes;
use crate::request::{Aspect, Ending, Ordering, Site, Word};

/// One thing that one process did.
#[derive(Clone, Debug)]
pub struct Event {
    /// The number of the scheduling decision it followed.
    pub step: usize,
    /// Who did it.
    pub process: usize,
    /// What it was.
    pub action: Action,
    /// The first byte of the segment it concerns, and how many.
    pub span: Option<(usize, usize)>,
    /// Where in the code.
    pub site: Site,
    /// How the source orders it; only known where the model asked.
    pub ordering: Option<Ordering>,
}

/// What a process did.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// It loaded.
    Read {
        /// What it saw.
        value: Bytes,
        /// When that is not the newest value: the step that stored it, `None` for the value there
        /// was at the start.
        old: Option<Option<usize>>,
    },
    /// It stored, and others see it.
    Write {
        /// What was there.
        before: Bytes,
        /// What is there now.
        after: Bytes,
    },
    /// It stored into its store buffer: only it sees that so far.
    Buffer {
        /// What it stored.
        value: Bytes,
    },
    /// A store left the store buffer.
    Drain {
        /// What was there.
        before: Bytes,
        /// What is there now.
        after: Bytes,
        /// The step at which it was stored.
        stored: usize,
    },
    /// It loaded and stored, and nobody came between.
    Update {
        /// What it saw.
        before: Bytes,
        /// What is there now.
        after: Bytes,
    },
    /// It went to sleep on a word.
    Sleep {
        /// The word.
        word: Word,
        /// The value it slept at.
        value: u32,
    },
    /// It wanted to sleep, but the word had changed.
    NoSleep {
        /// What it expected.
        expected: u32,
        /// What it found.
        found: u32,
    },
    /// It was woken.
    Woken,
    /// Its sleep was limited, and the limit is over.
    TimedOut,
    /// It woke others.
    Wake {
        /// How many.
        woken: u32,
    },
    /// It gave way, or slept for a time.
    Yield,
    /// A system call read or wrote the segment.
    Call {
        /// Its name.
        name: &'static str,
        /// Whether it wrote.
        writes: bool,
    },
    /// A system call looked at or changed the object itself.
    Object {
        /// Its name.
        name: &'static str,
        /// What it is about.
        aspect: Aspect,
        /// Whether it changes that.
        changes: bool,
    },
    /// A fence.
    Fence,
    /// It has read the same again and again; it does not run until that changes.
    Spin {
        /// What it reads.
        value: Bytes,
    },
    /// It ended.
    Ended(Exit),
    /// It was killed from outside.
    Killed,
}

impl Event {
    /// Whether it loads from, and whether it stores into, what others see.
    pub fn touches(&self) -> (bool, bool) {
        match &self.action {
            Action::Read { .. } | Action::NoSleep { .. } => (true, false),
            Action::Write { .. } | Action::Drain { .. } => (false, true),
            Action::Update { .. } | Action::Sleep { .. } | Action::Wake { .. } => (true, true),
            Action::Call { writes, .. } => (!writes, *writes),
            Action::Object { changes, .. } => (!changes, *changes),
            _ => (false, false),
        }
    }
}

/// A scheduling decision, and what else it could have been.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Who could run: processes, and behind them store buffers. One bit each.
    pub enabled: u16,
    /// Who did.
    pub chosen: usize,
    /// Who was running and could have gone on.
    pub current: Option<usize>,
    /// What the process that was running is about to touch: location, and whether it writes.
    pub next: Option<(Location, bool)>,
    /// How many values behind the newest a load took, and how many it could have.
    pub old: (usize, usize),
}

impl Choice {
    /// Those who could run.
    pub fn alternatives(&self) -> impl Iterator<Item = usize> + '_ {
        (0..16).filter(|entity| self.enabled >> entity & 1 == 1)
    }

    /// Whether somebody was interrupted.
    pub fn preempts(&self) -> bool {
        self.current.is_some_and(|current| current != self.chosen)
    }
}

/// A place in the segment, as coarse as conflicts are looked for: eight bytes, or the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Location {
    /// The eight bytes from eight times this.
    Cell(usize),
    /// The object's length.
    Length,
    /// Its name.
    Name,
}

impl Location {
    /// Where an offset lies.
    pub fn of(offset: usize) -> Location {
        Location::Cell(offset / 8)
    }

    /// All that an event touches.
    pub fn of_event(event: &Event) -> Vec<Location> {
        match (&event.action, event.span) {
            (Action::Object { aspect: Aspect::Length, .. }, _) => vec![Location::Length],
            (Action::Object { aspect: Aspect::Name, .. }, _) => vec![Location::Name],
            (_, Some((offset, size))) => {
                (offset / 8..=(offset + size.max(1) - 1) / 8).map(Location::Cell).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// How a run went, before anybody judges it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every process ended.
    Finished,
    /// Nobody can go on, and somebody sleeps.
    Deadlock,
    /// Nobody can go on: all that are left read the same again and again.
    Livelock,
    /// A process died, or ended with a code other than 0. The rest was not run.
    Failed(usize, Exit),
    /// More steps than the budget allows.
    Steps,
    /// Somebody stopped it.
    Stopped,
}

/// A run, recorded.
#[derive(Clone, Debug)]
pub struct Run {
    /// What happened.
    pub events: Vec<Event>,
    /// What was decided.
    pub choices: Vec<Choice>,
    /// How it went.
    pub outcome: Outcome,
    /// What it left.
    pub ending: Ending,
    /// What the processes were about to do when nobody could go on.
    pub stuck: Vec<Stuck>,
}

/// Why a process does not go on.
#[derive(Clone, Debug)]
pub enum Stuck {
    /// It has ended.
    No,
    /// It sleeps on a word.
    Asleep(Word),
    /// It reads these offsets again and again.
    Spinning(Vec<usize>),
    /// It could go on.
    Ready,
}

/// An address of private memory, which a robust mutex keeps in the segment, is another in every
/// run: only where it lies in its page is the same.
fn homeless(value: Bytes) -> u64 {
    match value.value() {
        address @ 0x5500_0000_0000..0x8000_0000_0000 if value.len() == 8 => address & 0xfff,
        other => other,
    }
}

impl Run {
    /// One number for everything that happened: two runs with the same number were the same.
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for event in &self.events {
            (event.step, event.process, event.span).hash(&mut hasher);
            match &event.action {
                Action::Read { value, old } => (1, homeless(*value), old).hash(&mut hasher),
                Action::Write { before, after } => {
                    (2, homeless(*before), homeless(*after)).hash(&mut hasher);
                }
                Action::Buffer { value } => (3, homeless(*value)).hash(&mut hasher),
                Action::Drain { before, after, stored } => {
                    (4, homeless(*before), homeless(*after), stored).hash(&mut hasher);
                }
                Action::Spin { value } => (5, homeless(*value)).hash(&mut hasher),
                other => (6, other).hash(&mut hasher),
            }
            event.site.place.hash(&mut hasher);
        }
        for word in self.ending.bytes.iter().flat_map(|bytes| bytes.chunks(8)) {
            homeless(Bytes::of(word)).hash(&mut hasher);
        }
        self.ending.outputs.hash(&mut hasher);
        for exit in &self.ending.exits {
            format!("{exit:?}").hash(&mut hasher);
        }
        format!("{:?}", self.outcome).hash(&mut hasher);
        hasher.finish()
    }

    /// How often somebody was interrupted.
    pub fn preemptions(&self) -> usize {
        self.choices.iter().filter(|choice| choice.preempts()).count()
    }

    /// How often another one ran than before.
    pub fn switches(&self) -> usize {
        self.choices.windows(2).filter(|pair| pair[0].chosen != pair[1].chosen).count()
    }

    /// How many loads took an old value.
    pub fn old_reads(&self) -> usize {
        self.choices.iter().filter(|choice| choice.old.0 > 0).count()
    }
}
