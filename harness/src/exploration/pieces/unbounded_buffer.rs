//! The pieces of the lab unbounded-buffer: publication, growth, the end, and a death anywhere.

use super::{Judged, Layout, Left, NAME, Piece, Tried, listed, require, shown, word};
use crate::peer::{Asked, Peer, log};

pub(super) const PIECES: &[Piece] = &[
    Piece {
        lab: "unbounded-buffer",
        id: "publication",
        title: "a producer that is killed before each of its steps, and what it has published",
        segment: Some(log::create),
        programs: &[(&["producer", NAME, "--keep-open"], TWO)],
        tried: Tried::Deaths(0),
        judge: |left| published_is_whole(left, &[]),
        layout: LAYOUT,
        wrong_on_purpose: false,
    },
    Piece {
        lab: "unbounded-buffer",
        id: "growing",
        title: "a producer that must grow the object, killed before each of its steps",
        segment: Some(full_page),
        programs: &[(&["producer", NAME, "--keep-open"], TWO)],
        tried: Tried::Deaths(0),
        judge: |left| published_is_whole(left, &["old\n"]),
        layout: LAYOUT,
        wrong_on_purpose: false,
    },
    Piece {
        lab: "unbounded-buffer",
        id: "replaced",
        title: "a producer that is killed before each of its steps, and one that takes over",
        segment: Some(full_page),
        programs: &[(&["producer", NAME, "--keep-open"], TWO)],
        tried: Tried::Deaths(0),
        judge: is_replaced,
        layout: LAYOUT,
        wrong_on_purpose: false,
    },
    Piece {
        lab: "unbounded-buffer",
        id: "stream",
        title: "a message, then the end, and a consumer that waits for both",
        segment: Some(log::create),
        programs: &[(&["producer", NAME], "one\n"), (&["consumer", NAME], "")],
        tried: Tried::Interruptions(2),
        judge: |left| arrives(left, b"one\n"),
        layout: LAYOUT,
        wrong_on_purpose: false,
    },
    Piece {
        lab: "unbounded-buffer",
        id: "growing-stream",
        title: "a message for which the object must grow, and a consumer that maps again",
        segment: Some(full_page),
        programs: &[(&["producer", NAME], "one\n"), (&["consumer", NAME], "")],
        tried: Tried::Interruptions(2),
        judge: |left| arrives(left, b"old\none\n"),
        layout: LAYOUT,
        wrong_on_purpose: false,
    },
];

const LAYOUT: &Layout = &Layout {
    structures: &[("Layout", 0)],
    named: &[
        ("slot 0: len", 256, 8),
        ("slot 0: bytes", 264, 56),
        ("slot 1: len", 320, 8),
        ("slot 1: bytes", 328, 56),
        ("slot 60: len", 4096, 8),
        ("slot 60: bytes", 4104, 56),
        ("slot 61: len", 4160, 8),
        ("slot 61: bytes", 4168, 56),
    ],
};

/// How many slots a new object has.
const FIRST_SLOTS: u64 = (log::FIRST_LEN - log::SLOTS) / log::SLOT;

const TWO: &str = "a\nbc\n";

/// A log of one page whose slots are all used, and all but the last consumed.
fn full_page(peer: &mut Peer, name: &str) -> Asked {
    log::create(peer, name)?;
    for _ in 0..FIRST_SLOTS {
        log::push(peer, b"old\n")?;
    }
    peer.put64(log::HEAD, FIRST_SLOTS - 1)
}

/// Wherever the producer dies: what tail counts is there, whole, behind what was there before.
fn published_is_whole(left: &Left<'_>, before: &[&str]) -> Judged {
    let start = if before.is_empty() { 0 } else { FIRST_SLOTS - 1 };
    let (head, tail) = (left.word(log::HEAD), left.word(log::TAIL));
    if head != start || tail < start + before.len() as u64 {
        // Whether it goes on where another stopped is judged where that is asked for.
        return Ok(());
    }
    let seen = messages(left.bytes());
    require(stream(before).starts_with(&seen), "published-too-early", || {
        format!("killed there, it has published {}", listed(&seen))
    })
}

/// Wherever the producer dies: one that is given the messages not yet published completes the
/// stream.
fn is_replaced(left: &Left<'_>) -> Judged {
    let published = messages(left.bytes()).len().saturating_sub(1);
    let rest: String = TWO.split_inclusive('\n').skip(published).collect();
    left.a_producer_takes_over(&["--keep-open"], rest.as_bytes())?;
    let (wanted, seen) = (stream(&["old\n"]), messages(&left.bytes_now()));
    require(seen == wanted, "loses-messages", || {
        format!("{} should be in the log, and {} is", listed(&wanted), listed(&seen))
    })
}

/// The messages that are published and not consumed; at most four.
fn messages(bytes: &[u8]) -> Vec<Vec<u8>> {
    let read = |index: u64| {
        let at = log::slot(index);
        let end = at + 8 + word(bytes, at).min(log::PAYLOAD as u64);
        bytes.get(at as usize + 8..end as usize).unwrap_or(&[]).to_vec()
    };
    let head = word(bytes, log::HEAD);
    (head..word(bytes, log::TAIL).min(head + 4)).map(read).collect()
}

/// What was there before, and the two messages.
fn stream(before: &[&str]) -> Vec<Vec<u8>> {
    let lines = before.iter().copied().chain(TWO.split_inclusive('\n'));
    lines.map(|line| line.as_bytes().to_vec()).collect()
}

fn arrives(left: &Left<'_>, wanted: &[u8]) -> Judged {
    left.all_end_well()?;
    let seen = left.output(1);
    // What is missing at the end is the end's fault, and what is garbled the order's.
    let code = if wanted.starts_with(seen) { "ends-too-soon" } else { "published-too-early" };
    require(seen == wanted, code, || format!("B prints `{}`, not `{}`", shown(seen), shown(wanted)))
}
