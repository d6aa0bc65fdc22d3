//! Processes that are no processes: lists of what they ask for, one after the other. What the engine
//! and the searches do is tested on them, without ptrace.

use crate::request::{Backend, Ending, Kind, Ordering, Place, Reply, Request, Site};
use crate::{Exit, Unsupported};

/// One thing a fake process does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Do {
    /// Loads a byte into its register.
    Load(usize, Ordering),
    /// Stores its register plus this.
    Store(usize, u8, Ordering),
    /// Adds this atomically.
    Add(usize, u8),
    /// Goes back to the load before, as long as it has loaded this.
    While(u8),
    /// Gives way.
    Rest,
}

/// Fake processes on a segment of 64 bytes.
pub(crate) struct Fake {
    programs: Vec<Vec<Do>>,
    at: Vec<usize>,
    register: Vec<u8>,
    requests: Vec<Request>,
    sites: Vec<Site>,
    bytes: [u8; 64],
}

impl Fake {
    pub(crate) fn new(programs: Vec<Vec<Do>>) -> Fake {
        let count = programs.len();
        Fake {
            programs,
            at: vec![0; count],
            register: vec![0; count],
            requests: vec![Request::Fence; count],
            sites: vec![Site::default(); count],
            bytes: [0; 64],
        }
    }

    fn settle(&mut self, process: usize) {
        while let Some(Do::While(value)) = self.programs[process].get(self.at[process]) {
            if self.register[process] == *value {
                self.at[process] -= 1;
            } else {
                self.at[process] += 1;
            }
        }
        let (offset, kind) = match self.programs[process].get(self.at[process]) {
            Some(Do::Load(offset, _)) => (*offset, Kind::Read),
            Some(Do::Store(offset, ..)) => (*offset, Kind::Write),
            Some(Do::Add(offset, _)) => (*offset, Kind::Locked),
            Some(Do::Rest) => {
                self.requests[process] = Request::Yield { nanoseconds: 0 };
                return;
            }
            _ => {
                self.requests[process] = Request::Ended(Exit::Code(0));
                return;
            }
        };
        let place = Place { module: process as u32, offset: self.at[process] as u64 };
        self.sites[process] = Site { place, callers: Vec::new() };
        self.requests[process] = Request::Access { offset, size: 1, kind };
    }
}

impl Backend for Fake {
    fn processes(&self) -> usize {
        self.programs.len()
    }

    fn start(&mut self) -> Result<(), Unsupported> {
        *self = Fake::new(std::mem::take(&mut self.programs));
        (0..self.programs.len()).for_each(|process| self.settle(process));
        Ok(())
    }

    fn request(&self, process: usize) -> &Request {
        &self.requests[process]
    }

    fn site(&self, process: usize) -> &Site {
        &self.sites[process]
    }

    fn resume(&mut self, process: usize, reply: Reply) -> Result<Vec<u8>, Unsupported> {
        let seen = match reply {
            Reply::Bytes(seen) => seen,
            _ => Vec::new(),
        };
        let stored = match self.programs[process][self.at[process]] {
            Do::Rest => Vec::new(),
            Do::Load(..) => {
                self.register[process] = seen[0];
                Vec::new()
            }
            Do::Store(_, more, _) => vec![self.register[process].wrapping_add(more)],
            Do::Add(_, more) => vec![seen[0].wrapping_add(more)],
            Do::While(_) => unreachable!("done when settling"),
        };
        self.at[process] += 1;
        self.settle(process);
        Ok(stored)
    }

    fn kill(&mut self, process: usize) {
        self.requests[process] = Request::Ended(Exit::Signal(9));
    }

    fn pass(&mut self, _: u64) {}

    fn load(&self, offset: usize, bytes: &mut [u8]) -> usize {
        let end = (offset + bytes.len()).min(64);
        bytes[..end - offset].copy_from_slice(&self.bytes[offset..end]);
        end - offset
    }

    fn store(&mut self, offset: usize, bytes: &[u8]) {
        self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn ending(&mut self) -> Ending {
        Ending { bytes: Some(self.bytes.to_vec()), ..Ending::default() }
    }

    fn ordering(&mut self, place: Place, _: bool) -> Ordering {
        match self.programs[place.module as usize][place.offset as usize] {
            Do::Load(_, ordering) | Do::Store(_, _, ordering) => ordering,
            _ => Ordering::SeqCst,
        }
    }
}
