//! The growing log of the lab unbounded-buffer, spoken from its document.

use super::{Asked, Peer, PeerError, prefix};

/// u64: messages published; only the producer stores it.
pub const TAIL: u64 = 64;
/// u64: messages taken; only the consumer stores it.
pub const HEAD: u64 = 192;
/// The slots begin here.
pub const SLOTS: u64 = 256;
/// Bytes of a slot: a u64 length, then the payload.
pub const SLOT: u64 = 64;
/// Most bytes of a message.
pub const PAYLOAD: usize = 56;
/// Length of a new object.
pub const FIRST_LEN: u64 = 4096;

/// The words of the segment, by offset, for messages.
pub const WORDS: &[(u64, &str)] =
    &[(prefix::STATE, "state"), (TAIL, "tail"), (HEAD, "head"), (SLOTS, "the slots")];

/// Where slot `index` begins.
pub fn slot(index: u64) -> u64 {
    SLOTS + index * SLOT
}

/// Makes an empty log that is ready.
pub fn create(peer: &mut Peer, name: &str) -> Asked {
    peer.make(name, FIRST_LEN, 0o600)?;
    peer.put32(prefix::VERSION, 1)?;
    peer.put64(prefix::TOTAL_LEN, FIRST_LEN)?;
    peer.put64(prefix::MAGIC, prefix::magic(2))?;
    peer.put32(prefix::STATE, prefix::READY)
}

/// Publishes one message, growing the object by doubling where it must.
pub fn push(peer: &mut Peer, message: &[u8]) -> Asked {
    let tail = peer.get64(TAIL)?;
    let end = slot(tail + 1);
    let mut len = peer.remap()?;
    if end > len {
        while len < end {
            len *= 2;
        }
        peer.resize(len)?;
    }
    peer.write(slot(tail) + 8, message)?;
    peer.put64(slot(tail), message.len() as u64)?;
    peer.put64(TAIL, tail + 1)
}

/// Publishes many messages with a single store of tail, growing the object by doubling where it
/// must.
pub fn push_all(peer: &mut Peer, messages: &[Vec<u8>]) -> Asked {
    let tail = peer.get64(TAIL)?;
    let end = slot(tail + messages.len() as u64);
    let mut len = peer.remap()?;
    if end > len {
        while len < end {
            len *= 2;
        }
        peer.resize(len)?;
    }
    peer.write(slot(tail), &slots(messages))?;
    peer.put64(TAIL, tail + messages.len() as u64)
}

/// The slots of these messages, one behind the other.
pub fn slots(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(messages.len() * SLOT as usize);
    for message in messages {
        bytes.extend((message.len() as u64).to_le_bytes());
        bytes.extend(message);
        bytes.resize(bytes.len().next_multiple_of(SLOT as usize), 0);
    }
    bytes
}

/// Takes the next message; nothing when there is none at the moment.
pub fn pop(peer: &mut Peer) -> Asked<Option<Vec<u8>>> {
    let head = peer.get64(HEAD)?;
    if peer.get64(TAIL)? <= head {
        return Ok(None);
    }
    peer.remap()?;
    let len = peer.get64(slot(head))?;
    if len > PAYLOAD as u64 {
        return Err(PeerError::Refused(format!("slot {head} holds the length {len}")));
    }
    let message = peer.read(slot(head) + 8, len)?;
    peer.put64(HEAD, head + 1)?;
    Ok(Some(message))
}

/// Says that nothing more will come.
pub fn close(peer: &mut Peer) -> Asked {
    peer.put32(prefix::STATE, prefix::CLOSED)
}
