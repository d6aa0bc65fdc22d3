//! Step blocking: who has nothing to do sleeps in its own semaphore, with the lock free.

use nix::sys::signal::Signal;

use crate::checks::common::create;
use crate::diagnosis::fail;
use crate::peer::ring::{self, EMPTY, FULL, MUTEX, Shape};
use crate::scene::{Actor, Scene};
use crate::verdict::Outcome;

use super::stage::{
    By, Rest, consume, consumed, consumer, join, message, permits, produce, produced, producer,
    rests, ring, settle, sleeps_on, sleeps_through_a_signal,
};

const CAPACITIES: [u32; 3] = [1, 2, 5];

pub(super) fn full(scene: &mut Scene) -> Outcome {
    for capacity in CAPACITIES {
        let shape = Shape::plain(capacity);
        let capacity = u64::from(capacity);
        ring(scene, shape)?;
        let producer = producer(scene)?;
        for number in 0..capacity {
            produce(scene, producer, number + 1, &message(number))?;
        }
        for number in capacity..capacity + 2 {
            scene.send(producer, &message(number));
            fills_no_more(scene, producer, capacity)?;
            lock_is_free(scene, producer, EMPTY)?;
            let when = format!("while the push into a full buffer of {capacity} waits");
            rests(scene, &Rest::open(shape, number - capacity, number), &when)?;
            sleeps_through_a_signal(scene, producer, EMPTY)?;
            let taken = ring::pop(scene.peer()?)?;
            if taken != Some(message(number - capacity)) {
                return Err(fail("overfills")
                    .expected(format!(
                        "our consumer gets message {} from the full buffer",
                        number - capacity
                    ))
                    .seen("it gets another")
                    .into());
            }
            produced(scene, producer, number + 1)?;
        }
        rests(scene, &Rest::open(shape, 2, capacity + 2), "after a wait in `empty`")?;
        scene.renew();
    }
    Ok(())
}

/// The push beyond the last slot must sleep.
fn fills_no_more(scene: &mut Scene, producer: Actor, capacity: u64) -> Outcome {
    let why = format!("all {capacity} slots hold messages");
    sleeps_on(scene, producer, EMPTY, &why, "overfills")
}

/// Whoever sleeps for a permit must not hold the lock: who could bring the permit needs it.
fn lock_is_free(scene: &mut Scene, actor: Actor, asleep_on: u64) -> Outcome {
    if scene.peer()?.sem_value(MUTEX)? > 0 {
        return Ok(());
    }
    let (own, other) =
        if asleep_on == EMPTY { ("empty", "consumer") } else { ("full", "producer") };
    let role = scene.role(actor);
    Err(fail("sleeps-with-the-lock")
        .expected(format!("while {role} sleeps in `{own}`, the lock is free"))
        .seen(format!(
            "{role} sleeps in `{own}` and holds `mutex`; the {other} that would post `{own}` waits \
             for `mutex`, for ever"
        ))
        .into())
}

pub(super) fn empty(scene: &mut Scene) -> Outcome {
    for capacity in CAPACITIES {
        let shape = Shape::plain(capacity);
        ring(scene, shape)?;
        let consumer = consumer(scene)?;
        for number in 0..3 {
            scene.send(consumer, b"\n");
            let why = "the buffer is empty and open";
            sleeps_on(scene, consumer, FULL, why, "empty-is-the-end")?;
            lock_is_free(scene, consumer, FULL)?;
            let when = "while the pop from an empty buffer waits";
            rests(scene, &Rest::open(shape, number, number), when)?;
            ring::push(scene.peer()?, &message(number))?;
            consumed(scene, consumer, &message(number))?;
        }
        scene.renew();
    }
    Ok(())
}

/// Nobody but the student's programs: what suits ours but not each other shows here.
pub(super) fn each_other(scene: &mut Scene) -> Outcome {
    for capacity in CAPACITIES {
        let shape = Shape::plain(capacity);
        create(scene, &[&capacity.to_string()])?;
        let (producer, consumer) = (producer(scene)?, consumer(scene)?);
        let capacity = u64::from(capacity);
        // The consumer sleeps, the producer wakes it.
        scene.send(consumer, b"\n");
        sleeps_on(scene, consumer, FULL, "the buffer is empty", "empty-is-the-end")?;
        scene.send(producer, &message(0));
        produced(scene, producer, 1)?;
        consumed(scene, consumer, &message(0))?;
        // The producer sleeps, the consumer wakes it.
        for number in 1..=capacity {
            produce(scene, producer, number + 1, &message(number))?;
        }
        scene.send(producer, &message(capacity + 1));
        fills_no_more(scene, producer, capacity)?;
        scene.send(consumer, b"\n");
        produced(scene, producer, capacity + 2)?;
        consumed(scene, consumer, &message(1))?;
        for number in 2..capacity + 2 {
            consume(scene, consumer, &message(number))?;
        }
        join(scene)?;
        let when = "after your producer and your consumer have woken each other";
        rests(scene, &Rest::open(shape, capacity + 2, capacity + 2), when)?;
        scene.renew();
    }
    Ok(())
}

/// As many sleepers wake as there are posts. They run one after the other: what becomes of slots and
/// indices when two run at once and do not keep the lock is luck, and shown by the checks of the lock.
pub(super) fn several(scene: &mut Scene) -> Outcome {
    let shape = Shape::plain(2);
    ring(scene, shape)?;
    let consumers = [consumer(scene)?, consumer(scene)?];
    for consumer in consumers {
        scene.send(consumer, b"\n");
        sleeps_on(scene, consumer, FULL, "the buffer is empty", "empty-is-the-end")?;
    }
    scene.stop(consumers[1]);
    for number in 0..2 {
        ring::push(scene.peer()?, &message(number))?;
    }
    for consumer in consumers {
        scene.signal(consumer, Signal::SIGCONT);
        let doing = "gets one of the two messages that two consumers have waited for";
        scene.line(consumer, doing)?;
        settle(scene, consumer, "has taken its message")?;
    }
    permits(scene, (2, 0, 1), By::Both, "after two sleepers have taken a message each")?;
    scene.renew();

    ring(scene, shape)?;
    for number in 0..2 {
        ring::push(scene.peer()?, &message(number))?;
    }
    let producers = [producer(scene)?, producer(scene)?];
    for producer in producers {
        scene.send(producer, &message(7));
        fills_no_more(scene, producer, 2)?;
    }
    scene.stop(producers[1]);
    for _message in 0..2 {
        ring::pop(scene.peer()?)?;
    }
    for producer in producers {
        scene.signal(producer, Signal::SIGCONT);
        scene.line(producer, "goes on when both slots of a full buffer have been given back")?;
        settle(scene, producer, "has put in its message")?;
    }
    permits(scene, (0, 2, 1), By::Both, "after two sleeping producers have gone on")
}

/// Who sleeps for a permit has nothing yet, so its death takes nothing away.
pub(super) fn killed(scene: &mut Scene) -> Outcome {
    let shape = Shape::plain(2);
    ring(scene, shape)?;
    let (dying, other) = (consumer(scene)?, consumer(scene)?);
    scene.send(dying, b"\n");
    sleeps_on(scene, dying, FULL, "the buffer is empty", "empty-is-the-end")?;
    scene.kill(dying);
    for number in 0..3 {
        ring::push(scene.peer()?, &message(number))?;
        consume(scene, other, &message(number))?;
    }
    let (dying, other) = (producer(scene)?, producer(scene)?);
    for number in 0..2 {
        produce(scene, dying, number + 1, &message(number))?;
    }
    scene.send(dying, &message(2));
    fills_no_more(scene, dying, 2)?;
    scene.kill(dying);
    for number in 0..3 {
        ring::pop(scene.peer()?)?;
        produce(scene, other, number + 1, &message(number))?;
    }
    let when = "after one was killed in its sleep and the others went on";
    rests(scene, &Rest::open(shape, 6, 8), when)
}
