//! Which parts of the segment a process has mapped, and where. All of them lie in the arena, and
//! nothing there is accessible; what the process asked to be allowed is kept here.

use nix::libc;

use crate::decode::Access;
use crate::request::Kind;
use crate::tracee::{ARENA, ARENA_LEN};

/// A piece of the segment as a process has mapped it.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) len: u64,
    /// Where in the object it begins.
    pub(super) offset: u64,
    pub(super) protection: i32,
}

impl Mapping {
    pub(super) fn holds(&self, address: u64) -> bool {
        (self.start..self.start + self.len).contains(&address)
    }
}

/// All of them.
#[derive(Clone, Debug)]
pub(super) struct Mappings {
    all: Vec<Mapping>,
    /// Where in the arena the next one goes.
    next: u64,
}

impl Mappings {
    pub(super) fn new() -> Mappings {
        Mappings { all: Vec::new(), next: ARENA }
    }

    /// Where a mapping of so many bytes will go, if there is room.
    pub(super) fn place(&self, len: u64) -> Option<(u64, u64)> {
        let len = len.checked_next_multiple_of(4096)?;
        let end = self.end(len)?;
        (end <= ARENA + ARENA_LEN).then_some((self.next, len))
    }

    /// Remembers the mapping that was made where [`Mappings::place`] said.
    pub(super) fn add(&mut self, mapping: Mapping) {
        self.next = self.end(mapping.len).unwrap_or(u64::MAX);
        self.all.push(mapping);
    }

    /// Forgets what lies between two addresses.
    pub(super) fn remove(&mut self, start: u64, end: u64) {
        self.all.retain(|mapping| mapping.start < start || mapping.start >= end);
        for mapping in &mut self.all {
            if mapping.holds(start) {
                mapping.len = start - mapping.start;
            }
        }
    }

    /// Changes what is allowed in the mapping that begins at an address.
    pub(super) fn protect(&mut self, start: u64, len: u64, protection: i32) {
        for mapping in &mut self.all {
            if start == mapping.start && len <= mapping.len {
                mapping.protection = protection;
            }
        }
    }

    pub(super) fn at(&self, address: u64) -> Option<&Mapping> {
        self.all.iter().find(|mapping| mapping.holds(address))
    }

    pub(super) fn hold(&self, address: u64) -> bool {
        self.at(address).is_some()
    }

    /// Where in the object an address of a mapping lies.
    pub(super) fn offset_of(&self, address: u64) -> usize {
        self.at(address).map_or(0, |mapping| (address - mapping.start + mapping.offset) as usize)
    }

    /// Whether the process itself asked for a mapping that allows this.
    pub(super) fn allow(&self, access: &Access) -> bool {
        let last = access.address + access.size.max(1) as u64 - 1;
        let Some(mapping) = self.at(access.address) else { return false };
        let reads = access.kind != Kind::Write;
        let writes = access.kind != Kind::Read;
        mapping.holds(last)
            && !(reads && mapping.protection & libc::PROT_READ == 0)
            && !(writes && mapping.protection & libc::PROT_WRITE == 0)
    }

    /// A page between two mappings: running out of one must not end in the next.
    fn end(&self, len: u64) -> Option<u64> {
        self.next.checked_add(len).and_then(|end| end.checked_add(4096))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping((start, len): (u64, u64), offset: u64) -> Mapping {
        Mapping { start, len, offset, protection: libc::PROT_READ }
    }

    #[test]
    fn two_mappings_never_touch() {
        let mut mappings = Mappings::new();
        mappings.add(mapping(mappings.place(5000).unwrap(), 0));
        mappings.add(mapping(mappings.place(1).unwrap(), 4096));
        assert_eq!(mappings.offset_of(ARENA + 8191), 8191);
        assert!(!mappings.hold(ARENA + 8192) && !mappings.hold(ARENA + 12287));
        assert_eq!(mappings.offset_of(ARENA + 12288), 4096);
        assert_eq!(mappings.place(ARENA_LEN), None);
    }

    #[test]
    fn what_is_unmapped_is_no_segment() {
        let mut mappings = Mappings::new();
        mappings.add(mapping(mappings.place(8192).unwrap(), 0));
        mappings.remove(ARENA + 4096, ARENA + 8192);
        assert!(mappings.hold(ARENA + 4095) && !mappings.hold(ARENA + 4096));
        mappings.remove(ARENA, ARENA + 4096);
        assert!(!mappings.hold(ARENA));
    }
}
