//! Step lost-update: two workers read, both write, and one addition is gone.

use super::stage::{
    Worker, adds_alone, gate_was_called, go, hold_the_lock, lock_is_untouched, open_shop,
};
use crate::diagnosis::fail;
use crate::peer::shop::COUNTER;
use crate::scene::Scene;
use crate::verdict::Outcome;

pub(super) fn adds_one(scene: &mut Scene) -> Outcome {
    let object = open_shop(scene, 0)?;
    adds_alone(scene, &object, &[], "racy", (COUNTER, "counter"))
}

pub(super) fn gate_is_between(scene: &mut Scene) -> Outcome {
    let object = open_shop(scene, 0)?;
    hold_the_lock(scene)?;
    let worker = Worker::gated(scene, "racy")?;
    // The second operation shows a value that was read once and then kept.
    for (before, meanwhile) in [(0, 41), (50, 90)] {
        scene.peer()?.put64(COUNTER, before)?;
        worker.to_the_gate(scene, "")?;
        let seen = object.u64(COUNTER);
        if seen != before {
            return Err(fail("gate-not-between")
                .expected(format!("counter is {before} still while the worker is at the gate"))
                .seen(format!("it is {seen}: the write was before the gate"))
                .into());
        }
        scene.peer()?.put64(COUNTER, meanwhile)?;
        go(scene)?;
        worker.answers(scene, "done")?;
        let seen = object.u64(COUNTER);
        let expected = format!(
            "counter is {} after an operation that read {before}, with {meanwhile} written while it \
             was at the gate",
            before + 1
        );
        if seen == meanwhile + 1 {
            return Err(fail("nothing-is-lost")
                .expected(expected)
                .seen(format!("it is {seen}: what came between was not overwritten"))
                .into());
        }
        if seen != before + 1 {
            return Err(fail("wrong-count")
                .expected(expected)
                .seen(format!("it is {seen}"))
                .into());
        }
    }
    gate_was_called(scene, 2)?;
    lock_is_untouched(scene, "racy")
}

pub(super) fn update_is_lost(scene: &mut Scene) -> Outcome {
    let object = open_shop(scene, 0)?;
    hold_the_lock(scene)?;
    let workers = [Worker::gated(scene, "racy")?, Worker::gated(scene, "racy")?];
    for round in 1..=2 {
        for worker in workers {
            worker.to_the_gate(scene, "")?;
        }
        go(scene)?;
        go(scene)?;
        for worker in workers {
            worker.answers(scene, "done")?;
        }
        let seen = object.u64(COUNTER);
        if seen != round {
            return Err(fail("nothing-is-lost")
                .expected(format!(
                    "counter is {round} after two workers have both read {} and then both written",
                    round - 1
                ))
                .seen(format!("it is {seen}"))
                .into());
        }
    }
    Ok(())
}
