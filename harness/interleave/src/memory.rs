//! What a load sees and when a store is seen: the three memory models.

mod weak;

use std::collections::VecDeque;

pub(crate) use weak::Weak;

/// The rules by which stores become visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Memory {
    /// Sequential consistency: every store is seen at once, as every textbook's pictures assume.
    #[default]
    Sc,
    /// Total store order, what x86 does: a store waits in its processor's buffer, where only that
    /// processor sees it, and becomes visible later.
    Tso,
    /// Release and acquire as the language has them: a load may see an old value unless something
    /// orders it behind the newer store. The orderings are those of the source.
    Weak,
}

/// The state of a model during one run.
pub(crate) enum Model {
    Sc,
    /// One store buffer for each process.
    Tso(Vec<VecDeque<Buffered>>),
    Weak(Weak),
}

/// A store that only its own process sees so far.
#[derive(Clone, Debug)]
pub(crate) struct Buffered {
    pub(crate) offset: usize,
    pub(crate) bytes: crate::bytes::Bytes,
    pub(crate) step: usize,
    pub(crate) site: crate::request::Site,
}

impl Model {
    pub(crate) fn new(memory: Memory, processes: usize) -> Model {
        match memory {
            Memory::Sc => Model::Sc,
            Memory::Tso => Model::Tso(vec![VecDeque::new(); processes]),
            Memory::Weak => Model::Weak(Weak::new(processes)),
        }
    }

    /// The process's store buffer, if it has one and there is something in it.
    pub(crate) fn buffer(&self, process: usize) -> Option<&VecDeque<Buffered>> {
        match self {
            Model::Tso(buffers) if !buffers[process].is_empty() => Some(&buffers[process]),
            _ => None,
        }
    }

    /// Lays the process's own stores over what everybody sees at `offset`.
    pub(crate) fn overlay(&self, process: usize, offset: usize, seen: &mut [u8]) {
        for store in self.buffer(process).into_iter().flatten() {
            for (at, &byte) in (store.offset..).zip(store.bytes.as_slice()) {
                if let Some(place) = at.checked_sub(offset).and_then(|at| seen.get_mut(at)) {
                    *place = byte;
                }
            }
        }
    }
}
