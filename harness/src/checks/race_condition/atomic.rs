//! Step atomic: an addition with no place between its read and its write.

use super::stage::{
    MANY, Worker, adds_alone, crowd_counts, hold_the_lock, lock_is_untouched, open_shop, sleeps_on,
};
use crate::checks::schedules::{either, every};
use crate::diagnosis::fail;
use crate::indivisible::Change;
use crate::peer::shop::{COUNTER, GO};
use crate::scene::Scene;
use crate::verdict::{Outcome, Stop};
use crate::watch::Event;

pub(super) fn adds_one(scene: &mut Scene) -> Outcome {
    let object = open_shop(scene, 0)?;
    adds_alone(scene, &object, &[], "atomic", (COUNTER, "counter"))
}

pub(super) fn takes_no_lock(scene: &mut Scene) -> Outcome {
    open_shop(scene, 0)?;
    goes_on(scene, "atomic")
}

/// A mode that has neither lock nor gate goes on while another holds the lock and the gate is closed.
pub(super) fn goes_on(scene: &mut Scene, mode: &'static str) -> Outcome {
    hold_the_lock(scene)?;
    let worker = Worker::gated(scene, mode)?;
    for _ in 0..2 {
        match worker.begin(scene, "") {
            Event::Line(line) if line == "done" => {}
            event if sleeps_on(&event, GO) => {
                return Err(fail("gate-not-wanted")
                    .expected(format!(
                        "the mode `{mode}` has no gate, so `--gate` does not stop it"
                    ))
                    .seen("your worker is at the gate")
                    .into());
            }
            event => return Err(worker.stuck(scene, "prints `done`", event)),
        }
    }
    worker.ends(scene)?;
    lock_is_untouched(scene, mode)
}

/// No run shows it on every machine: two steps lose one addition in millions. The compiler's
/// intermediate code shows it in every run.
pub(super) fn is_one_operation(scene: &mut Scene) -> Outcome {
    either(is_compiled_to_one_operation(scene), || every(scene, super::LAB, &["atomic"]))
}

fn is_compiled_to_one_operation(scene: &Scene) -> Outcome {
    // The counter is the first word of the shop, which `add_atomic` is handed.
    let undecided = "the compiler's output does not show how the counter is written";
    let function = scene.bench().orderings()?.functions.reached_from("add_atomic");
    let function = function.ok_or_else(|| Stop::NotChecked(undecided.to_owned()))?;
    if function.changes(0, &[Change::Add, Change::Exchange, Change::Retry]) {
        return Ok(());
    }
    let known = function.is_known();
    if known && function.changes(0, &[Change::Once]) {
        return Err(fail("tries-once")
            .expected("an addition that is tried until it succeeds")
            .seen("`add_atomic` has one compare_exchange and no way back to it")
            .into());
    }
    if known && function.changes(0, &[Change::Store]) {
        return Err(fail("two-steps")
            .expected("one operation that reads, adds and writes")
            .seen("`add_atomic` loads the counter and writes it back in a second operation")
            .into());
    }
    Err(Stop::NotChecked(undecided.to_owned()))
}

pub(super) fn crowd(scene: &mut Scene) -> Outcome {
    crowd_counts(scene, "atomic", MANY)
}
