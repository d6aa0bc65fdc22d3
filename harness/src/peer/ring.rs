//! The ring of the lab bounded-buffer, spoken from its document.

use super::{Asked, Peer, PeerError, prefix};

/// u32: number of slots.
pub const CAPACITY: u64 = 64;
/// u32: bytes of a slot.
pub const SLOT_SIZE: u64 = 68;
/// u32: 0 the semaphore `mutex`, 1 the robust mutex.
pub const LOCK: u64 = 72;
/// `sem_t`: free slots.
pub const EMPTY: u64 = 128;
/// `sem_t`: filled slots, and the end token.
pub const FULL: u64 = 192;
/// `sem_t`: 1 when nobody is inside.
pub const MUTEX: u64 = 256;
/// u64: messages taken, never reduced.
pub const HEAD: u64 = 320;
/// u64: messages put, never reduced.
pub const TAIL: u64 = 328;
/// `pthread_mutex_t`, robust; used when `LOCK` is 1.
pub const ROBUST: u64 = 384;
/// The slots begin here.
pub const SLOTS: u64 = 512;

/// The words of the segment, by offset, for messages.
pub const WORDS: &[(u64, &str)] = &[
    (prefix::STATE, "state"),
    (CAPACITY, "capacity"),
    (SLOT_SIZE, "slot_size"),
    (LOCK, "lock"),
    (EMPTY, "empty"),
    (FULL, "full"),
    (MUTEX, "mutex"),
    (HEAD, "head"),
    (TAIL, "tail"),
    (ROBUST, "robust"),
    (SLOTS, "the slots"),
];

/// What a ring is made of.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Number of slots.
    pub capacity: u32,
    /// Bytes of a slot.
    pub slot_size: u32,
    /// Whether the lock is the robust mutex.
    pub robust: bool,
}

impl Shape {
    /// A ring with the semaphore as its lock and slots of the default 64 bytes.
    pub fn plain(capacity: u32) -> Shape {
        Shape { capacity, slot_size: 64, robust: false }
    }

    /// Length of the object.
    #[expect(clippy::len_without_is_empty, reason = "a ring has at least its header")]
    pub fn len(self) -> u64 {
        SLOTS + u64::from(self.capacity) * u64::from(self.slot_size)
    }
}

/// Makes an empty ring that is ready.
pub fn create(peer: &mut Peer, name: &str, shape: Shape) -> Asked {
    peer.make(name, shape.len(), 0o600)?;
    peer.put32(prefix::VERSION, 1)?;
    peer.put64(prefix::TOTAL_LEN, shape.len())?;
    peer.put32(CAPACITY, shape.capacity)?;
    peer.put32(SLOT_SIZE, shape.slot_size)?;
    peer.put32(LOCK, u32::from(shape.robust))?;
    peer.sem_init(EMPTY, shape.capacity, true)?;
    peer.sem_init(FULL, 0, true)?;
    peer.sem_init(MUTEX, 1, true)?;
    if shape.robust {
        peer.mutex_init(ROBUST)?;
    }
    peer.put64(prefix::MAGIC, prefix::magic(3))?;
    peer.put32(prefix::STATE, prefix::READY)
}

/// Where the slot of message number `index` begins.
pub fn slot(peer: &mut Peer, index: u64) -> Asked<u64> {
    let capacity = u64::from(peer.get32(CAPACITY)?);
    let size = u64::from(peer.get32(SLOT_SIZE)?);
    if capacity == 0 {
        return Err(PeerError::Refused("the capacity in the segment is 0".into()));
    }
    Ok(SLOTS + index % capacity * size)
}

/// What a process has taken before it enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// One of `empty`.
    Empty,
    /// One of `full`.
    Full,
}

/// Puts one message in, waiting for a slot and for the lock.
pub fn push(peer: &mut Peer, message: &[u8]) -> Asked {
    loop {
        wait(peer, EMPTY, "empty")?;
        enter(peer, Permit::Empty)?;
        let (head, tail) = (peer.get64(HEAD)?, peer.get64(TAIL)?);
        if tail.wrapping_sub(head) >= u64::from(peer.get32(CAPACITY)?) {
            surplus(peer, &format!("`empty` gave a permit, but head is {head} and tail {tail}"))?;
            continue;
        }
        let at = slot(peer, tail)?;
        peer.write(at + 8, message)?;
        peer.put64(at, message.len() as u64)?;
        peer.put64(TAIL, tail + 1)?;
        peer.sem_post(FULL)?;
        return leave(peer);
    }
}

/// Takes one message out, waiting for it; nothing at the end of the stream.
pub fn pop(peer: &mut Peer) -> Asked<Option<Vec<u8>>> {
    loop {
        wait(peer, FULL, "full")?;
        enter(peer, Permit::Full)?;
        let (head, tail) = (peer.get64(HEAD)?, peer.get64(TAIL)?);
        if head == tail {
            if peer.get32(prefix::STATE)? == prefix::CLOSED {
                peer.sem_post(FULL)?;
                leave(peer)?;
                return Ok(None);
            }
            surplus(peer, &format!("`full` gave a permit, but head and tail are both {head}"))?;
            continue;
        }
        let at = slot(peer, head)?;
        let len = peer.get64(at)?;
        let room = u64::from(peer.get32(SLOT_SIZE)?) - 8;
        if len > room {
            peer.sem_post(FULL)?;
            leave(peer)?;
            return Err(PeerError::Refused(format!(
                "slot {head} holds the length {len}, room is {room}"
            )));
        }
        let message = peer.read(at + 8, len)?;
        peer.put64(HEAD, head + 1)?;
        peer.sem_post(EMPTY)?;
        leave(peer)?;
        return Ok(Some(message));
    }
}

/// Leaves with a permit that the indices do not bear out. Behind the robust mutex a repair may have
/// posted one too many, and the permit is dropped; behind the semaphore there is no such excuse.
fn surplus(peer: &mut Peer, seen: &str) -> Asked {
    let robust = peer.get32(LOCK)? == 1;
    leave(peer)?;
    if robust { Ok(()) } else { Err(PeerError::Refused(seen.to_owned())) }
}

/// Enters the critical section through the lock that the header names, with the permit `mine` in
/// hand, and repairs what a holder that died there has left undone.
pub fn enter(peer: &mut Peer, mine: Permit) -> Asked {
    if peer.get32(LOCK)? != 1 {
        return wait(peer, MUTEX, "mutex");
    }
    if peer.mutex_lock(ROBUST)? {
        // The peer has called it consistent already, because it does not die in between unless a
        // check kills it there, and then the check does not look at what it left.
        repair(peer, mine)?;
    }
    Ok(())
}

/// Posts what `full` and `empty` are short of, by the indices.
fn repair(peer: &mut Peer, mine: Permit) -> Asked {
    let messages = peer.get64(TAIL)?.wrapping_sub(peer.get64(HEAD)?);
    let closed = peer.get32(prefix::STATE)? == prefix::CLOSED;
    let free = u64::from(peer.get32(CAPACITY)?).saturating_sub(messages);
    let wanted = [(FULL, messages + u64::from(closed), Permit::Full), (EMPTY, free, Permit::Empty)];
    for (semaphore, wanted, permit) in wanted {
        let there = peer.sem_value(semaphore)?.max(0) as u64 + u64::from(mine == permit);
        for _missing in there..wanted {
            peer.sem_post(semaphore)?;
        }
    }
    Ok(())
}

/// Leaves the critical section.
pub fn leave(peer: &mut Peer) -> Asked {
    if peer.get32(LOCK)? == 1 { peer.mutex_unlock(ROBUST) } else { peer.sem_post(MUTEX) }
}

/// Says that nothing more will come: the state, then the end token.
pub fn close(peer: &mut Peer) -> Asked {
    peer.put32(prefix::STATE, prefix::CLOSED)?;
    peer.sem_post(FULL)
}

/// The values of `empty`, `full` and `mutex`.
pub fn values(peer: &mut Peer) -> Asked<(i32, i32, i32)> {
    Ok((peer.sem_value(EMPTY)?, peer.sem_value(FULL)?, peer.sem_value(MUTEX)?))
}

fn wait(peer: &mut Peer, offset: u64, name: &str) -> Asked {
    peer.sem_wait(offset).map_err(|error| match error {
        PeerError::Refused(why) => PeerError::Refused(format!("it waits for `{name}`: {why}")),
        died => died,
    })
}
