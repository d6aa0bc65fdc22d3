//! The string table of the lab raw-segment, spoken from its document.

use super::{Asked, Peer, prefix};

/// u32: how many strings there are; published last.
pub const COUNT: u64 = 64;
/// u32: how many bytes of strings there are.
pub const HEAP_USED: u64 = 68;
/// 64 entries of {u32 offset from the start of the segment, u32 length}.
pub const ENTRIES: u64 = 128;
/// The strings begin here.
pub const HEAP: u64 = 640;
/// Most strings.
pub const CAPACITY: u32 = 64;

/// The words of the segment, by offset, for messages.
pub const WORDS: &[(u64, &str)] =
    &[(prefix::STATE, "state"), (COUNT, "count"), (HEAP_USED, "heap_used"), (ENTRIES, "entries")];

/// Makes an empty table that is still being built.
pub fn build(peer: &mut Peer, name: &str, len: u64) -> Asked {
    peer.make(name, len, 0o600)?;
    write_prefix(peer, len)
}

/// Writes the prefix apart from the state.
pub fn write_prefix(peer: &mut Peer, len: u64) -> Asked {
    peer.put32(prefix::VERSION, 1)?;
    peer.put64(prefix::TOTAL_LEN, len)?;
    peer.put64(prefix::MAGIC, prefix::magic(1))
}

/// Makes a table that is ready and holds these strings.
pub fn create(peer: &mut Peer, name: &str, len: u64, strings: &[&[u8]]) -> Asked {
    build(peer, name, len)?;
    for string in strings {
        put(peer, string)?;
    }
    peer.put32(prefix::STATE, prefix::READY)
}

/// Adds one string.
pub fn put(peer: &mut Peer, string: &[u8]) -> Asked {
    let (count, used) = (peer.get32(COUNT)?, peer.get32(HEAP_USED)?);
    let (entry, offset) = (ENTRIES + u64::from(count) * 8, HEAP + u64::from(used));
    peer.write(offset, string)?;
    peer.put32(entry, offset as u32)?;
    peer.put32(entry + 4, string.len() as u32)?;
    peer.put32(HEAP_USED, used + string.len() as u32)?;
    peer.put32(COUNT, count + 1)
}

/// Reads one string back.
pub fn get(peer: &mut Peer, index: u32) -> Asked<Vec<u8>> {
    let entry = ENTRIES + u64::from(index) * 8;
    let (offset, len) = (peer.get32(entry)?, peer.get32(entry + 4)?);
    peer.read(u64::from(offset), u64::from(len))
}
