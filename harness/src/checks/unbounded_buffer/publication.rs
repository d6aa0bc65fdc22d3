//! Step publication: who sees tail grow sees the whole message.

use crate::checks::unbounded_buffer::stage::{CONSUMER, filled, messages};
use crate::diagnosis::fail;
use crate::orderings::Finding;
use crate::peer::log::TAIL;
use crate::scene::Scene;
use crate::verdict::{Outcome, Stop};
use crate::watch::Event;

pub(super) fn release(scene: &mut Scene) -> Outcome {
    match scene.bench().orderings()?.release_at(TAIL) {
        Finding::Ordered => Ok(()),
        Finding::TooWeak => Err(fail("publishes-relaxed")
            .expected("tail is stored with Release, or ordered in another way")
            .seen("every store to it is Relaxed")
            .into()),
        Finding::Undecided => Err(undecided("stores to tail")),
    }
}

pub(super) fn acquire(scene: &mut Scene) -> Outcome {
    // A consumer that takes nothing yet loads nothing: then this is not begun.
    filled(scene, &messages(0..1), 0)?;
    let consumer = scene.attach(CONSUMER)?;
    scene.send(consumer, b"\n");
    if let event @ Event::Ended(_) = scene.event(consumer)
        && let stop @ Stop::NotStarted(_) = scene.explain(consumer, "takes a message", event)
    {
        return Err(stop);
    }
    match scene.bench().orderings()?.acquire_at(TAIL) {
        Finding::Ordered => Ok(()),
        Finding::TooWeak => Err(fail("reads-relaxed")
            .expected("tail is loaded with Acquire, or ordered in another way")
            .seen("every load of it is Relaxed")
            .into()),
        Finding::Undecided => Err(undecided("loads of tail")),
    }
}

/// Nothing in the compiler's output could be placed.
fn undecided(what: &str) -> Stop {
    Stop::NotChecked(format!("the {what} could not be found in the compiler's output"))
}
