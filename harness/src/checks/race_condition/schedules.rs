//! The repairs by a lock, under every schedule.

use crate::checks::schedules::every;
use crate::scene::Scene;
use crate::verdict::Outcome;

pub(super) fn mutex(scene: &mut Scene) -> Outcome {
    every(scene, super::LAB, &["mutex"])
}

pub(super) fn record(scene: &mut Scene) -> Outcome {
    every(scene, super::LAB, &["record", "two-writers"])
}
