//! Step pop: messages come out once each, in order, however far the object has grown.

use crate::checks::common::wrong_exit;
use crate::checks::unbounded_buffer::stage::{
    CONSUMER, as_long_as, empty, filled, holds, maps_once, messages, take,
};
use crate::diagnosis::fail;
use crate::object::Object;
use crate::peer::log::{self, FIRST_LEN, HEAD, TAIL, slot};
use crate::process::Exit;
use crate::scene::{Actor, Scene, shown};
use crate::verdict::Outcome;
use crate::watch::Event;

pub(super) fn in_order(scene: &mut Scene) -> Outcome {
    let mut all = messages(0..20);
    // What a consumer must not take for something else: nothing, zeros, a full slot, bytes.
    all[1] = Vec::new();
    all[2] = vec![0; 56];
    all[4] = vec![0xff; 56];
    all[8] = b"\n".to_vec();
    let object = filled(scene, &all[..5], 0)?;
    let consumer = scene.attach(CONSUMER)?;
    for index in 0..5 {
        take(scene, consumer, index, &all[index as usize..=index as usize])?;
        as_long_as(&object, FIRST_LEN, "your consumer")?;
        holds(&object, &all[..5], index + 1, "your consumer")?;
    }
    for index in 5..20 {
        log::push(scene.peer()?, &all[index])?;
        take(scene, consumer, index as u64, &all[index..=index])?;
        holds(&object, &all[..=index], index as u64 + 1, "your consumer")?;
    }
    Ok(())
}

pub(super) fn long_when_found(scene: &mut Scene) -> Outcome {
    let all = messages(0..200);
    let object = filled(scene, &all, 64 << 10)?;
    let consumer = scene.attach(CONSUMER)?;
    as_long_as(&object, 64 << 10, "a consumer that attaches")?;
    take(scene, consumer, 0, &all)?;
    as_long_as(&object, 64 << 10, "your consumer")?;
    holds(&object, &all, 200, "your consumer")
}

pub(super) fn maps_again(scene: &mut Scene) -> Outcome {
    let all = messages(0..1020);
    let object = filled(scene, &all[..10], 0)?;
    let consumer = scene.attach(CONSUMER)?;
    take(scene, consumer, 0, &all[..10])?;
    let mut done = 10;
    // The object has 4096, 8192, 16384 and 65536 bytes: once it grows by nothing, once fourfold.
    for next in [60, 62, 124, 240, 1020] {
        log::push_all(scene.peer()?, &all[done..next])?;
        let len = object.len();
        take(scene, consumer, done as u64, &all[done..next])?;
        as_long_as(&object, len, "your consumer")?;
        holds(&object, &all[..next], next as u64, "your consumer")?;
        maps_once(scene, consumer)?;
        done = next;
    }
    // Where it ends in the middle of a slot at first: in the length word, and in the bytes.
    for len in [FIRST_LEN + 4, FIRST_LEN + 16] {
        scene.renew();
        let object = empty(scene)?;
        let peer = scene.peer()?;
        peer.resize(len)?;
        log::push_all(peer, &all[..60])?;
        let consumer = scene.attach(CONSUMER)?;
        take(scene, consumer, 0, &all[..60])?;
        log::push_all(scene.peer()?, &all[60..62])?;
        take(scene, consumer, 60, &all[60..62])?;
        holds(&object, &all[..62], 62, "your consumer")?;
        maps_once(scene, consumer)?;
    }
    Ok(())
}

pub(super) fn bad_length(scene: &mut Scene) -> Outcome {
    // Just above, a sign bit in 32 bits, nothing in the lower 32 bits, and all bits.
    for len in [57, 1 << 31, 1 << 32, u64::MAX] {
        let object = filled(scene, &messages(0..3), 0)?;
        scene.peer()?.put64(slot(2), len)?;
        let consumer = scene.attach(CONSUMER)?;
        take(scene, consumer, 0, &messages(0..2))?;
        let when = format!("a consumer that finds the length {len} in a slot");
        refuses(scene, consumer, &object, &when, "takes-a-bad-length")?;
        scene.renew();
    }
    Ok(())
}

pub(super) fn bad_tail(scene: &mut Scene) -> Outcome {
    // The object ends before slot 60, in its length word, in its bytes, and 2³² slots early.
    let cases = [(0, 61), (4, 61), (16, 61), (0, (1 << 32) + 60)];
    for (len, tail) in cases.map(|(more, tail)| (FIRST_LEN + more, tail)) {
        let object = empty(scene)?;
        let peer = scene.peer()?;
        peer.resize(len)?;
        log::push_all(peer, &messages(0..60))?;
        let consumer = scene.attach(CONSUMER)?;
        take(scene, consumer, 0, &messages(0..60))?;
        scene.peer()?.put64(TAIL, tail)?;
        let when =
            format!("a consumer of message 60, with tail {tail} and an object of {len} bytes,");
        refuses(scene, consumer, &object, &when, "takes-a-bad-tail")?;
        scene.renew();
    }
    Ok(())
}

/// Requires the next operation to end the consumer with exit code 13, and the length and head to stay.
fn refuses(
    scene: &mut Scene,
    consumer: Actor,
    object: &Object,
    when: &str,
    code: &'static str,
) -> Outcome {
    let (len, head) = (object.len(), object.u64(HEAD));
    scene.send(consumer, b"\n");
    // What it prints instead is told by how it goes on.
    let event = scene.event(consumer);
    as_long_as(object, len, "your consumer")?;
    let seen = match event {
        Event::Ended(Exit::Code(13)) => return head_is(object, head, when),
        Event::Ended(Exit::Code(101)) => {
            return Err(scene.explain(consumer, "ends with exit code 13", event));
        }
        Event::Ended(_) => {
            let ended = scene.finish(consumer, "ends")?;
            return Err(wrong_exit(&ended, "exits with 13 (wrong format)", code, when));
        }
        Event::Line(line) => format!("it prints `{}`", shown(&line)),
        _ => "it waits".to_owned(),
    };
    Err(fail(code).expected(format!("{when} exits with 13 (wrong format)")).seen(seen).into())
}

/// Requires that a message which was refused is not counted as taken.
fn head_is(object: &Object, before: u64, when: &str) -> Outcome {
    let head = object.u64(HEAD);
    if head == before {
        return Ok(());
    }
    Err(fail("wrong-head")
        .expected(format!("{when} leaves head at {before}"))
        .seen(format!("head is {head}"))
        .into())
}
