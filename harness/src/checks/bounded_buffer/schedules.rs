//! The creator, exclusion, blocking, the end, and a death anywhere, under every schedule.

use crate::checks::schedules::every;
use crate::scene::Scene;
use crate::verdict::Outcome;

const LAB: &str = "bounded-buffer";

pub(super) fn create_killed(scene: &mut Scene) -> Outcome {
    every(scene, LAB, &["create-killed"])
}

pub(super) fn exclusion(scene: &mut Scene) -> Outcome {
    every(scene, LAB, &["two-producers", "two-consumers", "one-slot-for-two"])
}

pub(super) fn end(scene: &mut Scene) -> Outcome {
    every(scene, LAB, &["hand-to-hand", "two-ends"])
}

pub(super) fn deaths(scene: &mut Scene) -> Outcome {
    every(scene, LAB, &["create-robust-killed", "producer-killed", "consumer-killed"])
}
