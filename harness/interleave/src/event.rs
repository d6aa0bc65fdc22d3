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
    /// Adds to the hash what happened, and not when.
    pub(crate) fn fold(&self, hasher: &mut impl Hasher) {
        self.span.hash(hasher);
        match &self.action {
            Action::Read { value, old } => (1, homeless(*value), old).hash(hasher),
            Action::Write { before, after } => {
                (2, homeless(*before), homeless(*after)).hash(hasher);
            }
            Action::Buffer { value } => (3, homeless(*value)).hash(hasher),
            Action::Drain { before, after, .. } => {
                (4, homeless(*before), homeless(*after)).hash(hasher);
            }
            Action::Spin { value } => (5, homeless(*value)).hash(hasher),
            Action::Update { before, after } => {
                (7, homeless(*before), homeless(*after)).hash(hasher);
            }
            other => (6, other).hash(hasher),
        }
        self.site.place.hash(hasher);
    }

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
    /// Who has just given way, and could go on all the same.
    pub yielded: Option<usize>,
    /// What the process that was running is about to touch.
    pub next: Option<Touch>,
    /// A number for all that decides how things go on, where the model of memory has one.
    pub state: Option<u64>,
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
        self.interrupts(self.chosen)
    }

    /// Whether it would be an interruption that this one runs: of whoever was running; or of the
    /// rest of whoever has given way, while somebody else could run.
    pub fn interrupts(&self, entity: usize) -> bool {
        match self.current {
            Some(current) => current != entity,
            None => self.yielded == Some(entity) && self.enabled.count_ones() > 1,
        }
    }
}

/// What a step of one process concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Whose step it is.
    pub process: usize,
    /// What it concerns.
    pub what: Touched,
    /// Whether it changes that.
    pub writes: bool,
}

/// A part of the segment, or something about the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// So many bytes from an offset on.
    Bytes(usize, usize),
    /// The object's length, or its name.
    Object(Aspect),
}

impl Touched {
    /// What an event concerns, if anything that others can notice.
    pub fn by(event: &Event) -> Option<Touched> {
        match (&event.action, event.span) {
            (Action::Object { aspect, .. }, _) => Some(Touched::Object(*aspect)),
            (_, Some((offset, size))) => Some(Touched::Bytes(offset, size)),
            _ => None,
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
    /// A number for what every process did and saw, and for what is in the segment; the order of
    /// steps that do not concern each other has no part in it.
    pub class: u64,
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
            (event.step, event.process).hash(&mut hasher);
            event.fold(&mut hasher);
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

    /// How often something happened that is no matter of course: somebody was interrupted, or a load
    /// took an old value.
    pub fn interruptions(&self) -> usize {
        self.preemptions() + self.old_reads()
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
