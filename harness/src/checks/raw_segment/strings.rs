//! The step strings: tables across the two sides, byte by byte.

use super::{LEN, STRINGS, create::ordered, get, peer_table, producer, put, with_peer};
use crate::checks::common::must_exit;
use crate::diagnosis::{Diagnosis, fail};
use crate::object::Object;
use crate::peer::{prefix, table, to_hex};
use crate::process::{Exit, Start};
use crate::procfs;
use crate::scene::{Actor, NAME, Scene, shown};
use crate::verdict::Outcome;
use crate::watch::Event;

/// What a producer can be given on stdin: lines, of whatever bytes.
const LINES: [&[u8]; 6] = [
    b"plain\n",
    "h\u{e9}\u{20ac}\n".as_bytes(),
    b"a\0b\0\n",
    b"\n",
    b"\xff\xfe\x80 no text\n",
    b"a longer one, with the quick brown fox and all the others of its kind in it\n",
];

pub(super) fn puts_with_offsets(scene: &mut Scene) -> Outcome {
    puts_behind(scene, &[])?;
    scene.renew();
    // The same in a table that somebody else began.
    puts_behind(scene, &[b"first", b"second"])
}

fn puts_behind(scene: &mut Scene, begun: &[&[u8]]) -> Outcome {
    peer_table(scene, begun)?;
    let object = scene.object()?;
    let producer = producer(scene)?;
    let mut used = begun.concat().len() as u64;
    for (index, line) in (begun.len() as u32..).zip(LINES) {
        let before = object.bytes();
        put(scene, producer, line)?;
        entry_is_right(scene, producer, &object, index, used, line)?;
        let now = object.bytes();
        let end = (table::HEAP + used) as usize;
        if let Some(at) = (table::HEAP as usize..end).find(|&at| before[at] != now[at]) {
            return Err(fail("overwrites-a-string")
                .expected("a string that was published never changes")
                .seen(format!("string {index} has changed byte {at}, which belongs to an earlier"))
                .into());
        }
        let entries = table::ENTRIES as usize..table::ENTRIES as usize + 8 * index as usize;
        if before[entries.clone()] != now[entries] {
            return Err(fail("overwrites-a-string")
                .expected("an entry that was published never changes")
                .seen(format!("string {index} has changed an entry before its own"))
                .into());
        }
        used += line.len() as u64;
    }
    scene.close_stdin(producer);
    let ended = scene.finish(producer, "ends with its input")?;
    must_exit(&ended, 0, "ends-early", "at the end of its input `producer`")
}

/// Looks at one string that was just put, in the order of causes.
fn entry_is_right(
    scene: &Scene,
    producer: Actor,
    object: &Object,
    index: u32,
    used: u64,
    string: &[u8],
) -> Outcome {
    if object.len() != LEN {
        return Err(fail("wrong-length")
            .expected(format!("the object keeps its {LEN} bytes"))
            .seen(format!("it has {} after string {index}", object.len()))
            .into());
    }
    holds_no_address(scene, producer, object, index)?;
    let entry = table::ENTRIES + 8 * u64::from(index);
    let (off, len) = (table::HEAP + used, string.len() as u64);
    let words = [
        ("wrong-string-count", "count", table::COUNT, u64::from(index) + 1),
        ("wrong-offset", "off of its entry", entry, off),
        ("wrong-string-length", "len of its entry", entry + 4, len),
        ("wrong-heap-used", "heap_used", table::HEAP_USED, used + len),
    ];
    for (code, name, offset, wanted) in words {
        let seen = object.u32(offset);
        if u64::from(seen) != wanted {
            return Err(wrong_word(code, name, index, string, wanted, seen).into());
        }
    }
    let seen = object.read(off, string.len());
    if seen != string {
        return Err(fail("wrong-bytes")
            .expected(format!("string {index} is `{}`, byte by byte", quoted(string)))
            .seen(format!("`{}` is at its offset", quoted(&seen)))
            .into());
    }
    Ok(())
}

fn wrong_word(
    code: &'static str,
    name: &str,
    index: u32,
    string: &[u8],
    wanted: u64,
    seen: u32,
) -> Diagnosis {
    // Small numbers read the wrong way round are huge.
    let swapped = seen != 0 && u64::from(seen.swap_bytes()) == wanted;
    let code = if swapped { "swaps-bytes" } else { code };
    let note = if swapped {
        format!(", which is {wanted} with its bytes reversed")
    } else {
        String::new()
    };
    fail(code)
        .expected(format!(
            "after string {index} (`{}`, {} bytes) {name} is {wanted}",
            quoted(string),
            string.len()
        ))
        .seen(format!("{name} is {seen}{note}"))
}

/// Requires that no word of the table is an address of the process that wrote it.
fn holds_no_address(scene: &Scene, producer: Actor, object: &Object, index: u32) -> Outcome {
    let maps = procfs::mappings(scene.pid(producer));
    let entry = table::ENTRIES + 8 * u64::from(index);
    let bytes = object.bytes();
    let found = |offset: u64, what: String| -> Outcome {
        Err(fail("stores-an-address")
            .expected("the table holds offsets from the start of the segment, and no addresses")
            .seen(format!("the bytes at {offset}, written with string {index}, are {what}"))
            .into())
    };
    for offset in table::COUNT as usize..bytes.len().saturating_sub(7) {
        let word = u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap_or_default());
        // Below, an entry of small numbers could look like one.
        if word >> 40 == 0 {
            continue;
        }
        if let Some(inside) = maps.iter().find(|m| (m.start..m.end).contains(&word)) {
            let of_object = scene.mappings(producer).iter().any(|m| m.start == inside.start);
            let where_to = match inside.path.as_str() {
                "[heap]" => "its heap",
                "[stack]" => "its stack",
                _ if of_object => "its mapping of the object",
                _ => "its memory",
            };
            return found(offset as u64, format!("an address in {where_to}"));
        }
    }
    let off = object.u32(entry);
    for mapping in scene.mappings(producer) {
        // Cut to 32 bits, an address still points into the mapping, cut to 32 bits.
        let inside = u64::from(off.wrapping_sub(mapping.start as u32));
        if u64::from(off) > LEN && inside < LEN {
            return found(entry, "the lower half of an address in its mapping".to_owned());
        }
    }
    Ok(())
}

pub(super) fn makes_tables_others_understand(scene: &mut Scene) -> Outcome {
    let ended = scene.run(&["create", NAME, "3000"])?;
    must_exit(&ended, 0, "create-fails", "`create`")?;
    let producer = producer(scene)?;
    for line in LINES {
        put(scene, producer, line)?;
    }
    with_peer(scene, |peer, name| peer.open(name))?;
    for (index, line) in (0..).zip(LINES) {
        let seen = with_peer(scene, |peer, _| table::get(peer, index))?;
        if seen != line {
            return Err(fail("wrong-bytes")
                .expected(format!("another program finds `{}` as string {index}", quoted(line)))
                .seen(format!("it finds `{}`", quoted(&seen)))
                .into());
        }
    }
    // The peer goes on with the table, and then the producer, which is still attached.
    with_peer(scene, |peer, _| table::put(peer, b"from the other\n"))?;
    put(scene, producer, b"and back\n")?;
    let count = scene.object()?.u32(table::COUNT);
    if count != LINES.len() as u32 + 2 {
        return Err(fail("wrong-string-count")
            .expected(format!("{} strings after another program put one more", LINES.len() + 2))
            .seen(format!("count is {count}"))
            .into());
    }
    let mut all = LINES.concat();
    all.extend(b"from the other\nand back\n");
    prints(scene, &["consumer", NAME], &all)
}

pub(super) fn prints_the_very_bytes(scene: &mut Scene) -> Outcome {
    peer_table(scene, &STRINGS)?;
    let consumer = scene.attach(&["consumer", NAME])?;
    for string in STRINGS {
        let hex = if string.is_empty() { "-".to_owned() } else { to_hex(string) };
        let line = get(scene, consumer)?;
        if line != format!("consumed {hex}") {
            return Err(fail("prints-other-bytes")
                .expected(format!("the string `{}` as `consumed {hex}`", quoted(string)))
                .seen(format!("the consumer prints `{}`", shown(&line)))
                .into());
        }
    }
    prints(scene, &["consumer", NAME], &STRINGS.concat())?;
    // The first few, of more that are there; and a table without any.
    prints(scene, &["consumer", NAME, "--count", "2"], &STRINGS[..2].concat())?;
    scene.renew();
    peer_table(scene, &[])?;
    prints(scene, &["consumer", NAME], b"")
}

/// Runs a consumer and requires exactly these bytes of it.
fn prints(scene: &mut Scene, arguments: &[&str], wanted: &[u8]) -> Outcome {
    let ended = scene.run(arguments)?;
    must_exit(&ended, 0, "ends-early", &format!("`{}`", told(arguments)))?;
    if ended.output == wanted {
        return Ok(());
    }
    let at = ended.output.iter().zip(wanted).position(|(seen, wanted)| seen != wanted);
    let at = at.unwrap_or(ended.output.len().min(wanted.len()));
    Err(fail("prints-other-bytes")
        .expected(format!("`{}` prints the strings' {} bytes", told(arguments), wanted.len()))
        .seen(format!(
            "it prints {} bytes; the first that differs is byte {at}",
            ended.output.len()
        ))
        .into())
}

fn told(arguments: &[&str]) -> String {
    arguments
        .iter()
        .map(|&word| if word == NAME { "NAME" } else { word })
        .collect::<Vec<_>>()
        .join(" ")
}

pub(super) fn waits_for_strings(scene: &mut Scene) -> Outcome {
    peer_table(scene, &[b"one\n"])?;
    let consumer = scene.start(&["consumer", NAME, "--count", "3"])?;
    for (seen, string) in [("one", b"two\n".as_slice()), ("two", b"three\n")] {
        let line = scene.line(consumer, "prints the string that is there")?;
        if line != seen {
            return Err(wrong_line(seen, &line));
        }
        match scene.event(consumer) {
            Event::Polls | Event::Asleep(_) => {}
            event => return Err(scene.explain(consumer, "waits for one more string", event)),
        }
        with_peer(scene, |peer, _| table::put(peer, string))?;
    }
    let line = scene.line(consumer, "prints the string that has come")?;
    if line != "three" {
        return Err(wrong_line("three", &line));
    }
    let ended = scene.finish(consumer, "ends after the third string")?;
    must_exit(&ended, 0, "ends-early", "after the third string `consumer --count 3`")
}

fn wrong_line(wanted: &str, seen: &str) -> crate::verdict::Stop {
    fail("prints-other-bytes")
        .expected(format!("the consumer prints `{wanted}`"))
        .seen(format!("it prints `{}`", shown(seen)))
        .into()
}

pub(super) fn stores_through_the_mapping(scene: &mut Scene) -> Outcome {
    // A process under this limit cannot `write` behind byte 64 of any file. A store is no write.
    for largest_file in [None, Some(prefix::END)] {
        peer_table(scene, &[b"first"])?;
        let start = Start { largest_file, ..Start::default() };
        let producer = scene.start_with(&["producer", NAME], start)?;
        scene.send(producer, b"stored\n");
        scene.close_stdin(producer);
        let ended = scene.finish(producer, "puts one string")?;
        let put = scene.object()?.u32(table::COUNT) == 2;
        if largest_file.is_none() {
            must_exit(&ended, 0, "ends-early", "`producer`")?;
        } else if !put || ended.exit != Exit::Code(0) {
            return Err(fail("not-through-the-mapping")
                .expected("strings are stored through the mapping, which no file limit forbids")
                .seen(format!(
                    "under `ulimit -f`, which forbids `write`, the producer {}",
                    ended.exit.told()
                ))
                .into());
        }
        scene.renew();
    }
    Ok(())
}

pub(super) fn orders_count(scene: &mut Scene) -> Outcome {
    let orderings = scene.bench().orderings()?;
    let (stored, read) = (orderings.release_at(table::COUNT), orderings.acquire_at(table::COUNT));
    let (stored, read) =
        (ordered(stored, "publishes-relaxed", "count"), ordered(read, "reads-relaxed", "count"));
    // What can be decided comes first.
    match (stored, read) {
        (Err(crate::verdict::Stop::NotChecked(_)), Err(other)) => Err(other),
        (stored, read) => stored.and(read),
    }
}

/// Bytes for a message, safe and short.
fn quoted(bytes: &[u8]) -> String {
    shown(&String::from_utf8_lossy(bytes))
}
