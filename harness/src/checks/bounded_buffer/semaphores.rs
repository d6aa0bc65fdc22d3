//! Step semaphores: a post from another process wakes, a signal does not. The messages themselves
//! are the business of step pop, so each round has a ring of its own and a message that is laid in
//! it without the lock.

use crate::checks::common::create;
use crate::diagnosis::fail;
use crate::peer::ring::{self, EMPTY, FULL, SLOTS, Shape, TAIL};
use crate::process::Exit;
use crate::scene::{Actor, Scene};
use crate::verdict::Outcome;
use crate::watch::Event;

use super::stage::{consumer, join, message, ring, sleeps_on, sleeps_through_a_signal};

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
    scene.send(consumer, b"\n");
    sleeps_on(scene, consumer, FULL, WHY, "empty-is-the-end")?;
    announce(scene)?;
    wakes_up(scene, consumer)
}

pub(super) fn signals(scene: &mut Scene) -> Outcome {
    for signals in [1, 3] {
        ring(scene, Shape::plain(3))?;
        let consumer = consumer(scene)?;
        scene.send(consumer, b"\n");
        sleeps_on(scene, consumer, FULL, WHY, "empty-is-the-end")?;
        for _signal in 0..signals {
            sleeps_through_a_signal(scene, consumer, FULL)?;
        }
        announce(scene)?;
        wakes_up(scene, consumer)?;
        scene.renew();
    }
    Ok(())
}

/// Lays message 0 into the empty ring and posts `full`.
fn announce(scene: &mut Scene) -> Outcome {
    let (peer, text) = (scene.peer()?, message(0));
    peer.write(SLOTS + 8, &text)?;
    peer.put64(SLOTS, text.len() as u64)?;
    peer.put64(TAIL, 1)?;
    Ok(peer.sem_post(FULL)?)
}

fn wakes_up(scene: &mut Scene, consumer: Actor) -> Outcome {
    match scene.answer(consumer) {
        Event::Line(_) => Ok(()),
        Event::Asleep(place) => {
            let seen = scene.who_waits(consumer, place);
            Err(fail("misses-a-wake-up")
                .expected("your consumer, asleep in `full`, wakes when our producer posts it")
                .seen(seen)
                .into())
        }
        event => Err(scene.explain(consumer, "wakes and takes the message", event)),
    }
}

/// A semaphore at its largest value cannot be posted: the one failure that can be brought about
/// from outside.
pub(super) fn failures(scene: &mut Scene) -> Outcome {
    ring(scene, Shape::plain(3))?;
    announce(scene)?;
    // Not taken for the message just laid in, `empty` shows whether it is posted at all.
    let consumer = consumer(scene)?;
    scene.send(consumer, b"\n");
    scene.line(consumer, "takes the message")?;
    scene.event(consumer);
    if scene.peer()?.sem_value(EMPTY)? == 3 {
        scene.remark("`empty` is not posted, so its failure was not tried; see step pop");
        return Ok(());
    }
    scene.renew();

    ring(scene, Shape::plain(3))?;
    let peer = scene.peer()?;
    ring::push(peer, &message(1))?;
    peer.sem_init(EMPTY, i32::MAX as u32, true)?;
    let consumer = super::stage::consumer(scene)?;
    scene.send(consumer, b"\n");
    let mut event = scene.answer(consumer);
    if matches!(event, Event::Line(_)) {
        event = scene.event(consumer);
    }
    let seen = match event {
        Event::Ended(Exit::Code(20)) => return Ok(()),
        Event::Ended(exit @ Exit::Code(code)) if code != 101 => {
            format!("your consumer {}", exit.told())
        }
        Event::WantsInput => "your consumer goes on as if `empty` had been posted".to_owned(),
        event => {
            return Err(scene.explain(consumer, "exits with 20 when `sem_post` fails", event));
        }
    };
    Err(fail("failure-is-swallowed")
        .expected("a `sem_post` that fails (EOVERFLOW) is an error: exit code 20")
        .seen(seen)
        .into())
}
