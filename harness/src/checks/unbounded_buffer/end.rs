//! Step end: the last message arrives, and then the end.

use std::fs;

use crate::checks::common::{must_exit, wrong_exit};
use crate::checks::unbounded_buffer::stage::{
    CONSUMER, PRODUCER, empty, filled, holds, message, messages, next_line, produce, take, taken,
};
use crate::diagnosis::fail;
use crate::object::Object;
use crate::orderings::Finding;
use crate::peer::log::{self, PAYLOAD, SLOT, SLOTS, TAIL};
use crate::peer::prefix::{CLOSED, READY, STATE};
use crate::process::{Exit, LONG_PATIENCE, Start};
use crate::scene::{Actor, NAME, Scene, shown};
use crate::verdict::{Outcome, Stop};
use crate::watch::Event;

pub(super) fn closes(scene: &mut Scene) -> Outcome {
    let all = messages(0..5);
    let object = empty(scene)?;
    let producer = scene.attach(PRODUCER)?;
    produce(scene, producer, 0, &all)?;
    state_is(&object, READY, "while the producer works", "closes-too-soon")?;
    scene.close_stdin(producer);
    let ended = scene.finish(producer, "closes the buffer and ends")?;
    must_exit(&ended, 0, "ends-early", "your producer, at the end of its input,")?;
    state_is(&object, CLOSED, "when the producer's input has ended", "never-closes")?;
    holds(&object, &all, 0, "your producer")?;

    // Nothing to send is an end as well.
    scene.renew();
    let object = empty(scene)?;
    let ended = scene.run(PRODUCER)?;
    must_exit(&ended, 0, "ends-early", "your producer, without any input,")?;
    state_is(&object, CLOSED, "when the producer's input has ended", "never-closes")?;
    holds(&object, &[], 0, "your producer")
}

pub(super) fn keep_open(scene: &mut Scene) -> Outcome {
    let all = messages(0..3);
    let object = empty(scene)?;
    let arguments = [PRODUCER, &["--keep-open"]].concat();
    let producer = scene.attach(&arguments)?;
    produce(scene, producer, 0, &all)?;
    scene.close_stdin(producer);
    let ended = scene.finish(producer, "ends and leaves the buffer open")?;
    must_exit(&ended, 0, "ends-early", "your producer with --keep-open")?;
    state_is(&object, READY, "after a producer with --keep-open", "closes-too-soon")?;
    holds(&object, &all, 0, "your producer")?;
    // So the next one is let in.
    let ended = scene.run(&arguments)?;
    must_exit(&ended, 0, "ends-early", "a producer after one with --keep-open")
}

pub(super) fn closed(scene: &mut Scene) -> Outcome {
    let object = filled(scene, &messages(0..3), 0)?;
    log::close(scene.peer()?)?;
    let before = object.bytes();
    let producer = scene.start(PRODUCER)?;
    scene.send(producer, b"too late\n");
    scene.close_stdin(producer);
    let ended = scene.finish(producer, "refuses to push")?;
    if object.bytes() != before {
        return Err(fail("pushes-when-closed")
            .expected("a producer that finds the buffer CLOSED changes nothing")
            .seen(format!("tail is {}, state is {}", object.u64(TAIL), object.u32(STATE)))
            .into());
    }
    must_exit(&ended, 21, "pushes-when-closed", "a producer that finds the buffer CLOSED")
}

pub(super) fn late_consumer(scene: &mut Scene) -> Outcome {
    for number in [0, 1, 130] {
        let all = messages(0..number);
        let object = filled(scene, &all, 0)?;
        log::close(scene.peer()?)?;
        let consumer = scene.attach(CONSUMER)?;
        take(scene, consumer, 0, &all)?;
        scene.send(consumer, b"\n");
        told_the_end(scene, consumer)?;
        holds(&object, &all, number, "your consumer")?;
        state_is(&object, CLOSED, "after the consumer's end", "changes-others-words")?;
        scene.renew();
    }
    Ok(())
}

pub(super) fn waiting_consumer(scene: &mut Scene) -> Outcome {
    filled(scene, &messages(0..2), 0)?;
    let consumer = scene.attach(CONSUMER)?;
    take(scene, consumer, 0, &messages(0..2))?;
    scene.send(consumer, b"\n");
    // Until it has looked and waits, in whatever way.
    if let event @ (Event::Line(_) | Event::Ended(_)) = scene.event(consumer) {
        return Err(ends_too_soon(scene, consumer, event));
    }
    log::close(scene.peer()?)?;
    told_the_end(scene, consumer)
}

pub(super) fn last_message(scene: &mut Scene) -> Outcome {
    const ROUNDS: u32 = 12;
    for round in 0..ROUNDS {
        empty(scene)?;
        let consumer = scene.attach(CONSUMER)?;
        scene.send(consumer, b"\n\n");
        // In some rounds it waits by now, in others it is about to look for the first time.
        if round % 3 == 0
            && let event @ (Event::Line(_) | Event::Ended(_)) = scene.event(consumer)
        {
            return Err(ends_too_soon(scene, consumer, event));
        }
        let peer = scene.peer()?;
        log::push(peer, &message(0))?;
        log::close(peer)?;
        taken(scene, consumer, 0, &message(0))?;
        told_the_end(scene, consumer)?;
        scene.renew();
    }
    Ok(())
}

pub(super) fn state_orderings(scene: &mut Scene) -> Outcome {
    let orderings = scene.bench().orderings()?;
    let stores = orderings.release_at(STATE);
    let loads = orderings.acquire_at(STATE);
    if stores == Finding::TooWeak {
        return Err(fail("publishes-relaxed")
            .expected("the state is stored with Release, or ordered in another way")
            .seen("every store to it is Relaxed")
            .into());
    }
    if loads == Finding::TooWeak {
        return Err(fail("reads-relaxed")
            .expected("the state is loaded with Acquire, or ordered in another way")
            .seen("every load of it is Relaxed")
            .into());
    }
    // The methods of labkit are compiled apart: who uses them leaves nothing to be found here.
    Ok(())
}

pub(super) fn same_bytes(scene: &mut Scene) -> Outcome {
    let bytes = stream();
    // The consumer first, even before there is a buffer.
    let consumer = start_consumer(scene)?;
    match scene.event(consumer) {
        Event::Polls | Event::Asleep(_) => {}
        event => return Err(scene.explain(consumer, "waits for a buffer", event)),
    }
    let ended = scene.run(&["create", NAME])?;
    must_exit(&ended, 0, "create-fails", "`create`")?;
    publishes(scene, &bytes)?;
    ends_with(scene, consumer, &bytes)?;

    scene.renew();
    empty(scene)?;
    publishes(scene, &bytes)?;
    let consumer = start_consumer(scene)?;
    ends_with(scene, consumer, &bytes)
}

/// 200 kB as of a program: every byte value, newlines at odd places, long stretches of zeros.
pub(super) fn stream() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(200_000);
    while bytes.len() < 200_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if bytes.len() % 20_000 < 1000 {
            bytes.extend([0; 8]);
        } else {
            bytes.extend(state.to_le_bytes());
        }
    }
    bytes
}

fn start_consumer(scene: &mut Scene) -> Outcome<Actor> {
    let output = Some(scene.output("out")?);
    scene.start_with(CONSUMER, Start { output, ..Start::with_patience(LONG_PATIENCE) })
}

/// Runs a producer of these bytes to its end.
pub(super) fn publishes(scene: &mut Scene, bytes: &[u8]) -> Outcome {
    let input = Some(scene.input("in", bytes)?);
    let producer = scene.start_with(PRODUCER, Start { input, ..Start::default() })?;
    let ended = scene.finish(producer, "publishes its input and ends")?;
    must_exit(&ended, 0, "ends-early", "your producer")
}

/// Requires the consumer to end with success, having written these bytes into `out`.
fn ends_with(scene: &mut Scene, consumer: Actor, bytes: &[u8]) -> Outcome {
    let ended = scene.finish(consumer, "writes what was published and ends");
    // The producer's part first: what is not published cannot come out.
    stream_lies(&scene.object()?, bytes)?;
    must_exit(&ended?, 0, "ends-early", "your consumer of a whole stream")?;
    came_out(&fs::read(scene.file("out"))?, bytes)
}

/// Requires the published messages, one behind the other, to be these bytes: the producer's part.
fn stream_lies(object: &Object, bytes: &[u8]) -> Outcome {
    let slots = object.read(SLOTS, (object.u64(TAIL).min(1 << 20) * SLOT) as usize);
    let mut published = Vec::with_capacity(bytes.len());
    for slot in slots.chunks_exact(SLOT as usize) {
        let len = slot.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        published.extend(&slot[8..8 + (len as usize).min(PAYLOAD)]);
    }
    let Some(at) = first_difference(&published, bytes) else { return Ok(()) };
    Err(fail("bytes-differ")
        .expected(format!("the published messages are the {} bytes of the input", bytes.len()))
        .seen(format!(
            "they are {} bytes, the first {at} as in the input: it is your producer's doing",
            published.len()
        ))
        .into())
}

/// Requires what the consumer wrote to be these bytes, which are published.
pub(super) fn came_out(out: &[u8], bytes: &[u8]) -> Outcome {
    let Some(at) = first_difference(out, bytes) else { return Ok(()) };
    let code = if at == out.len() { "ends-too-soon" } else { "bytes-differ" };
    Err(fail(code)
        .expected(format!("the {} bytes of the input come out", bytes.len()))
        .seen(format!(
            "{} bytes come out, the first {at} as they went in; the messages in the object are \
             right, so it is your consumer's doing",
            out.len()
        ))
        .into())
}

fn first_difference(one: &[u8], other: &[u8]) -> Option<usize> {
    let same = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    (same < one.len().max(other.len())).then_some(same)
}

/// Requires `end` as the next line, and exit code 0.
fn told_the_end(scene: &mut Scene, consumer: Actor) -> Outcome {
    let seen = match next_line(scene, consumer) {
        Ok(line) if line == "end" => {
            let ended = scene.finish(consumer, "ends")?;
            return must_exit(&ended, 0, "ends-early", "your consumer, at the end of the stream,");
        }
        Ok(line) => format!("your consumer prints `{}`", shown(&line)),
        Err(Event::Polls | Event::Silent) => {
            "your consumer goes on waiting for messages".to_owned()
        }
        Err(event) => return Err(scene.explain(consumer, "prints `end` and ends", event)),
    };
    Err(fail("never-ends")
        .expected("`end`, because the buffer is CLOSED and everything in it was taken")
        .seen(seen)
        .into())
}

/// The failure of a consumer that did not wait at an open, empty buffer.
fn ends_too_soon(scene: &mut Scene, consumer: Actor, event: Event) -> Stop {
    match event {
        Event::Ended(exit) if exit != Exit::Code(101) => match scene.finish(consumer, "waits") {
            Ok(ended) => {
                wrong_exit(&ended, "waits", "ends-too-soon", "a consumer at an open, empty buffer")
            }
            Err(stop) => stop,
        },
        Event::Line(line) => fail("ends-too-soon")
            .expected("a consumer waits as long as the buffer is open")
            .seen(format!("it prints `{}`", shown(&line)))
            .into(),
        event => scene.explain(consumer, "waits", event),
    }
}

pub(super) fn state_is(object: &Object, wanted: u32, when: &str, code: &'static str) -> Outcome {
    let state = object.u32(STATE);
    if state == wanted {
        return Ok(());
    }
    let name = |state| match state {
        0 => "BUILDING (0)".to_owned(),
        READY => "READY (1)".to_owned(),
        CLOSED => "CLOSED (2)".to_owned(),
        other => other.to_string(),
    };
    Err(fail(code)
        .expected(format!("state is {} {when}", name(wanted)))
        .seen(format!("it is {}", name(state)))
        .into())
}
