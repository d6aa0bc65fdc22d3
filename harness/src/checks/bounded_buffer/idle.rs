//! Step idle: a process that waits costs nothing.

use std::time::Duration;

use crate::diagnosis::fail;
use crate::peer::ring::{self, EMPTY, FULL, Shape};
use crate::scene::{Actor, Idle, Scene};
use crate::verdict::Outcome;

use super::stage::{consumer, message, producer, ring, sleeps_on};

/// How long we watch: long enough for anything that happens 20 times a second to happen often.
const WINDOW: Duration = Duration::from_millis(400);
/// How seldom it may wake: 20 times a second.
const BETWEEN_WAKES: Duration = Duration::from_millis(50);

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
    let Idle { window, cpu, starved, sleeps } = scene.idle(actor, WINDOW);
    // One per cent, and as much again for the clock's sake.
    let much = cpu * 50 > window;
    // Who has to wait for a processor each time it wakes gets to sleep less often.
    let often = BETWEEN_WAKES * sleeps as u32 > window.saturating_sub(starved);
    if !much && !often {
        return Ok(());
    }
    Err(fail("restless-sleep")
        .expected(format!(
            "{}, blocked at {at}, uses at most 1 % of a CPU and wakes at most 20 times a second",
            scene.role(actor)
        ))
        .seen(if often {
            "it wakes more often than that, though nobody has anything for it"
        } else {
            "it uses more than that, though nobody has anything for it"
        })
        .into())
}
