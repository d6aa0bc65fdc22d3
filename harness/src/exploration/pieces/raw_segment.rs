//! The pieces of the lab raw-segment: the hand-over, and one string that goes across.

use super::{Judged, Layout, Left, NAME, Piece, Tried, half, listed, require, shown};
use crate::peer::{prefix, table};

pub(super) const PIECES: &[Piece] = &[
    Piece {
        lab: "raw-segment",
        id: "create-killed",
        title: "a creator that is killed before each of its steps",
        segment: None,
        programs: &[(&["create", NAME, "1024"], "")],
        tried: Tried::Deaths(0),
        judge: ready_is_last,
        layout: LAYOUT,
        wrong_on_purpose: false,
    },
    Piece {
        lab: "raw-segment",
        id: "hand-over",
        title: "a creator, and a consumer that is already there",
        segment: None,
        programs: &[(&["create", NAME, "1024"], ""), (&["consumer", NAME], "")],
        tried: Tried::Interruptions(2),
        judge: |left| {
            left.all_end_well()?;
            let seen = left.output(1);
            require(seen.is_empty(), "goes-on-too-early", || {
                format!("B prints `{}` from a new table", shown(seen))
            })
        },
        layout: LAYOUT,
        wrong_on_purpose: false,
    },
    Piece {
        lab: "raw-segment",
        id: "one-string",
        title: "a producer with one string, and a consumer that waits for it",
        segment: Some(|peer, name| table::create(peer, name, 1024, &[])),
        programs: &[(&["producer", NAME], "one\n"), (&["consumer", NAME, "--count", "1"], "")],
        tried: Tried::Interruptions(2),
        judge: |left| {
            left.all_end_well()?;
            let seen = left.output(1);
            require(seen == b"one\n", "published-too-early", || {
                format!("B prints `{}`, not `one\\n`", shown(seen))
            })
        },
        layout: LAYOUT,
        wrong_on_purpose: false,
    },
    Piece {
        lab: "raw-segment",
        id: "replaced",
        title: "a producer that is killed before each of its steps, and one that takes over",
        segment: Some(|peer, name| table::create(peer, name, 1024, &[b"old\n"])),
        programs: &[(&["producer", NAME], "a\nbc\n")],
        tried: Tried::Deaths(0),
        judge: is_replaced,
        layout: LAYOUT,
        wrong_on_purpose: false,
    },
];

const LAYOUT: &Layout = &Layout { structures: &[("Layout", 0)], named: &[("strings", 640, 384)] };

/// Wherever the creator dies: others cannot have got in, and what says READY is complete.
fn ready_is_last(left: &Left<'_>) -> Judged {
    if let Some(mode) = left.mode() {
        require(mode & 0o077 == 0, "wrong-mode", || {
            format!("killed there, it leaves an object of mode {mode:04o}")
        })?;
    }
    if left.half(prefix::STATE) != prefix::READY {
        return Ok(());
    }
    let (magic, version) = (left.word(prefix::MAGIC), left.half(prefix::VERSION));
    let (total, len) = (left.word(prefix::TOTAL_LEN), left.bytes().len() as u64);
    let complete = magic == prefix::magic(1) && version == 1 && total == 1024 && len == 1024;
    require(complete, "ready-too-early", || {
        format!(
            "killed there, it leaves READY with magic {magic:#x}, version {version}, total_len {total} and {len} bytes"
        )
    })?;
    require(left.half(prefix::CREATOR) != 0, "ready-too-early", || {
        "killed there, it leaves READY, and creator is 0".to_owned()
    })
}

/// Wherever the producer dies: another puts its string behind those that were published, which stay.
fn is_replaced(left: &Left<'_>) -> Judged {
    let mut wanted = strings(left.bytes());
    wanted.push(b"new\n".to_vec());
    left.a_producer_takes_over(&[], b"new\n")?;
    let seen = strings(&left.bytes_now());
    require(seen == wanted, "overwrites-a-string", || {
        format!("{} should be in the table, and {} is", listed(&wanted), listed(&seen))
    })
}

/// The strings that are published; nothing for one that is not wholly inside.
fn strings(bytes: &[u8]) -> Vec<Vec<u8>> {
    let read = |index: u32| {
        let entry = table::ENTRIES + 8 * u64::from(index);
        let (off, len) = (half(bytes, entry) as usize, half(bytes, entry + 4) as usize);
        bytes.get(off..off.saturating_add(len)).unwrap_or(&[]).to_vec()
    };
    (0..half(bytes, table::COUNT).min(table::CAPACITY)).map(read).collect()
}
