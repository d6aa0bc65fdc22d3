//! The pieces of the lab race-condition: two that are wrong on purpose, and every way to repair
//! them.

use super::{Judged, Layout, Left, NAME, Piece, Tried, require};
use crate::peer::{Asked, Peer, shop};

pub(super) const PIECES: &[Piece] = &[
    Piece {
        id: "racy",
        title: "two workers that add without a lock",
        programs: &[(&["worker", NAME, "racy"], "\n"), (&["worker", NAME, "racy"], "\n")],
        judge: |left| counter_is(left, 2, "update-lost"),
        wrong_on_purpose: true,
        ..TEMPLATE
    },
    Piece {
        id: "torn",
        title: "a writer and a reader of the record without a lock",
        programs: &[
            (&["worker", NAME, "write-racy"], "7\n"),
            (&["worker", NAME, "read-racy"], "\n"),
        ],
        judge: whole_record,
        wrong_on_purpose: true,
        ..TEMPLATE
    },
    Piece {
        id: "mutex",
        title: "two workers that add under the lock",
        programs: &[(&["worker", NAME, "mutex"], "\n\n"), (&["worker", NAME, "mutex"], "\n")],
        judge: |left| counter_is(left, 3, "update-lost"),
        ..TEMPLATE
    },
    Piece {
        id: "record",
        title: "a writer and a reader of the record under the lock",
        programs: &[(&["worker", NAME, "write"], "7\n"), (&["worker", NAME, "read"], "\n")],
        judge: whole_record,
        ..TEMPLATE
    },
    Piece {
        id: "two-writers",
        title: "two writers of the record under the lock",
        programs: &[(&["worker", NAME, "write"], "7\n"), (&["worker", NAME, "write"], "8\n")],
        judge: |left| {
            left.all_end_well()?;
            let (one, other) = (left.word(shop::LEFT), left.word(shop::RIGHT));
            require(one == other && (one == 7 || one == 8), "record-torn", || {
                format!("the record that is left is {one} {other}")
            })
        },
        ..TEMPLATE
    },
    Piece {
        id: "atomic",
        title: "two workers that add in one operation",
        programs: &[(&["worker", NAME, "atomic"], "\n\n"), (&["worker", NAME, "atomic"], "\n\n")],
        judge: |left| counter_is(left, 4, "two-steps"),
        ..TEMPLATE
    },
    Piece {
        id: "sell",
        title: "two customers, and one piece in stock",
        segment: Some(|peer, name| shop::create(peer, name, 1)),
        programs: &[(&["worker", NAME, "sell"], "\n"), (&["worker", NAME, "sell"], "\n")],
        judge: |left| sold(left, 1),
        ..TEMPLATE
    },
    Piece {
        id: "sell-both",
        title: "two customers, and a piece for each",
        segment: Some(|peer, name| shop::create(peer, name, 2)),
        programs: &[(&["worker", NAME, "sell"], "\n"), (&["worker", NAME, "sell"], "\n")],
        judge: |left| sold(left, 2),
        ..TEMPLATE
    },
    Piece {
        id: "shards",
        title: "two workers with a shard each",
        programs: &[
            (&["worker", NAME, "shard", "--shard", "0"], "\n\n"),
            (&["worker", NAME, "shard", "--shard", "1"], "\n"),
        ],
        judge: |left| {
            left.all_end_well()?;
            let (one, other) = (left.word(shop::shard(0)), left.word(shop::shard(1)));
            require(one == 2 && other == 1, "wrong-shard", || {
                format!("the shards hold {one} and {other}, not 2 and 1")
            })
        },
        ..TEMPLATE
    },
];

/// What the pieces have in common: a shop with nothing to sell.
const TEMPLATE: Piece = Piece {
    lab: "race-condition",
    id: "",
    title: "",
    segment: Some(empty_shop),
    programs: &[],
    tried: Tried::Interruptions(2),
    judge: |left| left.all_end_well(),
    layout: &Layout { structures: &[("Prefix", 0), ("Shop", 64)], named: &[] },
    wrong_on_purpose: false,
};

fn empty_shop(peer: &mut Peer, name: &str) -> Asked {
    shop::create(peer, name, 0)
}

fn counter_is(left: &Left<'_>, wanted: u64, code: &'static str) -> Judged {
    left.all_end_well()?;
    let seen = left.word(shop::COUNTER);
    require(seen == wanted, code, || format!("{wanted} were added, and counter is {seen}"))
}

fn sold(left: &Left<'_>, wanted: u64) -> Judged {
    left.all_end_well()?;
    let (stock, sold) = (left.word(shop::STOCK) as i64, left.word(shop::SOLD));
    // What has left the stock without being counted was counted, and the count written over.
    let gone = stock >= 0 && (stock as u64).saturating_add(sold) < wanted;
    let code = match sold {
        _ if gone => "update-lost",
        sold if sold < wanted => "refuses-with-stock",
        _ => "oversells",
    };
    require(stock == 0 && sold == wanted, code, || {
        format!("of {wanted} piece(s), {sold} are in `sold` and {stock} in `stock`")
    })
}

fn whole_record(left: &Left<'_>) -> Judged {
    left.all_end_well()?;
    let output = String::from_utf8_lossy(left.output(1)).into_owned();
    let read = output.lines().find(|line| line.starts_with("read ")).unwrap_or("nothing");
    let whole = matches!(read, "read 0 0" | "read 7 7");
    require(whole, "record-torn", || format!("the reader prints `{}`", read.escape_debug()))
}
