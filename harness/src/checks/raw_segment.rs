//! The checks of the lab raw-segment.

use crate::check::Check;
use crate::checks::common::{create, prefix_is_written};
use crate::diagnosis::fail;
use crate::scene::Scene;
use crate::verdict::Outcome;

/// The table, in the order of the steps and of causes.
pub(super) const CHECKS: &[Check] = &[
    Check {
        step: "object",
        id: "exact-length",
        title: "the object is exactly as long as asked",
        run: exact_length,
    },
    Check { step: "mapping", id: "prefix", title: "the prefix is in the object", run: prefix },
];

fn exact_length(scene: &mut Scene) -> Outcome {
    // No multiple of a page, so that a rounded length shows.
    let object = create(scene, &["10000"])?;
    if object.len() != 10_000 {
        return Err(fail("wrong-length")
            .expected("`create NAME 10000` makes an object of 10000 bytes")
            .seen(format!("it has {} bytes", object.len()))
            .into());
    }
    Ok(())
}

fn prefix(scene: &mut Scene) -> Outcome {
    let object = create(scene, &["10000"])?;
    prefix_is_written(&object, 1, 10_000)
}
