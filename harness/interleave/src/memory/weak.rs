//! Release, acquire, relaxed and sequentially consistent accesses by views: every location keeps
//! its history, and a process may load any value not older than what it must have seen. (Loads never
//! see stores of the future: no load buffering.)

use std::collections::HashMap;

use crate::bytes::Bytes;
use crate::request::Ordering;

/// Histories are kept for every four bytes: the smallest atomics in use.
const GRAIN: usize = 4;

/// How far into the history of each grain somebody has seen.
type View = HashMap<usize, usize>;

/// A value, and what whoever acquires it must have seen.
struct Message {
    bytes: [u8; GRAIN],
    view: View,
    /// The step that stored it.
    step: Option<usize>,
}

/// All histories and all views.
pub(crate) struct Weak {
    histories: HashMap<usize, Vec<Message>>,
    views: Vec<View>,
    /// What everybody who is sequentially consistent must have seen.
    total: View,
}

/// What a load got.
pub(crate) struct Loaded {
    pub(crate) bytes: Bytes,
    /// The step that stored it; `None` for the value there was at the start.
    pub(crate) step: Option<usize>,
}

impl Weak {
    pub(crate) fn new(processes: usize) -> Weak {
        Weak { histories: HashMap::new(), views: vec![View::new(); processes], total: View::new() }
    }

    /// How many values behind the newest a load may take. `initial` reads the segment as everybody
    /// would see it: the value of a grain that nobody has stored to yet.
    pub(crate) fn candidates(
        &mut self,
        process: usize,
        offset: usize,
        size: usize,
        ordering: Ordering,
        initial: impl Fn(usize) -> [u8; GRAIN],
    ) -> usize {
        if ordering == Ordering::SeqCst {
            join(&mut self.views[process], &self.total);
        }
        let mut most = 0;
        for grain in grains(offset, size) {
            let newest = self.history(grain, &initial).len() - 1;
            let seen = self.views[process].get(&grain).copied().unwrap_or(0);
            most = most.max(newest - seen);
        }
        most
    }

    /// Loads a value `behind` the newest, after [`Weak::candidates`].
    pub(crate) fn load(
        &mut self,
        process: usize,
        offset: usize,
        size: usize,
        ordering: Ordering,
        behind: usize,
    ) -> Loaded {
        let mut chosen: Vec<(usize, usize)> = grains(offset, size)
            .map(|grain| {
                let seen = self.views[process].get(&grain).copied().unwrap_or(0);
                let newest = self.histories[&grain].len() - 1;
                (grain, seen.max(newest.saturating_sub(behind)))
            })
            .collect();
        // A store of eight bytes is never half seen: whoever sees one grain of it sees the other.
        while let Some((at, newer)) = self.half_seen(&chosen) {
            chosen[at].1 = newer;
        }
        let mut loaded = Loaded { bytes: Bytes::zeros(size), step: None };
        for (grain, at) in chosen {
            let message = &self.histories[&grain][at];
            for (position, &byte) in (grain..).zip(&message.bytes) {
                if let Some(place) = position
                    .checked_sub(offset)
                    .and_then(|position| loaded.bytes.as_mut_slice().get_mut(position))
                {
                    *place = byte;
                }
            }
            loaded.step = loaded.step.max(message.step);
            let view = &mut self.views[process];
            view.insert(grain, at);
            if ordering.acquires() {
                join(view, &message.view);
            }
        }
        loaded
    }

    /// Stores. A read-modify-write passes on what the value before it promised.
    #[expect(clippy::too_many_arguments, reason = "all of them describe one store")]
    pub(crate) fn store(
        &mut self,
        process: usize,
        offset: usize,
        bytes: &[u8],
        ordering: Ordering,
        update: bool,
        step: usize,
        initial: impl Fn(usize) -> [u8; GRAIN],
    ) {
        let mut own = View::new();
        let mut promised = View::new();
        for grain in grains(offset, bytes.len()) {
            let history = self.history(grain, &initial);
            own.insert(grain, history.len());
            if update {
                join(&mut promised, &history[history.len() - 1].view);
            }
        }
        join(&mut self.views[process], &own);
        let mut view = if ordering.releases() { self.views[process].clone() } else { own };
        join(&mut view, &promised);
        for grain in grains(offset, bytes.len()) {
            let history = self.history(grain, &initial);
            let mut new = history[history.len() - 1].bytes;
            for (position, place) in (grain..).zip(&mut new) {
                if let Some(&byte) =
                    position.checked_sub(offset).and_then(|position| bytes.get(position))
                {
                    *place = byte;
                }
            }
            history.push(Message { bytes: new, view: view.clone(), step: Some(step) });
        }
        if ordering == Ordering::SeqCst {
            join(&mut self.total, &self.views[process]);
        }
    }

    /// A sequentially consistent fence.
    pub(crate) fn fence(&mut self, process: usize) {
        join(&mut self.views[process], &self.total);
        join(&mut self.total, &self.views[process]);
    }

    /// One process has seen all there is: it slept, and whoever woke it came before.
    pub(crate) fn catch_up(&mut self, process: usize, waker: usize) {
        let seen = self.views[waker].clone();
        join(&mut self.views[process], &seen);
    }

    /// A grain among those chosen that must be newer, and how new.
    fn half_seen(&self, chosen: &[(usize, usize)]) -> Option<(usize, usize)> {
        for &(grain, at) in chosen {
            let view = &self.histories[&grain][at].view;
            for (other, &(grain, at)) in chosen.iter().enumerate() {
                if let Some(&needed) = view.get(&grain)
                    && needed > at
                {
                    return Some((other, needed));
                }
            }
        }
        None
    }

    fn history(
        &mut self,
        grain: usize,
        initial: &impl Fn(usize) -> [u8; GRAIN],
    ) -> &mut Vec<Message> {
        self.histories.entry(grain).or_insert_with(|| {
            vec![Message { bytes: initial(grain), view: View::new(), step: None }]
        })
    }
}

fn join(into: &mut View, from: &View) {
    for (&grain, &at) in from {
        let seen = into.entry(grain).or_insert(0);
        *seen = (*seen).max(at);
    }
}

fn grains(offset: usize, size: usize) -> impl Iterator<Item = usize> {
    (offset / GRAIN * GRAIN..offset + size.max(1)).step_by(GRAIN)
}
