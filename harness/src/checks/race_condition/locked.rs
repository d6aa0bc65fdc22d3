//! Step mutex: who is between read and write is there alone.

use super::stage::{
    MANY, Worker, adds_alone, crowd_counts, gate_was_called, go, lock_is_free, open_shop, rounds,
    sleeps_on, takes_over,
};
use crate::diagnosis::fail;
use crate::object::Object;
use crate::peer::shop::{ARRIVED, COUNTER, GO, MUTEX};
use crate::scene::Scene;
use crate::verdict::Outcome;
use crate::watch::Event;

pub(super) fn adds_one(scene: &mut Scene) -> Outcome {
    let object = open_shop(scene, 0)?;
    adds_alone(scene, &object, &[], "mutex", (COUNTER, "counter"))
}

pub(super) fn one_is_inside(scene: &mut Scene) -> Outcome {
    rounds(scene, one_after_the_other)
}

fn one_after_the_other(scene: &mut Scene) -> Outcome {
    let object = open_shop(scene, 0)?;
    let first = Worker::gated(scene, "mutex")?;
    first.to_the_gate(scene, "")?;
    is_inside(scene, "mutex")?;
    nothing_written(&object)?;
    let second = Worker::gated(scene, "mutex")?;
    let event = second.begin(scene, "");
    must_wait(scene, second, event)?;
    takes_over(scene, second, first);
    go(scene)?;
    first.answers(scene, "done")?;
    let event = scene.event(second.actor);
    second.must_be_at_the_gate(scene, event)?;
    is_inside(scene, "mutex")?;
    go(scene)?;
    second.answers(scene, "done")?;
    let seen = object.u64(COUNTER);
    if seen != 2 {
        return Err(fail("outside-the-lock")
            .expected("counter is 2 when both have gone through the gate, one after the other")
            .seen(format!("it is {seen}: one of them read or wrote while it was not inside"))
            .into());
    }
    gate_was_called(scene, 2)?;
    lock_is_free(scene)
}

pub(super) fn crowd(scene: &mut Scene) -> Outcome {
    // Fewer than elsewhere: most of them sleep and are woken.
    crowd_counts(scene, "mutex", MANY / 50)
}

pub(super) fn comes_back(scene: &mut Scene) -> Outcome {
    comes_back_when_the_gate_fails(scene, "mutex")
}

/// The gate fails: `arrived` holds as many permits as a semaphore can. Who ends for that leaves the
/// lock as it was. Nothing is asked of one that goes on.
pub(super) fn comes_back_when_the_gate_fails(scene: &mut Scene, mode: &'static str) -> Outcome {
    open_shop(scene, 1)?;
    scene.peer()?.sem_init(ARRIVED, i32::MAX as u32, true)?;
    let worker = Worker::gated(scene, mode)?;
    let Event::Ended(_) = worker.begin(scene, "7") else { return Ok(()) };
    let value = scene.peer()?.sem_value(MUTEX)?;
    let code = match value {
        1 => return Ok(()),
        ..=0 => "keeps-the-lock",
        _ => "gives-back-twice",
    };
    Err(fail(code)
        .expected(format!("`mutex` is 1 after the gate has failed in the mode `{mode}`"))
        .seen(format!("it is {value}, and the worker has ended"))
        .into())
}

/// Requires the lock to be taken while a worker is at the gate.
pub(super) fn is_inside(scene: &mut Scene, mode: &str) -> Outcome {
    let value = scene.peer()?.sem_value(MUTEX)?;
    if value == 0 {
        return Ok(());
    }
    Err(fail("lock-not-held")
        .expected(format!("`mutex` is 0 while a worker in the mode `{mode}` is at the gate"))
        .seen(format!("it is {value}: the door is open behind it"))
        .into())
}

/// Requires that the worker sleeps in the lock, which another holds.
pub(super) fn must_wait(scene: &mut Scene, worker: Worker, event: Event) -> Outcome {
    let expected = "a worker that finds another one inside sleeps in `mutex`";
    let seen = match event {
        event if sleeps_on(&event, MUTEX) => return Ok(()),
        event if sleeps_on(&event, GO) => "it is at the gate, so two are inside".to_owned(),
        Event::Line(line) => format!("it goes through and prints `{line}`"),
        event => return Err(scene.explain(worker.actor, "sleeps in `mutex`", event)),
    };
    Err(fail("lets-two-in").expected(expected).seen(seen).into())
}

/// Requires that a worker which waits for the lock has not been at the gate before.
pub(super) fn must_not_have_arrived(scene: &mut Scene) -> Outcome {
    let value = scene.peer()?.sem_value(ARRIVED)?;
    if value == 0 {
        return Ok(());
    }
    Err(fail("lock-not-held")
        .expected("a worker takes the lock before it comes to the gate")
        .seen("it was at the gate and asks for the lock now")
        .into())
}

fn nothing_written(object: &Object) -> Outcome {
    let seen = object.u64(COUNTER);
    if seen == 0 {
        return Ok(());
    }
    Err(fail("gate-not-between")
        .expected("counter is 0 still while the worker is at the gate")
        .seen(format!("it is {seen}: the write was before the gate"))
        .into())
}
