//! What the checks of this lab share: messages, buffers, and the two programs' moves.

use std::time::{Duration, Instant};

use crate::diagnosis::fail;
use crate::object::Object;
use crate::peer::log::{self, HEAD, PAYLOAD, TAIL, slot};
use crate::peer::{prefix, to_hex};
use crate::process::Exit;
use crate::procfs::{self, Doing};
use crate::scene::{Actor, NAME, Scene, count, shown};
use crate::verdict::{Outcome, Stop};
use crate::watch::Event;

/// A consumer that has looked this often is not going to see the message any more.
const LOOKS: u32 = 20;
/// And this long: twice the lab's own rule.
const LOOKED: Duration = Duration::from_millis(500);

/// The command line of the student's producer.
pub(super) const PRODUCER: &[&str] = &["producer", NAME];
/// The command line of the student's consumer.
pub(super) const CONSUMER: &[&str] = &["consumer", NAME];

/// Message number `index` as a line of stdin makes it: no two alike, of all lengths, with zeros.
pub(super) fn message(index: u64) -> Vec<u8> {
    let mut bytes = format!("{index}:").into_bytes();
    let len = if index % 10 == 7 { PAYLOAD } else { bytes.len() + (index as usize * 11) % 48 };
    bytes.extend((0u8..).map(|byte| byte.wrapping_mul(37)).filter(|&byte| byte != b'\n').take(56));
    bytes.truncate(len);
    if len < PAYLOAD {
        bytes.push(b'\n');
    }
    bytes
}

/// The messages with these numbers.
pub(super) fn messages(numbers: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    numbers.map(message).collect()
}

/// An empty buffer that the grader's partner made.
pub(super) fn empty(scene: &mut Scene) -> Outcome<Object> {
    let name = scene.name().to_owned();
    log::create(scene.peer()?, &name)?;
    scene.object()
}

/// A buffer that the grader's partner made, `len` bytes long or longer, with these messages in it.
pub(super) fn filled(scene: &mut Scene, messages: &[Vec<u8>], len: u64) -> Outcome<Object> {
    let object = empty(scene)?;
    let peer = scene.peer()?;
    if len > log::FIRST_LEN {
        peer.resize(len)?;
    }
    log::push_all(peer, messages)?;
    Ok(object)
}

/// Requires of the object what holds between any two operations: these messages were published and
/// so many were taken. `who` did the last move.
pub(super) fn holds(object: &Object, messages: &[Vec<u8>], head: u64, who: &str) -> Outcome {
    let tail = messages.len() as u64;
    // A tail that is wrong in itself is no reason to call the object too short.
    reaches(object, tail.min(object.u64(TAIL)), who)?;
    let fields = [
        ("magic", object.u64(prefix::MAGIC), prefix::magic(2)),
        ("version", object.u32(prefix::VERSION).into(), 1),
        ("total_len", object.u64(prefix::TOTAL_LEN), log::FIRST_LEN),
    ];
    let state = object.u32(prefix::STATE);
    for (name, seen, wanted) in fields {
        if seen != wanted {
            return Err(fail("changes-others-words")
                .expected(format!("the prefix is as its creator wrote it, {name} {wanted}"))
                .seen(format!("{who} changed {name} to {seen}"))
                .into());
        }
    }
    if state != prefix::READY && state != prefix::CLOSED {
        return Err(fail("changes-others-words")
            .expected("state is READY (1) or CLOSED (2)")
            .seen(format!("{who} made it {state}"))
            .into());
    }
    if object.u64(TAIL) != tail {
        return Err(fail("wrong-tail")
            .expected(format!("tail is {tail} after {}", published(tail)))
            .seen(format!("tail is {}", object.u64(TAIL)))
            .into());
    }
    if object.u64(HEAD) != head {
        let code = if who.contains("consumer") { "wrong-head" } else { "changes-others-words" };
        return Err(fail(code)
            .expected(format!(
                "head is {head} after {} taken",
                count(head as usize, "message was", "messages were")
            ))
            .seen(format!("head is {}, and {who} moved last", object.u64(HEAD)))
            .into());
    }
    messages_lie(object, messages, who)
}

fn reaches(object: &Object, tail: u64, who: &str) -> Outcome {
    let (len, needed) = (object.len(), tail.saturating_mul(log::SLOT).saturating_add(log::SLOTS));
    if len >= needed {
        return Ok(());
    }
    let code = if len < log::FIRST_LEN { "shrinks" } else { "counts-beyond-the-end" };
    Err(fail(code)
        .expected(format!("the object has {needed} bytes at least, for {}", published(tail)))
        .seen(format!("it has {len}; {who} moved last"))
        .into())
}

/// Requires each of these messages in its slot.
pub(super) fn messages_lie(object: &Object, messages: &[Vec<u8>], who: &str) -> Outcome {
    let bytes = object.read(log::SLOTS, messages.len() * log::SLOT as usize);
    for (index, message) in messages.iter().enumerate() {
        let newest = index + 1 == messages.len();
        let at = index * log::SLOT as usize;
        let slot_bytes = bytes.get(at..at + log::SLOT as usize).unwrap_or(&[]);
        slot_holds(slot_bytes, index, message, newest, who)?;
    }
    Ok(())
}

fn slot_holds(bytes: &[u8], index: usize, message: &[u8], newest: bool, who: &str) -> Outcome {
    let len = bytes.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    let place = format!("slot {index} (at offset {})", slot(index as u64));
    if !newest && bytes.len() == log::SLOT as usize && !same(bytes, message) {
        return Err(fail("changes-a-slot")
            .expected(format!("{place} keeps the message that was put there"))
            .seen(format!("it holds something else now; {who} moved last"))
            .into());
    }
    if len != message.len() as u64 {
        return Err(fail("wrong-slot-length")
            .expected(format!("{place} begins with the length {}", message.len()))
            .seen(format!("the length there is {len}"))
            .into());
    }
    let payload = &bytes[8..8 + message.len()];
    if payload != message {
        let first = payload.iter().zip(message).position(|(a, b)| a != b).unwrap_or(0);
        return Err(fail("wrong-payload")
            .expected(format!(
                "{place} holds the message's bytes, at {first} {:#04x}",
                message[first]
            ))
            .seen(format!("byte {first} of them is {:#04x}", payload[first]))
            .into());
    }
    Ok(())
}

fn same(slot: &[u8], message: &[u8]) -> bool {
    slot[..8] == (message.len() as u64).to_le_bytes() && slot[8..].starts_with(message)
}

fn published(tail: u64) -> String {
    count(tail as usize, "message was published", "messages were published")
}

/// Sends the producer these messages and waits until each is told to be produced; `before` is how
/// many this process has produced already. The producer is back at its input then.
pub(super) fn produce(
    scene: &mut Scene,
    producer: Actor,
    before: u64,
    messages: &[Vec<u8>],
) -> Outcome {
    let mut number = before;
    // Not all at once: a pipe holds 64 KiB, and a producer that has stopped reads nothing.
    for some in messages.chunks(200) {
        scene.send(producer, &some.concat());
        for _ in some {
            number += 1;
            match scene.answer(producer) {
                Event::Line(line) if line == format!("produced {number}") => {}
                Event::Line(line) => {
                    return Err(fail("breaks-the-step-protocol")
                        .expected(format!("`produced {number}`"))
                        .seen(format!("your producer prints `{}`", shown(&line)))
                        .into());
                }
                event => {
                    let tail = scene.object()?.u64(TAIL);
                    return Err(cannot_reach(scene, producer, tail, event));
                }
            }
        }
    }
    rests(scene, producer)
}

/// Waits until the program is back at its standard input, so that it does nothing more.
pub(super) fn rests(scene: &mut Scene, actor: Actor) -> Outcome {
    let reads = |scene: &Scene| {
        let tasks = procfs::tasks(scene.pid(actor));
        tasks.iter().any(|task| task.doing == Doing::Reading { descriptor: 0 })
    };
    let ended = |scene: &Scene| scene.processes[actor.0].exit();
    let still = scene.until(|scene| reads(scene) || ended(scene).is_some());
    let event = match ended(scene) {
        Some(exit) => Event::Ended(exit),
        None if still => return Ok(()),
        None => Event::Silent,
    };
    Err(scene.explain(actor, "goes back to its input", event))
}

/// Why a program did not get over message `index`: as a rule it cannot reach the slot.
fn cannot_reach(scene: &mut Scene, actor: Actor, index: u64, event: Event) -> Stop {
    let role = scene.role(actor);
    // 13 is the answer of a consumer that takes its short mapping for a short object.
    let lost = matches!(event, Event::Ended(Exit::Signal(7 | 11) | Exit::Code(13 | 18)));
    let needed = slot(index.saturating_add(1).min(1 << 32));
    // Inside the first page nobody has to map again.
    if !lost || needed <= log::FIRST_LEN {
        return scene.explain(actor, &format!("gets over message {index}"), event);
    }
    let told = match event {
        Event::Ended(exit) => exit.told(),
        _ => String::new(),
    };
    let len = scene.object().map_or(0, |object| object.len());
    let (code, why) = if len < needed {
        ("never-grows", format!("the object has {len} bytes, so slot {index} is not in it"))
    } else {
        ("never-maps-again", format!("the object has {len} bytes, so slot {index} is in it"))
    };
    fail(code)
        .expected(format!("{role} gets over message {index}, whose slot ends at byte {needed}"))
        .seen(format!("{role} {told}; {why}"))
        .into()
}

/// Lets the consumer take these messages, which are published and begin with number `first`, and
/// requires it to print them.
pub(super) fn take(
    scene: &mut Scene,
    consumer: Actor,
    first: u64,
    messages: &[Vec<u8>],
) -> Outcome {
    for (chunk, some) in messages.chunks(500).enumerate() {
        scene.send(consumer, &vec![b'\n'; some.len()]);
        let first = first + chunk as u64 * 500;
        for (number, message) in (first..).zip(some) {
            taken(scene, consumer, number, message)?;
        }
    }
    rests(scene, consumer)
}

/// Requires the consumer to print this message, which is published.
pub(super) fn taken(scene: &mut Scene, consumer: Actor, number: u64, message: &[u8]) -> Outcome {
    let line = match next_line(scene, consumer) {
        Ok(line) => line,
        Err(Event::Polls) if message.is_empty() && waits_for_a_length(scene, consumer, number) => {
            return Err(fail("waits-at-an-empty-message")
                .expected(format!("message {number}, which has no bytes, comes out: `consumed -`"))
                .seen("your consumer looks and sleeps until its length is another than 0")
                .into());
        }
        Err(Event::Polls) => return Err(looks_in_vain(scene, consumer, number)),
        Err(event) => return Err(cannot_reach(scene, consumer, number, event)),
    };
    if line == told(message) {
        return Ok(());
    }
    Err(wrong_line(&line, number, message))
}

/// The next line of a consumer that has something to print. `Polls` when it looks again and again
/// and prints nothing.
pub(super) fn next_line(scene: &mut Scene, consumer: Actor) -> Result<String, Event> {
    let start = Instant::now();
    let mut looks = 0;
    loop {
        match scene.event(consumer) {
            Event::Line(line) => return Ok(line),
            Event::Polls => looks += 1,
            // A third of a second of processor time without a line is many looks.
            Event::Spins => looks += 5,
            event => return Err(event),
        }
        if looks >= LOOKS && start.elapsed() > LOOKED {
            return Err(Event::Polls);
        }
    }
}

/// What `--step` prints for a message.
fn told(message: &[u8]) -> String {
    if message.is_empty() {
        "consumed -".to_owned()
    } else {
        format!("consumed {}", to_hex(message))
    }
}

/// Whether a consumer that does not take an empty message takes it as soon as it has a byte.
fn waits_for_a_length(scene: &mut Scene, consumer: Actor, number: u64) -> bool {
    let longer = scene.peer().and_then(|peer| Ok(peer.put64(slot(number), 1)?));
    longer.is_ok() && next_line(scene, consumer).is_ok()
}

/// A consumer that does not see a published message: perhaps it sees the next one.
fn looks_in_vain(scene: &mut Scene, consumer: Actor, number: u64) -> Stop {
    const LATER: &[u8] = b"one more message\n";
    let later = scene.peer().and_then(|peer| Ok(log::push(peer, LATER)?));
    if later.is_ok() && next_line(scene, consumer).is_ok_and(|line| line == told(LATER)) {
        return fail("skips-messages")
            .expected(format!("message {number} comes out next, because head is {number}"))
            .seen("your consumer waits, and prints only what is published after it came")
            .into();
    }
    fail("misses-new-messages")
        .expected(format!("message {number}, which is published, comes out"))
        .seen("your consumer looks and sleeps, looks and sleeps, and prints nothing")
        .into()
}

/// The diagnosis of a line that is not this message.
fn wrong_line(line: &str, number: u64, message: &[u8]) -> Stop {
    let expected = format!("message {number} comes out: `{}`", shown(&told(message)));
    let seen = format!("your consumer prints `{}`", shown(line));
    // Which other message it is, if it is one of those this lab's checks publish.
    let other =
        (0..number + 2000).find(|&other| other != number && line == told(&self::message(other)));
    let (code, seen) = match other {
        Some(other) if other < number => {
            ("repeats-messages", format!("your consumer prints message {other} once more"))
        }
        Some(other) => ("skips-messages", format!("your consumer prints message {other}")),
        None if line == "end" => ("ends-too-soon", seen),
        None => ("prints-another-message", seen),
    };
    fail(code).expected(expected).seen(seen).into()
}

/// Requires that the object is as long as it was.
pub(super) fn as_long_as(object: &Object, before: u64, who: &str) -> Outcome {
    let len = object.len();
    if len == before {
        return Ok(());
    }
    let code = if len < before { "shrinks" } else { "makes-it-longer" };
    Err(fail(code)
        .expected(format!("{who} leaves the length of the object at {before} bytes"))
        .seen(format!("the object has {len} bytes"))
        .into())
}

/// Requires at most one mapping of the object.
pub(super) fn maps_once(scene: &Scene, actor: Actor) -> Outcome {
    let mappings = scene.mappings(actor).len();
    if mappings <= 1 {
        return Ok(());
    }
    Err(fail("keeps-old-mappings")
        .expected("one mapping of the object, also after it has grown")
        .seen(format!("{} maps the object {mappings} times", scene.role(actor)))
        .into())
}
