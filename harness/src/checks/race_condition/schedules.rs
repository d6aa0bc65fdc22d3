//! Every way to repair the race, under every schedule.

use crate::checks::schedules::every;
use crate::scene::Scene;
use crate::verdict::Outcome;

const LAB: &str = "race-condition";

pub(super) fn mutex(scene: &mut Scene) -> Outcome {
    every(scene, LAB, "mutex")
}

pub(super) fn record(scene: &mut Scene) -> Outcome {
    every(scene, LAB, "record")
}

pub(super) fn atomic(scene: &mut Scene) -> Outcome {
    every(scene, LAB, "atomic")
}

pub(super) fn sell(scene: &mut Scene) -> Outcome {
    every(scene, LAB, "sell")?;
    every(scene, LAB, "sell-both")
}

pub(super) fn shards(scene: &mut Scene) -> Outcome {
    every(scene, LAB, "shards")
}
