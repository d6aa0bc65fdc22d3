//! The step limits: what no longer fits is refused, and leaves no trace.

use super::{LEN, peer_table, with_peer};
use crate::checks::common::wrong_exit;
use crate::diagnosis::fail;
use crate::peer::{prefix, table};
use crate::process::Exit;
use crate::scene::{Ended, NAME, Scene};
use crate::verdict::{Outcome, Stop};

/// Two strings of a table whose `heap_used` is wrong.
const FIRST: &[u8] = b"first\n";
const SECOND: &[u8] = b"more\n";

/// Puts one string and lets the producer end.
fn put_one(scene: &mut Scene, string: &[u8]) -> Outcome<Ended> {
    let producer = scene.start(&["producer", NAME])?;
    scene.send(producer, string);
    scene.close_stdin(producer);
    scene.finish(producer, "puts one string or refuses it")
}

/// Requires one more string to fit.
fn fits(scene: &mut Scene, string: &[u8], what: &str) -> Outcome {
    let count = scene.object()?.u32(table::COUNT);
    let ended = put_one(scene, string)?;
    if ended.exit != Exit::Code(0) {
        return Err(wrong_exit(&ended, "is put", "refuses-what-fits", what));
    }
    let now = scene.object()?.u32(table::COUNT);
    if now != count + 1 {
        return Err(fail("wrong-string-count")
            .expected(format!("count is {} after {what}", count + 1))
            .seen(format!("count is {now}"))
            .into());
    }
    Ok(())
}

/// Requires one more string to be refused with one of these codes, and every byte to be as before.
fn refused(
    scene: &mut Scene,
    string: &[u8],
    codes: &[i32],
    diagnosis: &'static str,
    what: &str,
) -> Outcome {
    let before = scene.object()?.bytes();
    let ended = put_one(scene, string)?;
    is_refusal(scene, &before, &ended, codes, diagnosis, what)
}

fn is_refusal(
    scene: &mut Scene,
    before: &[u8],
    ended: &Ended,
    codes: &[i32],
    diagnosis: &'static str,
    what: &str,
) -> Outcome {
    let now = scene.object()?.bytes();
    let wrong = wrong_exit(ended, &Exit::Code(codes[0]).told(), diagnosis, what);
    if matches!(ended.exit, Exit::Code(0) | Exit::Signal(_)) {
        return Err(wrong);
    }
    let changed = |what: String| {
        let expected = "after a refusal every byte of the segment is as before";
        Err(fail("leaves-a-trace").expected(expected).seen(what).into())
    };
    if now.len() != before.len() {
        return changed(format!("the object had {} bytes and has {}", before.len(), now.len()));
    }
    if let Some(at) = before.iter().zip(&now).position(|(old, new)| old != new) {
        let word = match at as u64 {
            64..68 => " (count)",
            68..72 => " (heap_used)",
            128..640 => " (an entry)",
            640.. => " (a string)",
            _ => "",
        };
        return changed(format!("{what} has changed byte {at}{word}"));
    }
    if matches!(ended.exit, Exit::Code(code) if codes.contains(&code)) {
        Ok(())
    } else {
        Err(wrong)
    }
}

pub(super) fn holds_64_strings(scene: &mut Scene) -> Outcome {
    peer_table(scene, &[b"s".as_slice(); 63])?;
    fits(scene, b"last\n", "the 64th string")?;
    refused(scene, b"more\n", &[17], "no-end-of-entries", "the 65th string")?;
    scene.renew();
    // No entry and no room: that there is no entry comes first.
    with_peer(scene, |peer, name| {
        table::create(peer, name, table::HEAP + 64, &[b"s".as_slice(); 64])
    })?;
    refused(
        scene,
        b"x\n",
        &[17],
        "no-end-of-entries",
        "the 65th string, for which there is no room",
    )
}

pub(super) fn ends_with_the_object(scene: &mut Scene) -> Outcome {
    let mut line = vec![b'z'; 3455];
    line.push(b'\n');
    peer_table(scene, &[])?;
    fits(scene, &line, "a string of 3456 bytes, which is all there is,")?;
    refused(scene, b"\n", &[16], "no-end-of-room", "one byte more")?;
    scene.renew();
    line.insert(0, b'z');
    peer_table(scene, &[])?;
    refused(scene, &line, &[16], "no-end-of-room", "a string one byte longer than the room")?;
    scene.renew();
    // An object that is no multiple of a page: its last page goes on behind its end.
    with_peer(scene, |peer, name| table::create(peer, name, 1000, &[&[b'a'; 350]]))?;
    refused(
        scene,
        b"0123456789\n",
        &[16],
        "no-end-of-room",
        "a string one byte longer than the room",
    )?;
    // The object's length is what the kernel says, not the field.
    with_peer(scene, |peer, _| peer.put64(prefix::TOTAL_LEN, table::HEAP))?;
    fits(scene, b"012345678\n", "a string that ends with the object")?;
    scene.renew();
    // A number somebody else wrote. Who calls such a table a wrong format is right as well, and who
    // goes by the entries, as one must after a kill between `heap_used` and `count`.
    for used in [LEN as u32, u32::MAX - 600] {
        peer_table(scene, &[FIRST])?;
        with_peer(scene, |peer, _| peer.put32(table::HEAP_USED, used))?;
        let before = scene.object()?.bytes();
        let ended = put_one(scene, SECOND).map_err(|stop| takes_the_number(stop, used))?;
        if ended.exit != Exit::Code(0) || scene.object()?.bytes() != behind_the_first(&before) {
            let what = format!("a string after heap_used {used}");
            is_refusal(scene, &before, &ended, &[16, 13], "no-end-of-room", &what)?;
        }
        scene.renew();
    }
    Ok(())
}

/// A panic over such a number has a likelier cause than others: somebody calculates with the number
/// before it is compared with anything.
fn takes_the_number(stop: Stop, used: u32) -> Stop {
    match stop {
        Stop::Fail(panic) if panic.code == "panics" => fail("no-end-of-room")
            .expected(format!("a string after heap_used {used} is refused, without a panic"))
            .seen(panic.seen)
            .at(panic.place)
            .into(),
        other => other,
    }
}

/// The table with the second string in its place behind the first, whatever `heap_used` was.
fn behind_the_first(table: &[u8]) -> Vec<u8> {
    let mut bytes = table.to_vec();
    let mut put = |at: u64, what: &[u8]| {
        bytes[at as usize..at as usize + what.len()].copy_from_slice(what);
    };
    let (used, len) = (FIRST.len() as u32, SECOND.len() as u32);
    let offset = table::HEAP as u32 + used;
    put(offset.into(), SECOND);
    put(table::ENTRIES + 8, &offset.to_le_bytes());
    put(table::ENTRIES + 12, &len.to_le_bytes());
    put(table::HEAP_USED, &(used + len).to_le_bytes());
    put(table::COUNT, &2_u32.to_le_bytes());
    bytes
}
