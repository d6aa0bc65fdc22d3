//! Step push: the producer next to a partner of ours.

use crate::diagnosis::fail;
use crate::peer::ring::{self, SLOTS, Shape};
use crate::process::Start;
use crate::scene::{NAME, Scene};
use crate::verdict::Outcome;

use super::stage::{Rest, message, moving, produce, producer, rests, ring, slot_holds, untouched};

/// What is written behind the last slot, where nobody has any business.
const CANARY: u8 = 0xA5;

pub(super) fn one_message(scene: &mut Scene) -> Outcome {
    let shape = Shape::plain(3);
    ring(scene, shape)?;
    let producer = producer(scene)?;
    produce(scene, producer, 1, b"one message\n")?;
    let when = "after one push into an empty buffer of 3";
    slot_holds(scene, shape, 0, b"one message\n")?;
    rests(scene, &Rest::open(shape, 0, 1).pushed(), when)
}

pub(super) fn slots(scene: &mut Scene) -> Outcome {
    for shape in shapes() {
        ring(scene, shape)?;
        scene.peer()?.fill_rest(CANARY)?;
        let producer = producer(scene)?;
        let capacity = u64::from(shape.capacity);
        for number in 0..3 * capacity {
            if number >= capacity {
                take(scene, number - capacity)?;
            }
            let before = scene.object()?.bytes();
            produce(scene, producer, number + 1, &message(number))?;
            let when = format!("after push {} into a buffer of {capacity}", number + 1);
            slot_holds(scene, shape, number, &message(number))?;
            let head = (number + 1).saturating_sub(capacity);
            rests(scene, &Rest::open(shape, head, number + 1).pushed(), &when)?;
            let slot = SLOTS + number % capacity * u64::from(shape.slot_size);
            let mut allowed = moving();
            allowed.push(slot..slot + u64::from(shape.slot_size));
            untouched(&before, &scene.object()?.bytes(), &allowed, "a push")?;
        }
        if scene.peer()?.rest()?.iter().any(|&byte| byte != CANARY) {
            return Err(fail("writes-elsewhere")
                .expected("nothing behind the last slot changes")
                .seen("bytes behind the end of the object have changed")
                .into());
        }
        scene.renew();
    }
    Ok(())
}

/// Capacities and slot sizes, the smallest of both among them.
pub(super) fn shapes() -> [Shape; 4] {
    let shape = |capacity, slot_size| Shape { capacity, slot_size, robust: false };
    [shape(5, 64), shape(2, 4096), shape(1, 64), shape(2, 16)]
}

/// Our consumer takes the student's message with this number.
fn take(scene: &mut Scene, number: u64) -> Outcome {
    let taken = ring::pop(scene.peer()?)?;
    if taken.as_deref() == Some(&message(number)) {
        return Ok(());
    }
    Err(fail("another-message")
        .expected(format!("our consumer gets message {number} of your producer"))
        .seen(match taken {
            Some(other) => format!("it gets `{}`", other.escape_ascii()),
            None => "it is told the end".to_owned(),
        })
        .into())
}

/// The whole slot is room, and what is longer travels in pieces.
pub(super) fn lengths(scene: &mut Scene) -> Outcome {
    for (slot_size, bulk) in [(64, false), (16, false), (4096, true)] {
        let shape = Shape { capacity: 5, slot_size, robust: false };
        ring(scene, shape)?;
        let room = slot_size as usize - 8;
        // Two full pieces, and one that is not.
        let bytes: Vec<u8> = (0..2 * room + 3).map(|at| b'a' + (at % 23) as u8).collect();
        let input = scene.input("in", &bytes)?;
        let arguments: &[&str] = if bulk {
            &["producer", NAME, "--keep-open", "--bulk"]
        } else {
            &["producer", NAME, "--keep-open"]
        };
        let start = Start { input: Some(input), ..Start::default() };
        let producer = scene.start_with(arguments, start)?;
        let ended = scene.finish(producer, "puts in a line of three messages and ends")?;
        crate::checks::common::must_exit(
            &ended,
            0,
            "message-should-fit",
            &format!("a message of slot_size - 8 = {room} bytes fits, so your producer"),
        )?;
        for (number, piece) in bytes.chunks(room).enumerate() {
            slot_holds(scene, shape, number as u64, piece)?;
        }
        rests(scene, &Rest::open(shape, 0, 3).pushed(), "after three pushes")?;
        scene.renew();
    }
    Ok(())
}

/// Two producers, theirs and ours, on one ring.
pub(super) fn beside_ours(scene: &mut Scene) -> Outcome {
    let shape = Shape::plain(5);
    ring(scene, shape)?;
    let producer = producer(scene)?;
    for round in 0..4 {
        let number = 3 * round;
        produce(scene, producer, 2 * round + 1, &message(number))?;
        ring::push(scene.peer()?, &message(number + 1))?;
        produce(scene, producer, 2 * round + 2, &message(number + 2))?;
        rests(
            scene,
            &Rest::open(shape, number, number + 3),
            "after a push of yours, one of ours, and one of yours",
        )?;
        for number in number..number + 3 {
            take(scene, number)?;
        }
    }
    Ok(())
}

/// The indices run on past what 32 bits hold.
pub(super) fn long_running(scene: &mut Scene) -> Outcome {
    let shape = Shape::plain(5);
    ring(scene, shape)?;
    let start = aged(scene)?;
    let producer = producer(scene)?;
    for number in 0..4 {
        produce(scene, producer, number + 1, &message(number))?;
        slot_holds(scene, shape, start + number, &message(number))?;
        let when = "in a buffer through which 2^32 messages have gone, after a push";
        rests(scene, &Rest::open(shape, start, start + number + 1).pushed(), when)?;
    }
    Ok(())
}

/// Makes the ring look as if so many messages had gone through it.
pub(super) fn aged(scene: &mut Scene) -> Outcome<u64> {
    let peer = scene.peer()?;
    let start = u64::from(u32::MAX) - 1;
    peer.put64(ring::HEAD, start)?;
    peer.put64(ring::TAIL, start)?;
    Ok(start)
}
