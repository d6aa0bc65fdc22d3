//! Fairness without a yield. A process that reads the same again and again is not run until
//! somebody changes what it reads; when nobody else is left, it gets many more chances before it is
//! said to wait for ever.

use std::collections::HashMap;

use super::{Engine, State};
use crate::bytes::Bytes;
use crate::request::Place;

/// So many times the same value at the same place in the code is spinning.
const PATIENT_READS: u32 = 3;

/// So often every process that is left is given one more step, with time passing ever faster, before
/// it is a livelock. Loops that give up after a number of tries try at most a few hundred times.
const LAST_CHANCES: u32 = 1000;

/// What a process has read since something last changed, and how often.
#[derive(Default)]
pub(super) struct Reads {
    seen: HashMap<(Place, usize), (Bytes, u32)>,
}

impl Reads {
    /// Remembers a read; whether it was one too many.
    pub(super) fn note(&mut self, place: Place, offset: usize, value: Bytes) -> bool {
        let known = self.seen.entry((place, offset)).or_insert((value, 0));
        if known.0 != value {
            self.seen.clear();
            self.seen.insert((place, offset), (value, 1));
            return false;
        }
        known.1 += 1;
        known.1 >= PATIENT_READS
    }

    /// How often this was read with this result.
    pub(super) fn count(&self, place: Place, offset: usize) -> u32 {
        self.seen.get(&(place, offset)).map_or(0, |known| known.1)
    }

    /// A number for what is remembered, whatever its order.
    pub(super) fn number(&self) -> (usize, u32) {
        (self.seen.len(), self.seen.values().map(|(_, count)| count).sum())
    }

    /// Forgets everything: the process has changed something itself.
    pub(super) fn clear(&mut self) {
        self.seen.clear();
    }

    /// Whether any of these bytes were read.
    pub(super) fn touch(&self, offset: usize, size: usize) -> bool {
        self.seen.iter().any(|(&(_, read), (value, _))| {
            read < offset + size.max(1) && offset < read + value.len().max(1)
        })
    }

    /// What was read again and again, in order.
    pub(super) fn offsets(&self) -> Vec<usize> {
        let often = self.seen.iter().filter(|(_, (_, count))| *count > 1);
        let mut offsets: Vec<usize> = often.map(|(&(_, offset), _)| offset).collect();
        offsets.sort_unstable();
        offsets.dedup();
        offsets
    }
}

/// How long we wait when all that are left spin.
#[derive(Default)]
pub(super) struct Patience {
    rounds: u32,
    changes: usize,
}

impl Patience {
    /// The next process to have one more try, if there is any and it is worth it.
    pub(super) fn wait_once_more(&mut self, engine: &mut Engine<'_>) -> Option<usize> {
        if engine.changes != self.changes {
            *self = Patience { rounds: 0, changes: engine.changes };
        }
        let spinning: Vec<usize> = (0..engine.processes.len())
            .filter(|&process| engine.processes[process].state == State::Spinning)
            .collect();
        if spinning.is_empty() || self.rounds >= LAST_CHANCES * spinning.len() as u32 {
            return None;
        }
        let process = spinning[self.rounds as usize % spinning.len()];
        engine.processes[process].state = State::Ready;
        // In the end a month and more: whoever waits with a deadline reaches it.
        engine.backend.pass(1_000_000 << (self.rounds / spinning.len() as u32 / 32));
        self.rounds += 1;
        Some(process)
    }
}
