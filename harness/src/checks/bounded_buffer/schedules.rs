//! Exclusion, blocking, the end, and a death anywhere, under every schedule.

use crate::checks::schedules::every;
use crate::scene::Scene;
use crate::verdict::Outcome;

const LAB: &str = "bounded-buffer";

pub(super) fn two_producers(scene: &mut Scene) -> Outcome {
    every(scene, LAB, "two-producers")
}

pub(super) fn two_consumers(scene: &mut Scene) -> Outcome {
    every(scene, LAB, "two-consumers")
}

pub(super) fn hand_to_hand(scene: &mut Scene) -> Outcome {
    every(scene, LAB, "hand-to-hand")
}

pub(super) fn two_ends(scene: &mut Scene) -> Outcome {
    every(scene, LAB, "two-ends")
}

pub(super) fn producer_killed(scene: &mut Scene) -> Outcome {
    every(scene, LAB, "producer-killed")
}

pub(super) fn consumer_killed(scene: &mut Scene) -> Outcome {
    every(scene, LAB, "consumer-killed")
}
