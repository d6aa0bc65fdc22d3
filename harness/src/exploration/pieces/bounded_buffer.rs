//! The pieces of the lab bounded-buffer: exclusion, blocking and the end, and a death anywhere.

use super::{Judged, Layout, Left, NAME, Piece, Tried, require, shown};
use crate::peer::ring::{self, Shape};
use crate::peer::{Asked, Peer, prefix};

pub(super) const PIECES: &[Piece] = &[
    Piece {
        lab: "bounded-buffer",
        id: "create-killed",
        title: "a creator that is killed before each of its steps",
        segment: None,
        programs: &[(&["create", NAME, "3"], "")],
        tried: Tried::Deaths(0),
        judge: |left| ready_is_last(left, false),
        layout: LAYOUT,
        wrong_on_purpose: false,
    },
    Piece {
        lab: "bounded-buffer",
        id: "create-robust-killed",
        title: "a creator of a robust buffer that is killed before each of its steps",
        segment: None,
        programs: &[(&["create", NAME, "3", "--robust"], "")],
        tried: Tried::Deaths(0),
        judge: |left| ready_is_last(left, true),
        layout: LAYOUT,
        wrong_on_purpose: false,
    },
    Piece {
        lab: "bounded-buffer",
        id: "two-producers",
        title: "two producers, and room for both messages",
        segment: Some(|peer, name| ring::create(peer, name, Shape::plain(2))),
        programs: &[
            (&["producer", NAME, "--keep-open"], "a\n"),
            (&["producer", NAME, "--keep-open"], "b\n"),
        ],
        tried: Tried::Interruptions(2),
        judge: both_are_in,
        layout: LAYOUT,
        wrong_on_purpose: false,
    },
    Piece {
        lab: "bounded-buffer",
        id: "two-consumers",
        title: "two consumers, and a message for each",
        segment: Some(two_messages),
        programs: &[(&["consumer", NAME, "--step"], "\n"), (&["consumer", NAME, "--step"], "\n")],
        tried: Tried::Interruptions(2),
        judge: |left| {
            left.all_end_well()?;
            in_hex([left.output(0), left.output(1)].concat())
        },
        layout: LAYOUT,
        wrong_on_purpose: false,
    },
    Piece {
        lab: "bounded-buffer",
        id: "one-slot-for-two",
        title: "two producers with one slot between them, and a consumer",
        segment: Some(|peer, name| ring::create(peer, name, Shape::plain(1))),
        programs: &[
            (&["producer", NAME, "--keep-open"], "a\n"),
            (&["producer", NAME, "--keep-open"], "b\n"),
            (&["consumer", NAME, "--step"], "\n\n"),
        ],
        tried: Tried::Interruptions(1),
        judge: |left| {
            left.all_end_well()?;
            in_hex(left.output(2).to_vec())
        },
        layout: LAYOUT,
        wrong_on_purpose: false,
    },
    Piece {
        lab: "bounded-buffer",
        id: "hand-to-hand",
        title: "a message through one slot, then the end",
        segment: Some(|peer, name| ring::create(peer, name, Shape::plain(1))),
        programs: &[(&["producer", NAME], "a\n"), (&["consumer", NAME], "")],
        tried: Tried::Interruptions(2),
        judge: |left| {
            left.all_end_well()?;
            each_once(left.output(1).to_vec(), &["a\n"])
        },
        layout: LAYOUT,
        wrong_on_purpose: false,
    },
    Piece {
        lab: "bounded-buffer",
        id: "two-ends",
        title: "two consumers that are told the end",
        segment: Some(|peer, name| {
            ring::create(peer, name, Shape::plain(2))?;
            ring::close(peer)
        }),
        programs: &[(&["consumer", NAME], ""), (&["consumer", NAME], "")],
        tried: Tried::Interruptions(2),
        judge: |left| {
            left.all_end_well()?;
            each_once([left.output(0), left.output(1)].concat(), &[])
        },
        layout: LAYOUT,
        wrong_on_purpose: false,
    },
    Piece {
        lab: "bounded-buffer",
        id: "producer-killed",
        title: "a producer that is killed before each of its steps, and another that closes",
        segment: Some(|peer, name| {
            ring::create(peer, name, ROBUST)?;
            // What stands in the slots from before shows who takes a slot for a message.
            for _ in 0..ROBUST.capacity {
                ring::push(peer, b"old\n")?;
                ring::pop(peer)?;
            }
            Ok(())
        }),
        programs: &[
            (&["producer", NAME, "--keep-open"], "x\n"),
            (&["producer", NAME], "a\n"),
            (&["consumer", NAME], ""),
        ],
        tried: Tried::Deaths(0),
        judge: survives_a_producer,
        layout: LAYOUT,
        wrong_on_purpose: false,
    },
    Piece {
        lab: "bounded-buffer",
        id: "consumer-killed",
        title: "a consumer that is killed before each of its steps, and another that goes on",
        segment: Some(|peer, name| {
            ring::create(peer, name, ROBUST)?;
            ring::push(peer, b"a\n")?;
            ring::push(peer, b"b\n")?;
            ring::close(peer)?;
            // One who dies between the permit and the lock takes the permit along, and no lock can
            // tell: so there is one to spare.
            peer.sem_post(ring::FULL)
        }),
        programs: &[(&["consumer", NAME], ""), (&["consumer", NAME], "")],
        tried: Tried::Deaths(0),
        judge: survives_a_consumer,
        layout: LAYOUT,
        wrong_on_purpose: false,
    },
];

const LAYOUT: &Layout = &Layout {
    structures: &[("Prefix", 0), ("Control", 64)],
    named: &[
        ("slot 0: len", 512, 8),
        ("slot 0: bytes", 520, 56),
        ("slot 1: len", 576, 8),
        ("slot 1: bytes", 584, 56),
        ("slot 2: len", 640, 8),
        ("slot 2: bytes", 648, 56),
        ("slot 3: len", 704, 8),
        ("slot 3: bytes", 712, 56),
    ],
};

const ROBUST: Shape = Shape { capacity: 4, slot_size: 64, robust: true };

fn two_messages(peer: &mut Peer, name: &str) -> Asked {
    ring::create(peer, name, Shape::plain(2))?;
    ring::push(peer, b"a\n")?;
    ring::push(peer, b"b\n")
}

/// Wherever the creator dies: what says READY is complete.
fn ready_is_last(left: &Left<'_>, robust: bool) -> Judged {
    /// Where glibc keeps the kind of a mutex, which is 0 for one of an ordinary process.
    const KIND: u64 = 16;
    if left.half(prefix::STATE) != prefix::READY {
        return Ok(());
    }
    let words = [("capacity", ring::CAPACITY, 3), ("slot_size", ring::SLOT_SIZE, 64)];
    let semaphores =
        [("empty", ring::EMPTY, 3), ("full", ring::FULL, 0), ("mutex", ring::MUTEX, 1)];
    for (name, at, wanted) in words.into_iter().chain(semaphores) {
        let seen = left.half(at);
        require(seen == wanted, "ready-too-early", || {
            format!("killed there, it leaves READY, and `{name}` is {seen}, not {wanted}")
        })?;
    }
    let made = left.half(ring::ROBUST + KIND) != 0;
    require(made == robust && left.half(ring::LOCK) == u32::from(robust), "ready-too-early", || {
        "killed there, it leaves READY, and `robust` is not initialised".to_owned()
    })
}

/// Both messages stand in a slot of their own.
fn both_are_in(left: &Left<'_>) -> Judged {
    left.all_end_well()?;
    let slot = |index: usize| {
        let at = ring::SLOTS as usize + 64 * index;
        let len = left.word(at as u64).min(56) as usize;
        left.bytes().get(at + 8..at + 8 + len).unwrap_or(&[]).to_vec()
    };
    let tail = left.word(ring::TAIL);
    require(tail == 2, "loses-messages", || {
        format!("two messages were put in, and tail is {tail}")
    })?;
    each_once([slot(0), slot(1)].concat(), &["a\n", "b\n"])
}

/// Both messages were told by the step protocol, in hex, each once.
fn in_hex(seen: Vec<u8>) -> Judged {
    let text = String::from_utf8_lossy(&seen).replace("attached\n", "");
    each_once(text.into_bytes(), &["consumed 610a\n", "consumed 620a\n"])
}

/// These messages came out, in any order, each once.
fn each_once(seen: Vec<u8>, wanted: &[&str]) -> Judged {
    let text = String::from_utf8_lossy(&seen);
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    lines.sort_unstable();
    let strange = lines.iter().any(|line| !wanted.contains(line));
    let doubled = lines.windows(2).any(|pair| pair[0] == pair[1]);
    let code = match (strange, doubled) {
        (true, _) => "garbles-messages",
        (_, true) => "doubles-messages",
        _ => "loses-messages",
    };
    require(lines == wanted, code, || {
        format!("`{}` went in, and `{}` came out", shown(wanted.concat().as_bytes()), shown(&seen))
    })
}

/// The other producer's message comes out once; the dead one's once or, if it died too early, not
/// at all.
fn survives_a_producer(left: &Left<'_>) -> Judged {
    left.all_end_well()?;
    let seen = left.output(2).to_vec();
    let with_it = each_once(seen.clone(), &["a\n", "x\n"]);
    with_it.or_else(|_| each_once(seen, &["a\n"]))
}

/// What the dead consumer has not printed comes out once, apart from the message it died with.
fn survives_a_consumer(left: &Left<'_>) -> Judged {
    left.all_end_well()?;
    let seen = [left.output(0), left.output(1)].concat();
    let whole = each_once(seen.clone(), &["a\n", "b\n"]);
    let without = |one: &'static str| each_once(seen.clone(), &[one]);
    whole.or_else(|all| without("a\n").or_else(|_| without("b\n")).map_err(|_| all))
}
