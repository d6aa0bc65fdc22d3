//! Sleeping and waking. The kernel never sees a futex call: nobody blocks where we could not see it,
//! and a deadlock is that nobody can run.

use super::{Engine, State};
use crate::Unsupported;
use crate::event::Action;
use crate::request::{Futex, Reply, Word};

/// `EAGAIN` on Linux: the word has changed.
const AGAIN: i64 = 11;

/// `ETIMEDOUT` on Linux.
const TIMED_OUT: i64 = 110;

impl Engine<'_> {
    pub(super) fn futex(
        &mut self,
        process: usize,
        word: Word,
        call: Futex,
    ) -> Result<(), Unsupported> {
        if let Some(answer) = self.processes[process].answer.take() {
            if answer == 0 {
                self.event(process, Action::Woken, span(word));
            }
            return self.go_on(process, Reply::Return(answer));
        }
        match call {
            Futex::Wait { expected, bits, timed } => {
                let found = self.word(process, word);
                if found != expected {
                    let action = Action::NoSleep { expected, found };
                    self.event(process, action, span(word));
                    return self.go_on(process, Reply::Return(-AGAIN));
                }
                self.event(process, Action::Sleep { word, value: expected }, span(word));
                self.processes[process].state = State::Asleep { word, bits, timed };
                Ok(())
            }
            Futex::Wake { most, bits } => {
                let woken = self.wake_by(process, word, most, bits);
                self.event(process, Action::Wake { woken }, span(word));
                self.processes[process].reads.clear();
                self.go_on(process, Reply::Return(i64::from(woken)))
            }
            Futex::Requeue { wake, moved, to, expected } => {
                let found = self.word(process, word);
                if let Some(expected) = expected.filter(|&expected| expected != found) {
                    let action = Action::NoSleep { expected, found };
                    self.event(process, action, span(word));
                    return self.go_on(process, Reply::Return(-AGAIN));
                }
                let woken = self.wake_by(process, word, wake, u32::MAX);
                let mut left = moved;
                for sleeper in &mut self.processes {
                    if let State::Asleep { word: at, .. } = &mut sleeper.state
                        && *at == word
                        && left > 0
                    {
                        *at = to;
                        left -= 1;
                    }
                }
                self.event(process, Action::Wake { woken }, span(word));
                self.processes[process].reads.clear();
                self.go_on(process, Reply::Return(i64::from(woken + moved - left)))
            }
        }
    }

    /// Wakes sleepers in the order of their letters.
    pub(super) fn wake(&mut self, word: Word, most: u32, bits: u32) -> Vec<usize> {
        let mut woken = Vec::new();
        for (number, sleeper) in self.processes.iter_mut().enumerate() {
            if woken.len() as u32 >= most {
                break;
            }
            if let State::Asleep { word: at, bits: wanted, .. } = sleeper.state
                && at == word
                && wanted & bits != 0
            {
                sleeper.state = State::Ready;
                sleeper.answer = Some(0);
                woken.push(number);
            }
        }
        woken
    }

    fn wake_by(&mut self, waker: usize, word: Word, most: u32, bits: u32) -> u32 {
        let woken = self.wake(word, most, bits);
        for &sleeper in &woken {
            if let crate::memory::Model::Weak(weak) = &mut self.model {
                weak.catch_up(sleeper, waker);
            }
        }
        woken.len() as u32
    }

    /// When nobody can run, time passes: the first limited sleep ends. Whether there was one.
    pub(super) fn time_out(&mut self) -> bool {
        let limited = |state: &State| matches!(state, State::Asleep { timed: true, .. });
        let Some(process) = self.processes.iter().position(|process| limited(&process.state))
        else {
            return false;
        };
        self.processes[process].state = State::Ready;
        self.processes[process].answer = Some(-TIMED_OUT);
        // Longer than any limit: whoever asks the clock afterwards finds it passed.
        self.backend.pass(3_600_000_000_000);
        self.event(process, Action::TimedOut, None);
        true
    }

    fn word(&self, process: usize, word: Word) -> u32 {
        match word {
            Word::Shared(offset) => {
                let mut bytes = [0; 4];
                bytes.copy_from_slice(&self.view(process, offset, 4));
                u32::from_le_bytes(bytes)
            }
            Word::Private { value, .. } => value,
        }
    }
}

fn span(word: Word) -> Option<(usize, usize)> {
    match word {
        Word::Shared(offset) => Some((offset, 4)),
        Word::Private { .. } => None,
    }
}
