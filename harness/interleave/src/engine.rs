//! Runs processes one access at a time. It decides nothing itself: a strategy says who goes next.
//!
//! What a process asks for is cut into the smallest parts between which others may come: a load of
//! more than eight bytes into loads of eight, an unlocked read-modify-write into a load and a store.
//! A store instruction is executed early, into memory of its own, and committed when the schedule
//! says so; nothing else of its process happens before.

mod futex;
mod spin;
mod steps;

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::bytes::Bytes;
use crate::event::{Action, Choice, Event, Outcome, Run, Stuck, Touch, Touched};
use crate::memory::{Memory, Model};
use crate::request::{Backend, Kind, Ordering, Request, Site, Word};
use crate::{Exit, Unsupported};
use spin::Reads;

/// A moment at which somebody must be chosen.
pub struct Moment<'a> {
    /// The number of this decision.
    pub step: usize,
    /// Who was running, and could go on.
    pub current: Option<usize>,
    /// Who has given way, and could go on all the same. Nobody but it has run since.
    pub yielded: Option<usize>,
    /// Who can run: processes, and behind them (from `processes` on) their store buffers.
    pub enabled: &'a [usize],
    /// How many processes there are.
    pub processes: usize,
    /// What each process is about to do, in words a strategy can show.
    pub next: &'a [Next],
    /// A number for all that decides how things go on: from two moments with the same number, the
    /// same choices lead to the same. Time has no part in it. The weak model has none.
    pub state: Option<u64>,
}

/// What a process is about to do.
#[derive(Clone, Debug)]
pub struct Next {
    /// What it asks for.
    pub request: Request,
    /// The first byte of the segment it concerns, and how many.
    pub span: Option<(usize, usize)>,
    /// Whether it is about to store there.
    pub writes: bool,
    /// Where in the code.
    pub site: Site,
}

/// Who chooses.
pub trait Strategy {
    /// Chooses one of the enabled; `None` ends the run.
    fn pick(&mut self, moment: &Moment<'_>) -> Option<usize>;

    /// How many values behind the newest a load takes, if it can take up to `most`.
    fn old(&mut self, _step: usize, _most: usize) -> usize {
        0
    }

    /// Who is killed before this step.
    fn kill(&mut self, _step: usize) -> Option<usize> {
        None
    }

    /// Whether it looks at [`Moment::next`], which costs a little.
    fn looks(&self) -> bool {
        false
    }
}

/// The choice that interrupts nobody: whoever is running goes on; otherwise the first process that
/// can; otherwise the first store buffer; and last of all, whoever has given way.
pub fn default_pick(moment: &Moment<'_>) -> usize {
    match moment.current {
        Some(current) if moment.enabled.contains(&current) => current,
        _ => {
            let others = |entity: &&usize| Some(**entity) != moment.yielded;
            *moment.enabled.iter().find(others).unwrap_or(&moment.enabled[0])
        }
    }
}

/// How long a run may be, and under which rules.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// When stores become visible.
    pub memory: Memory,
    /// The most decisions.
    pub steps: usize,
    /// Whether a process that fails ends the run; if not, the others go on without it.
    pub stop_at_failure: bool,
}

/// Runs all processes once, from their start to their end.
pub fn run(
    backend: &mut dyn Backend,
    rules: Rules,
    strategy: &mut dyn Strategy,
) -> Result<Run, Unsupported> {
    backend.start()?;
    let processes = backend.processes();
    let mut engine = Engine {
        backend,
        model: Model::new(rules.memory, processes),
        processes: (0..processes).map(|_| Process::default()).collect(),
        events: Vec::new(),
        choices: Vec::new(),
        step: 0,
        changes: 0,
        failed: None,
        yielded: None,
        memory: 0,
        objects: 0,
    };
    for process in 0..processes {
        engine.advance(process)?;
    }
    let outcome = engine.schedule(&rules, strategy)?;
    let stuck = engine.processes.iter().map(Process::stuck).collect();
    let class = engine.class();
    let Engine { events, choices, backend, .. } = engine;
    Ok(Run { events, choices, outcome, ending: backend.ending(), stuck, class })
}

/// What a process still has to do of its request.
#[derive(Clone, Debug)]
enum Part {
    Read { offset: usize, size: usize, last: bool },
    Update { offset: usize, size: usize },
    Write { offset: usize, bytes: Bytes, site: Site },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
enum State {
    #[default]
    Ready,
    Asleep {
        word: Word,
        bits: u32,
        timed: bool,
    },
    Spinning,
    Ended,
}

#[derive(Default)]
struct Process {
    state: State,
    parts: VecDeque<Part>,
    /// What the parts of a load have seen so far.
    gathered: Vec<u8>,
    /// What the call it sleeps in will return.
    answer: Option<i64>,
    reads: Reads,
    /// A number for all that it did and saw.
    history: u64,
    /// How many of its stores have left its buffer. Not in its history, since it does not notice.
    drained: usize,
}

impl Process {
    fn stuck(&self) -> Stuck {
        match self.state {
            State::Ready => Stuck::Ready,
            State::Asleep { word, .. } => Stuck::Asleep(word),
            State::Spinning => Stuck::Spinning(self.reads.offsets()),
            State::Ended => Stuck::No,
        }
    }
}

struct Engine<'a> {
    backend: &'a mut dyn Backend,
    model: Model,
    processes: Vec<Process>,
    events: Vec<Event>,
    choices: Vec<Choice>,
    step: usize,
    /// How often the segment has changed.
    changes: usize,
    failed: Option<(usize, Exit)>,
    /// Who has given way, as long as no other process has run since.
    yielded: Option<usize>,
    /// A number for the bytes of the segment, as far as they are not those of the start.
    memory: u64,
    /// How often the object itself has changed.
    objects: u64,
}

impl Engine<'_> {
    fn schedule(
        &mut self,
        rules: &Rules,
        strategy: &mut dyn Strategy,
    ) -> Result<Outcome, Unsupported> {
        let mut current: Option<usize> = None;
        let mut patience = spin::Patience::default();
        loop {
            if let Some((process, exit)) = self.failed
                && rules.stop_at_failure
            {
                return Ok(Outcome::Failed(process, exit));
            }
            if self.step >= rules.steps {
                return Ok(Outcome::Steps);
            }
            if let Some(victim) = strategy.kill(self.step)
                && self.processes[victim].state != State::Ended
            {
                self.kill(victim);
                current = current.filter(|&running| running != victim);
            }
            let mut enabled = self.enabled();
            if enabled.is_empty() {
                let alive = |process: &Process| process.state != State::Ended;
                if !self.processes.iter().any(alive) {
                    return Ok(Outcome::Finished);
                }
                if self.time_out() {
                    continue;
                }
                match patience.wait_once_more(self) {
                    Some(process) => enabled = vec![process],
                    None => return Ok(self.stuck()),
                }
            }
            let going_on = current.and_then(|running| {
                // Whoever waits for its own stores to be seen goes on by letting one be seen.
                let buffer = self.processes.len() + running;
                [running, buffer].into_iter().find(|entity| enabled.contains(entity))
            });
            let next = if strategy.looks() { self.next() } else { Vec::new() };
            let state = self.state(going_on);
            let yielded = self.yielded.filter(|yielded| enabled.contains(yielded));
            let moment = Moment {
                step: self.step,
                current: going_on,
                yielded,
                enabled: &enabled,
                processes: self.processes.len(),
                next: &next,
                state,
            };
            let Some(chosen) = strategy.pick(&moment) else { return Ok(Outcome::Stopped) };
            let next = going_on.and_then(|running| self.touch(running));
            let mask = enabled.iter().fold(0, |mask, &entity| mask | 1 << entity);
            self.choices.push(Choice {
                enabled: mask,
                chosen,
                current: going_on,
                yielded,
                next,
                state,
                old: (0, 0),
            });
            if chosen >= self.processes.len() {
                let owner = chosen - self.processes.len();
                self.drain(owner);
                // Whoever can do nothing but let its stores be seen goes on by that.
                if !enabled.contains(&owner) {
                    current = Some(owner);
                }
            } else {
                self.yielded = None;
                self.go(chosen, strategy)?;
                current = Some(chosen).filter(|_| self.yielded != Some(chosen));
            }
            self.step += 1;
        }
    }

    /// Who can run now: processes first, then store buffers.
    fn enabled(&self) -> Vec<usize> {
        let count = self.processes.len();
        let mut enabled: Vec<usize> = (0..count)
            .filter(|&process| {
                self.processes[process].state == State::Ready
                    && !(self.needs_empty_buffer(process) && self.model.buffer(process).is_some())
            })
            .collect();
        let buffers = (0..count).filter(|&process| self.model.buffer(process).is_some());
        enabled.extend(buffers.map(|process| count + process));
        enabled
    }

    /// Whether the next thing a process does waits until all its stores are visible.
    fn needs_empty_buffer(&self, process: usize) -> bool {
        match self.processes[process].parts.front() {
            Some(Part::Update { .. }) => true,
            Some(_) => false,
            None => !matches!(
                self.backend.request(process),
                Request::Access { .. } | Request::Ended(_) | Request::Yield { .. }
            ),
        }
    }

    /// What a process is about to touch.
    fn span(&self, process: usize) -> Option<(usize, usize, bool)> {
        match self.processes[process].parts.front() {
            Some(&Part::Read { offset, size, .. }) => Some((offset, size, false)),
            Some(&Part::Update { offset, size }) => Some((offset, size, true)),
            Some(Part::Write { offset, bytes, .. }) => Some((*offset, bytes.len(), true)),
            None => match *self.backend.request(process) {
                Request::Futex { word: Word::Shared(offset), .. } => Some((offset, 4, true)),
                Request::Call { offset, size, writes, .. } => Some((offset, size, writes)),
                Request::Access { offset, size, kind } => Some((offset, size, kind != Kind::Read)),
                _ => None,
            },
        }
    }

    /// What others could notice of the next step of a process or of a store buffer.
    fn touch(&self, entity: usize) -> Option<Touch> {
        if let Some(process) = entity.checked_sub(self.processes.len()) {
            let oldest = self.model.buffer(process)?.front()?;
            let what = Touched::Bytes(oldest.offset, oldest.bytes.len());
            return Some(Touch { process, what, writes: true });
        }
        let process = entity;
        let stores = matches!(self.processes[process].parts.front(), Some(Part::Write { .. }));
        if stores && matches!(self.model, Model::Tso(_)) {
            // It goes into the buffer, where nobody else sees it.
            return None;
        }
        if let Some((offset, size, writes)) = self.span(process) {
            return Some(Touch { process, what: Touched::Bytes(offset, size), writes });
        }
        match *self.backend.request(process) {
            Request::Object { aspect, changes, .. } => {
                Some(Touch { process, what: Touched::Object(aspect), writes: changes })
            }
            _ => None,
        }
    }

    /// A number for what everybody did and saw, and for what is in the segment.
    fn class(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.memory, self.objects).hash(&mut hasher);
        for process in &self.processes {
            (process.history, process.drained).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// See [`Moment::state`]. A process is a function of what it saw, so its history stands for it;
    /// what is in its store buffer follows from what it has stored and what has left.
    fn state(&self, going_on: Option<usize>) -> Option<u64> {
        if matches!(self.model, Model::Weak(_)) {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        (self.class(), going_on, self.yielded).hash(&mut hasher);
        for process in &self.processes {
            (&process.state, process.answer, process.reads.number()).hash(&mut hasher);
        }
        Some(hasher.finish())
    }

    fn next(&self) -> Vec<Next> {
        (0..self.processes.len())
            .map(|process| {
                let span = self.span(process);
                let site = match self.processes[process].parts.front() {
                    Some(Part::Write { site, .. }) => site.clone(),
                    _ => self.backend.site(process).clone(),
                };
                Next {
                    request: self.backend.request(process).clone(),
                    span: span.map(|(offset, size, _)| (offset, size)),
                    writes: span.is_some_and(|(_, _, writes)| writes),
                    site,
                }
            })
            .collect()
    }

    fn stuck(&self) -> Outcome {
        let spins = self
            .processes
            .iter()
            .filter(|process| process.state != State::Ended)
            .all(|process| process.state == State::Spinning);
        if spins { Outcome::Livelock } else { Outcome::Deadlock }
    }

    fn kill(&mut self, victim: usize) {
        // What has left the program is the processor's, which lives on.
        while self.model.buffer(victim).is_some() {
            self.drain(victim);
        }
        self.backend.kill(victim);
        let process = &mut self.processes[victim];
        process.parts.clear();
        process.state = State::Ended;
        self.event(victim, Action::Killed, None);
        for (offset, value) in self.backend.orphaned(victim) {
            let before = self.found(offset, 4);
            self.publish(victim, offset, before, Bytes::of_u32(value), Ordering::SeqCst);
            self.wake(Word::Shared(offset), 1, u32::MAX);
        }
    }

    fn event(&mut self, process: usize, action: Action, span: Option<(usize, usize)>) {
        let site = self.backend.site(process).clone();
        self.event_at(process, action, span, site);
    }

    fn event_at(
        &mut self,
        process: usize,
        action: Action,
        span: Option<(usize, usize)>,
        site: Site,
    ) {
        let event = Event { step: self.step, process, action, span, site, ordering: None };
        let owner = &mut self.processes[process];
        if let Action::Drain { .. } = event.action {
            owner.drained += 1;
        } else {
            let mut hasher = DefaultHasher::new();
            owner.history.hash(&mut hasher);
            event.fold(&mut hasher);
            if let Action::Object { .. } = event.action {
                self.objects.hash(&mut hasher);
            }
            owner.history = hasher.finish();
        }
        self.events.push(event);
    }

    /// What this process sees at `offset`: the segment, and over it its own store buffer.
    fn view(&self, process: usize, offset: usize, size: usize) -> Vec<u8> {
        let mut seen = vec![0; size];
        self.backend.load(offset, &mut seen);
        self.model.overlay(process, offset, &mut seen);
        seen
    }

    /// What everybody sees at `offset`.
    fn found(&self, offset: usize, size: usize) -> Bytes {
        let mut bytes = Bytes::zeros(size);
        self.backend.load(offset, bytes.as_mut_slice());
        bytes
    }

    /// Makes a store visible to everybody, who saw `before` so far. Whether it changed anything.
    fn commit(&mut self, process: usize, offset: usize, before: Bytes, bytes: Bytes) -> bool {
        self.backend.store(offset, bytes.as_slice());
        let changed = before != bytes;
        if changed {
            let both = before.as_slice().iter().zip(bytes.as_slice());
            for (at, (&before, &after)) in both.enumerate() {
                self.memory ^= byte_number(offset + at, before) ^ byte_number(offset + at, after);
            }
            self.changed(process, offset, bytes.len());
        }
        changed
    }

    fn changed(&mut self, by: usize, offset: usize, size: usize) {
        self.changes += 1;
        for (number, process) in self.processes.iter_mut().enumerate() {
            if number != by && process.reads.touch(offset, size) && process.state == State::Spinning
            {
                process.state = State::Ready;
                process.reads.clear();
            }
        }
    }
}

/// A number for one byte at one place. Those of all bytes, taken together by exclusive or, stand for
/// the whole, in whichever order they came.
fn byte_number(offset: usize, value: u8) -> u64 {
    let mut hasher = DefaultHasher::new();
    (offset, value).hash(&mut hasher);
    hasher.finish()
}
