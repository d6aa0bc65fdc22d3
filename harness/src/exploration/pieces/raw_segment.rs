//! The pieces of the lab raw-segment: the hand-over, and one string that goes across.

use super::{Judged, Layout, Left, NAME, Piece, Tried, require, shown};
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
];

const LAYOUT: &Layout = &Layout { structures: &[("Layout", 0)], named: &[("strings", 640, 384)] };

/// Wherever the creator dies: what says READY is complete.
fn ready_is_last(left: &Left<'_>) -> Judged {
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
    })
}
