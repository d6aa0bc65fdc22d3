//! Step restart: a process that was killed is replaced, and nothing is lost or doubled.

use crate::checks::unbounded_buffer::stage::{
    CONSUMER, PRODUCER, as_long_as, empty, filled, holds, message, messages, produce, take,
};
use crate::diagnosis::fail;
use crate::object::Object;
use crate::peer::log::{self, HEAD, SLOT, TAIL, slot};
use crate::scene::Scene;
use crate::verdict::Outcome;

pub(super) fn attach(scene: &mut Scene) -> Outcome {
    // With room to spare, and with none.
    for (count, len) in [(90, 64 << 10), (60, log::FIRST_LEN)] {
        let object = filled(scene, &messages(0..count), len)?;
        let peer = scene.peer()?;
        peer.put64(HEAD, 2)?;
        // What a producer leaves that is killed right before it counts its message.
        if slot(count + 1) <= len {
            peer.write(slot(count), &log::slots(&[message(count)]))?;
        }
        let before = object.bytes();
        for arguments in [PRODUCER, CONSUMER] {
            let actor = scene.attach(arguments)?;
            let who = format!("a {} that attaches", arguments[0]);
            as_long_as(&object, len, &who)?;
            same_bytes(&object, &before, &who)?;
            scene.kill(actor);
        }
        scene.renew();
    }
    Ok(())
}

fn same_bytes(object: &Object, before: &[u8], who: &str) -> Outcome {
    let now = object.bytes();
    let Some(at) = before.iter().zip(&now).position(|(a, b)| a != b) else { return Ok(()) };
    let place = match at as u64 {
        TAIL..72 => "tail".to_owned(),
        HEAD..200 => "head".to_owned(),
        _ => format!("the byte at offset {at}"),
    };
    Err(fail("attaching-stores")
        .expected(format!("{who} changes nothing"))
        .seen(format!("{place} is another"))
        .into())
}

pub(super) fn consumer(scene: &mut Scene) -> Outcome {
    let all = messages(0..150);
    let object = filled(scene, &all[..100], 0)?;
    // Killed between two operations, then at the empty buffer, then ended by the end of its input.
    let first = scene.attach(CONSUMER)?;
    take(scene, first, 0, &all[..70])?;
    scene.kill(first);
    holds(&object, &all[..100], 70, "your consumer")?;

    let second = scene.attach(CONSUMER)?;
    take(scene, second, 70, &all[70..100])?;
    scene.send(second, b"\n");
    // Waiting it is when it polls; how it waits is another step's question.
    let _ = scene.event(second);
    scene.kill(second);
    log::push_all(scene.peer()?, &all[100..])?;
    holds(&object, &all, 100, "your consumer")?;

    let third = scene.attach(CONSUMER)?;
    take(scene, third, 100, &all[100..120])?;
    scene.close_stdin(third);
    let _ = scene.finish(third, "ends with its input")?;
    holds(&object, &all, 120, "your consumer")?;

    let fourth = scene.attach(CONSUMER)?;
    take(scene, fourth, 120, &all[120..])?;
    holds(&object, &all, 150, "your consumer")
}

pub(super) fn producer(scene: &mut Scene) -> Outcome {
    let all = messages(0..210);
    let object = empty(scene)?;
    for (turn, some) in all.chunks(70).enumerate() {
        let len = object.len();
        let producer = scene.attach(PRODUCER)?;
        as_long_as(&object, len, "a producer that attaches")?;
        holds(&object, &all[..turn * 70], 0, "your producer")?;
        produce(scene, producer, 0, some)?;
        holds(&object, &all[..turn * 70 + 70], 0, "your producer")?;
        scene.kill(producer);
    }
    holds(&object, &all, 0, "your producer")
}

pub(super) fn both(scene: &mut Scene) -> Outcome {
    let all = messages(0..180);
    let object = empty(scene)?;
    // The first slot is not as it was created, as where somebody was killed.
    scene.peer()?.fill(slot(0), SLOT, 0xff)?;
    let (mut done, mut taken) = (0, 0);
    // Sometimes the consumer is behind, sometimes it has everything.
    for (next, until) in [(40, 25), (70, 70), (130, 90), (180, 180)] {
        let producer = scene.attach(PRODUCER)?;
        let consumer = scene.attach(CONSUMER)?;
        // The first one alone: as the newest message it is looked at word by word.
        produce(scene, producer, 0, &all[done..=done])?;
        holds(&object, &all[..=done], taken as u64, "your producer")?;
        produce(scene, producer, 1, &all[done + 1..next])?;
        take(scene, consumer, taken as u64, &all[taken..until])?;
        scene.kill(producer);
        scene.kill(consumer);
        holds(&object, &all[..next], until as u64, "your consumer")?;
        (done, taken) = (next, until);
    }
    Ok(())
}
