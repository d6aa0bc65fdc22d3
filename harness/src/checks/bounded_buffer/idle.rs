//! Step idle: a process that waits costs nothing.

use std::time::Duration;

use crate::diagnosis::fail;
use crate::peer::ring::{self, EMPTY, FULL, Shape};
use crate::scene::{Actor, Scene};
use crate::verdict::Outcome;

use super::stage::{consumer, message, producer, ring, sleeps_on};

/// How long we watch: long enough for anything that happens 20 times a second to happen often.
const WINDOW: Duration = Duration::from_millis(400);
/// One per cent of the window, and as much again for the clock's sake.
const MOST_TIME: Duration = Duration::from_millis(8);
/// 20 times a second.
const MOST_WAKES: u64 = 8;

pub(super) fn consumer_idles(scene: &mut Scene) -> Outcome {
    ring(scene, Shape::plain(3))?;
    let consumer = consumer(scene)?;
    scene.send(consumer, b"\n");
    sleeps_on(scene, consumer, FULL, "the buffer is empty", "empty-is-the-end")?;
    costs_nothing(scene, consumer, "an empty buffer")
}

pub(super) fn producer_idles(scene: &mut Scene) -> Outcome {
    ring(scene, Shape::plain(1))?;
    ring::push(scene.peer()?, &message(0))?;
    let producer = producer(scene)?;
    scene.send(producer, &message(1));
    sleeps_on(scene, producer, EMPTY, "the buffer is full", "overfills")?;
    costs_nothing(scene, producer, "a full buffer")
}

fn costs_nothing(scene: &Scene, actor: Actor, at: &str) -> Outcome {
    let (time, wakes) = scene.idle(actor, WINDOW);
    if time <= MOST_TIME && wakes <= MOST_WAKES {
        return Ok(());
    }
    Err(fail("restless-sleep")
        .expected(format!(
            "{}, blocked at {at}, uses at most 1 % of a CPU and wakes at most 20 times a second",
            scene.role(actor)
        ))
        .seen(if wakes > MOST_WAKES {
            "it wakes more often than that, though nobody has anything for it"
        } else {
            "it uses more than that, though nobody has anything for it"
        })
        .into())
}
