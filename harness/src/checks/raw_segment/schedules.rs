//! The hand-over and one string, under every schedule.

use crate::checks::schedules::{every, every_after};
use crate::scene::Scene;
use crate::verdict::Outcome;

const LAB: &str = "raw-segment";

pub(super) fn create_killed(scene: &mut Scene) -> Outcome {
    every(scene, LAB, &["create-killed"])
}

pub(super) fn hand_over(scene: &mut Scene) -> Outcome {
    every_after(scene, LAB, &["create-killed"], &["hand-over"])
}

pub(super) fn one_string(scene: &mut Scene) -> Outcome {
    every(scene, LAB, &["one-string"])
}

pub(super) fn replaced(scene: &mut Scene) -> Outcome {
    every(scene, LAB, &["replaced"])
}
