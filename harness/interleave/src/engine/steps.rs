//! One step of one process: what it asked for is done, and it runs on to what it asks for next.

use super::{Engine, Part, State, Strategy};
use crate::bytes::Bytes;
use crate::event::Action;
use crate::memory::{Buffered, Model};
use crate::request::{Kind, Ordering, Reply, Request, Site};
use crate::{Exit, Unsupported};

/// Loads and stores up to this size are whole on every processor we run on.
const WHOLE: usize = 8;

impl Engine<'_> {
    /// Takes a process from its request to the point at which it needs a decision: executes store
    /// instructions, ends what has ended, cuts loads into parts.
    pub(super) fn advance(&mut self, process: usize) -> Result<(), Unsupported> {
        while self.processes[process].parts.is_empty() {
            match *self.backend.request(process) {
                Request::Access { offset, size, kind: Kind::Write } => {
                    let site = self.backend.site(process).clone();
                    let seen = self.view(process, offset, size);
                    let stored = self.backend.resume(process, Reply::Bytes(seen))?;
                    self.queue_stores(process, offset, &stored, &site);
                }
                Request::Access { offset, size, kind: Kind::Locked } => {
                    self.processes[process].parts.push_back(Part::Update { offset, size });
                }
                Request::Access { offset, size, .. } => {
                    self.processes[process].gathered.clear();
                    let mut at = 0;
                    while at < size {
                        let piece = whole_piece(offset + at, size - at);
                        let last = at + piece == size;
                        let part = Part::Read { offset: offset + at, size: piece, last };
                        self.processes[process].parts.push_back(part);
                        at += piece;
                    }
                }
                Request::Fence if self.model.buffer(process).is_none() => {
                    // Nothing to wait for: no reason to ask anybody.
                    self.fence(process)?;
                }
                Request::Ended(exit) => {
                    if self.processes[process].state != State::Ended {
                        self.processes[process].state = State::Ended;
                        self.event(process, Action::Ended(exit), None);
                        if exit != Exit::Code(0) && self.failed.is_none() {
                            self.failed = Some((process, exit));
                        }
                    }
                    return Ok(());
                }
                _ => return Ok(()),
            }
        }
        // Who is about to store is getting on, however often it has read the same before.
        if matches!(self.processes[process].parts.front(), Some(Part::Write { .. }))
            && self.processes[process].state == State::Spinning
        {
            self.processes[process].state = State::Ready;
        }
        Ok(())
    }

    /// Answers, and advances.
    pub(super) fn go_on(&mut self, process: usize, reply: Reply) -> Result<(), Unsupported> {
        self.backend.resume(process, reply)?;
        self.advance(process)
    }

    /// Does the next part of what the process has asked for.
    pub(super) fn go(
        &mut self,
        process: usize,
        strategy: &mut dyn Strategy,
    ) -> Result<(), Unsupported> {
        if let Some(part) = self.processes[process].parts.pop_front() {
            match part {
                Part::Read { offset, size, last } => {
                    self.read(process, offset, size, strategy);
                    if last {
                        self.finish_load(process)?;
                    }
                }
                Part::Update { offset, size } => self.update(process, offset, size)?,
                Part::Write { offset, bytes, site } => {
                    self.write(process, offset, bytes, site);
                }
            }
            return self.advance(process);
        }
        match self.backend.request(process).clone() {
            Request::Futex { word, call } => self.futex(process, word, call),
            Request::Fence => {
                self.fence(process)?;
                self.advance(process)
            }
            Request::Yield { nanoseconds } => {
                self.event(process, Action::Yield, None);
                self.backend.pass(nanoseconds.max(1000));
                self.yielded = Some(process);
                self.go_on(process, Reply::Return(0))
            }
            Request::Object { name, aspect, changes } => {
                self.event(process, Action::Object { name, aspect, changes }, None);
                let before = self.changes;
                if changes {
                    self.changes += 1;
                    self.objects += 1;
                    for other in &mut self.processes {
                        if other.state == State::Spinning {
                            other.state = State::Ready;
                        }
                        other.reads.clear();
                    }
                }
                self.backend.resume(process, Reply::Go)?;
                if self.changes == before {
                    // Asking for the same again and again is spinning too.
                    let place = self.backend.site(process).place;
                    let at = usize::MAX - aspect as usize;
                    if self.processes[process].reads.note(place, at, Bytes::empty()) {
                        self.processes[process].state = State::Spinning;
                    }
                }
                self.advance(process)
            }
            Request::Call { name, offset, size, writes } => {
                let seen = self.view(process, offset, size);
                self.event(process, Action::Call { name, writes }, Some((offset, size)));
                let left = self.backend.resume(process, Reply::Bytes(seen))?;
                if writes {
                    for (at, piece) in left.chunks(Bytes::MOST).enumerate() {
                        let at = offset + at * Bytes::MOST;
                        let (before, after) = (self.found(at, piece.len()), Bytes::of(piece));
                        self.publish(process, at, before, after, Ordering::Plain);
                    }
                    self.processes[process].reads.clear();
                }
                self.advance(process)
            }
            request => unreachable!("{request:?} needs no decision"),
        }
    }

    /// The oldest store of the process's buffer becomes visible.
    pub(super) fn drain(&mut self, process: usize) {
        let Model::Tso(buffers) = &mut self.model else { return };
        let Some(store) = buffers[process].pop_front() else { return };
        let before = self.found(store.offset, store.bytes.len());
        let span = Some((store.offset, store.bytes.len()));
        let action = Action::Drain { before, after: store.bytes, stored: store.step };
        self.event_at(process, action, span, store.site);
        self.commit(process, store.offset, before, store.bytes);
    }

    fn read(&mut self, process: usize, offset: usize, size: usize, strategy: &mut dyn Strategy) {
        let place = self.backend.site(process).place;
        let mut value = Bytes::of(&self.view(process, offset, size));
        let mut old = None;
        let mut behind = 0;
        let ordering = self.ordering(process, false);
        if let (Model::Weak(weak), Some(ordering)) = (&mut self.model, ordering) {
            let initial = initial(&*self.backend);
            let mut most = weak.candidates(process, offset, size, ordering, &initial);
            // Nobody reads the same old value for ever: who asks again sees the newest.
            if self.processes[process].reads.count(place, offset) > 0 {
                most = 0;
            }
            behind = if most > 0 { strategy.old(self.step, most).min(most) } else { 0 };
            if let Some(choice) = self.choices.last_mut() {
                choice.old = (behind, most);
            }
            let loaded = weak.load(process, offset, size, ordering, behind);
            value = loaded.bytes;
            old = (behind > 0).then_some(loaded.step);
        }
        self.processes[process].gathered.extend(value.as_slice());
        self.event(process, Action::Read { value, old }, Some((offset, size)));
        self.order_last(ordering);
        if behind == 0 {
            self.note_read(process, offset, value);
        }
    }

    /// All parts of a load are there: the instruction gets them.
    fn finish_load(&mut self, process: usize) -> Result<(), Unsupported> {
        let Request::Access { offset, kind, .. } = *self.backend.request(process) else {
            unreachable!("a load is an access")
        };
        let site = self.backend.site(process).clone();
        let seen = std::mem::take(&mut self.processes[process].gathered);
        let stored = self.backend.resume(process, Reply::Bytes(seen))?;
        if kind == Kind::Update {
            self.queue_stores(process, offset, &stored, &site);
        }
        Ok(())
    }

    fn update(&mut self, process: usize, offset: usize, size: usize) -> Result<(), Unsupported> {
        let site = self.backend.site(process).clone();
        let ordering = self.ordering(process, true);
        let before = Bytes::of(&self.view(process, offset, size));
        let stored = self.backend.resume(process, Reply::Bytes(before.as_slice().to_vec()))?;
        let after = if stored.is_empty() { before } else { Bytes::of(&stored) };
        let span = Some((offset, size));
        self.event_at(process, Action::Update { before, after }, span, site.clone());
        self.order_last(ordering);
        if let (Model::Weak(weak), Some(ordering)) = (&mut self.model, ordering) {
            let initial = initial(&*self.backend);
            weak.candidates(process, offset, size, ordering, &initial);
            weak.load(process, offset, size, ordering, 0);
            if before != after {
                let (bytes, step) = (after.as_slice(), self.step);
                weak.store(process, offset, bytes, ordering, true, step, &initial);
            }
        }
        if self.commit(process, offset, before, after) {
            self.processes[process].reads.clear();
        } else if self.processes[process].reads.note(site.place, offset, before) {
            self.spin(process, offset, before, site);
        }
        Ok(())
    }

    fn write(&mut self, process: usize, offset: usize, bytes: Bytes, site: Site) {
        let span = Some((offset, bytes.len()));
        let ordering =
            matches!(self.model, Model::Weak(_)).then(|| self.backend.ordering(site.place, false));
        if let Model::Tso(buffers) = &mut self.model {
            let store = Buffered { offset, bytes, step: self.step, site: site.clone() };
            buffers[process].push_back(store);
            self.event_at(process, Action::Buffer { value: bytes }, span, site);
            self.processes[process].reads.clear();
            return;
        }
        let before = self.found(offset, bytes.len());
        self.event_at(process, Action::Write { before, after: bytes }, span, site);
        self.order_last(ordering);
        let ordering = ordering.unwrap_or(Ordering::Plain);
        if self.publish(process, offset, before, bytes, ordering) {
            self.processes[process].reads.clear();
        }
    }

    /// Makes a store visible, in the history of a weak model too.
    pub(super) fn publish(
        &mut self,
        process: usize,
        offset: usize,
        before: Bytes,
        bytes: Bytes,
        ordering: Ordering,
    ) -> bool {
        if let Model::Weak(weak) = &mut self.model {
            let initial = initial(&*self.backend);
            let step = self.step;
            weak.store(process, offset, bytes.as_slice(), ordering, false, step, &initial);
        }
        self.commit(process, offset, before, bytes)
    }

    fn fence(&mut self, process: usize) -> Result<(), Unsupported> {
        self.event(process, Action::Fence, None);
        if let Model::Weak(weak) = &mut self.model {
            weak.fence(process);
        }
        self.backend.resume(process, Reply::Go)?;
        Ok(())
    }

    fn queue_stores(&mut self, process: usize, offset: usize, stored: &[u8], site: &Site) {
        let mut at = 0;
        while at < stored.len() {
            let piece = whole_piece(offset + at, stored.len() - at);
            let part = Part::Write {
                offset: offset + at,
                bytes: Bytes::of(&stored[at..at + piece]),
                site: site.clone(),
            };
            self.processes[process].parts.push_back(part);
            at += piece;
        }
    }

    fn note_read(&mut self, process: usize, offset: usize, value: Bytes) {
        let site = self.backend.site(process).clone();
        if self.processes[process].reads.note(site.place, offset, value) {
            self.spin(process, offset, value, site);
        }
    }

    fn spin(&mut self, process: usize, offset: usize, value: Bytes, site: Site) {
        self.processes[process].state = State::Spinning;
        let again = self.events.iter().rev().any(|event| {
            event.process == process
                && matches!(event.action, Action::Spin { .. })
                && event.site.place == site.place
                && event.span == Some((offset, value.len()))
                && event.action == Action::Spin { value }
        });
        if !again {
            let span = Some((offset, value.len()));
            self.event_at(process, Action::Spin { value }, span, site);
        }
    }

    /// The source's ordering of what the process is about to do, if the model needs it.
    fn ordering(&mut self, process: usize, locked: bool) -> Option<Ordering> {
        let place = self.backend.site(process).place;
        matches!(self.model, Model::Weak(_)).then(|| self.backend.ordering(place, locked))
    }

    fn order_last(&mut self, ordering: Option<Ordering>) {
        if let Some(event) = self.events.last_mut() {
            event.ordering = ordering;
        }
    }
}

/// The next piece of an access that no processor divides: up to eight bytes, and not across a
/// multiple of eight unless the whole access is that small.
fn whole_piece(offset: usize, left: usize) -> usize {
    if left <= WHOLE { left } else { WHOLE - offset % WHOLE }
}

/// The value of four bytes that nobody has stored to yet.
fn initial(backend: &dyn crate::request::Backend) -> impl Fn(usize) -> [u8; 4] {
    move |offset| {
        let mut bytes = [0; 4];
        backend.load(offset, &mut bytes);
        bytes
    }
}
