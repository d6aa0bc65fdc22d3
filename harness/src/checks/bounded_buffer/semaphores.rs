//! Step semaphores: a post from another process wakes, a signal does not.

use crate::checks::common::create;
use crate::diagnosis::fail;
use crate::peer::ring::{self, EMPTY, FULL, Shape};
use crate::process::Exit;
use crate::scene::Scene;
use crate::verdict::Outcome;
use crate::watch::Event;

use super::stage::{consumed, consumer, join, message, ring, sleeps_on, sleeps_through_a_signal};

const WHY: &str = "nothing is in the buffer";

pub(super) fn sleeps(scene: &mut Scene) -> Outcome {
    ring(scene, Shape::plain(3))?;
    let consumer = consumer(scene)?;
    scene.send(consumer, b"\n");
    sleeps_on(scene, consumer, FULL, WHY, "empty-is-the-end")
}

/// Their `create`, their consumer, our post.
pub(super) fn wakes(scene: &mut Scene) -> Outcome {
    create(scene, &["3"])?;
    join(scene)?;
    let consumer = consumer(scene)?;
    for number in 0..4 {
        scene.send(consumer, b"\n");
        sleeps_on(scene, consumer, FULL, WHY, "empty-is-the-end")?;
        ring::push(scene.peer()?, &message(number))?;
        if let Event::Asleep(place) = scene.answer(consumer) {
            let seen = scene.who_waits(consumer, place);
            return Err(fail("misses-a-wake-up")
                .expected("your consumer, asleep in `full`, wakes when our producer posts it")
                .seen(seen)
                .into());
        }
        // The line is taken; the message itself is the business of step pop.
    }
    Ok(())
}

pub(super) fn signals(scene: &mut Scene) -> Outcome {
    ring(scene, Shape::plain(3))?;
    let consumer = consumer(scene)?;
    for number in 0..3 {
        scene.send(consumer, b"\n");
        sleeps_on(scene, consumer, FULL, WHY, "empty-is-the-end")?;
        for _again in 0..2 {
            sleeps_through_a_signal(scene, consumer, FULL)?;
        }
        ring::push(scene.peer()?, &message(number))?;
        consumed(scene, consumer, &message(number))?;
    }
    Ok(())
}

/// A semaphore at its largest value cannot be posted: the one failure that can be brought about
/// from outside.
pub(super) fn failures(scene: &mut Scene) -> Outcome {
    ring(scene, Shape::plain(3))?;
    let peer = scene.peer()?;
    ring::push(peer, &message(1))?;
    peer.sem_init(EMPTY, i32::MAX as u32, true)?;
    let consumer = consumer(scene)?;
    scene.send(consumer, b"\n");
    let mut event = scene.answer(consumer);
    if matches!(event, Event::Line(_)) {
        event = scene.event(consumer);
    }
    match event {
        Event::Ended(Exit::Code(20)) => Ok(()),
        Event::Ended(exit) if exit != Exit::Code(101) => Err(fail("failure-is-swallowed")
            .expected("a `sem_post` that fails (EOVERFLOW) is an error: exit code 20")
            .seen(format!("your consumer {}", exit.told()))
            .into()),
        Event::WantsInput => Err(fail("failure-is-swallowed")
            .expected("a `sem_post` that fails (EOVERFLOW) is an error: exit code 20")
            .seen("your consumer goes on as if `empty` had been posted")
            .into()),
        event => Err(scene.explain(consumer, "exits with 20 when `sem_post` fails", event)),
    }
}
