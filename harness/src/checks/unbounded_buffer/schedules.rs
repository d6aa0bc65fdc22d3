//! Publication, growth, a death anywhere, and the end, under every schedule.

use crate::checks::schedules::{every, every_after};
use crate::scene::Scene;
use crate::verdict::Outcome;

const LAB: &str = "unbounded-buffer";

pub(super) fn growing(scene: &mut Scene) -> Outcome {
    every(scene, LAB, &["growing"])
}

pub(super) fn publication(scene: &mut Scene) -> Outcome {
    every(scene, LAB, &["publication"])
}

pub(super) fn replaced(scene: &mut Scene) -> Outcome {
    every(scene, LAB, &["replaced"])
}

pub(super) fn stream(scene: &mut Scene) -> Outcome {
    every_after(scene, LAB, &["publication", "growing"], &["stream", "growing-stream"])
}
