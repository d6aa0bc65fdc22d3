//! Step pop: the consumer next to a partner of ours.

use crate::diagnosis::fail;
use crate::peer::ring::{self, SLOTS, Shape};
use crate::process::Exit;
use crate::scene::{Scene, shown};
use crate::verdict::Outcome;
use crate::watch::Event;

use super::push::{aged, shapes};
use super::stage::{Rest, consume, consumer, message, moving, rests, ring, untouched};

pub(super) fn one_message(scene: &mut Scene) -> Outcome {
    let shape = Shape::plain(3);
    ring(scene, shape)?;
    ring::push(scene.peer()?, b"one message\n")?;
    let consumer = consumer(scene)?;
    consume(scene, consumer, b"one message\n")?;
    rests(scene, &Rest::open(shape, 1, 1).popped(), "after one push and one pop in a buffer of 3")
}

pub(super) fn in_order(scene: &mut Scene) -> Outcome {
    for shape in shapes() {
        ring(scene, shape)?;
        let consumer = consumer(scene)?;
        let capacity = u64::from(shape.capacity);
        for round in 0..3 {
            let first = round * capacity;
            for number in first..first + capacity {
                ring::push(scene.peer()?, &message(number))?;
            }
            for number in first..first + capacity {
                let before = scene.object()?.bytes();
                consume(scene, consumer, &message(number))?;
                let when = format!("after pop {} from a buffer of {capacity}", number + 1);
                rests(scene, &Rest::open(shape, number + 1, first + capacity).popped(), &when)?;
                let slot = SLOTS + number % capacity * u64::from(shape.slot_size);
                let mut allowed = moving();
                // The slot belongs to the consumer until it posts, so it may leave anything there.
                allowed.push(slot..slot + u64::from(shape.slot_size));
                untouched(&before, &scene.object()?.bytes(), &allowed, "a pop")?;
            }
        }
        scene.renew();
    }
    Ok(())
}

pub(super) fn any_bytes(scene: &mut Scene) -> Outcome {
    for slot_size in [64, 16, 4096] {
        let shape = Shape { capacity: 2, slot_size, robust: false };
        ring(scene, shape)?;
        let consumer = consumer(scene)?;
        let room = slot_size as usize - 8;
        let full: Vec<u8> = (0..room).map(|at| (at * 37 + 200) as u8).collect();
        // Whatever the longest left in the slots must not show in the shorter ones after it.
        for bytes in [&full[..], &full[1..], b"", b"\0\n\xff", b"\0"] {
            ring::push(scene.peer()?, bytes)?;
            consume(scene, consumer, bytes)?;
        }
        scene.renew();
    }
    Ok(())
}

pub(super) fn too_long(scene: &mut Scene) -> Outcome {
    for len in [57, u64::MAX] {
        ring(scene, Shape::plain(3))?;
        let peer = scene.peer()?;
        ring::push(peer, b"one\n")?;
        peer.put64(SLOTS, len)?;
        let consumer = consumer(scene)?;
        scene.send(consumer, b"\n");
        let seen = match scene.answer(consumer) {
            Event::Ended(Exit::Code(13)) => {
                scene.renew();
                continue;
            }
            Event::Line(line) => format!("your consumer prints `{}`", shown(&line)),
            Event::Ended(exit @ Exit::Code(code)) if code != 101 => {
                format!("your consumer {}", exit.told())
            }
            event => {
                return Err(scene.explain(
                    consumer,
                    "ends with 13 at a slot that says it holds more than it can",
                    event,
                ));
            }
        };
        return Err(fail("believes-the-length")
            .expected(format!(
                "a slot of 64 bytes that says length {len} ends the consumer with 13"
            ))
            .seen(seen)
            .into());
    }
    Ok(())
}

/// Two consumers, theirs and ours, on one ring.
pub(super) fn beside_ours(scene: &mut Scene) -> Outcome {
    let shape = Shape::plain(5);
    ring(scene, shape)?;
    let consumer = consumer(scene)?;
    for round in 0..4 {
        let first = 3 * round;
        for number in first..first + 3 {
            ring::push(scene.peer()?, &message(number))?;
        }
        consume(scene, consumer, &message(first))?;
        let ours = ring::pop(scene.peer()?)?;
        if ours != Some(message(first + 1)) {
            return Err(fail("another-message")
                .expected("after a pop of yours our consumer gets the next message")
                .seen(ours.map_or("the end".to_owned(), |m| format!("`{}`", m.escape_ascii())))
                .into());
        }
        consume(scene, consumer, &message(first + 2))?;
        rests(
            scene,
            &Rest::open(shape, first + 3, first + 3),
            "after a pop of yours, one of ours, and one of yours",
        )?;
    }
    Ok(())
}

pub(super) fn long_running(scene: &mut Scene) -> Outcome {
    let shape = Shape::plain(5);
    ring(scene, shape)?;
    let start = aged(scene)?;
    let consumer = consumer(scene)?;
    for number in 0..4 {
        ring::push(scene.peer()?, &message(number))?;
        consume(scene, consumer, &message(number))?;
        let when = "in a buffer through which 2^32 messages have gone, after a push and a pop";
        rests(scene, &Rest::open(shape, start + number + 1, start + number + 1).popped(), when)?;
    }
    Ok(())
}
