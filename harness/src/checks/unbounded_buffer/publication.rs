//! Step publication: who sees tail grow sees the whole message.

use std::sync::atomic::{Ordering, fence};

use crate::checks::common::must_exit;
use crate::checks::unbounded_buffer::stage::{
    CONSUMER, PRODUCER, empty, filled, long_enough, messages, messages_lie,
};
use crate::diagnosis::fail;
use crate::object::Object;
use crate::orderings::{Finding, Strength};
use crate::peer::log::{SLOT, TAIL, slot};
use crate::process::Start;
use crate::scene::Scene;
use crate::verdict::{Outcome, Stop};
use crate::watch::Event;

pub(super) fn whole_when_counted(scene: &mut Scene) -> Outcome {
    let all = messages(0..4000);
    let object = empty(scene)?;
    let input = Some(scene.input("in", &all.concat())?);
    let start = Start { input, ..Start::default() };
    let producer = scene.start_with(&[PRODUCER, &["--keep-open"]].concat(), start)?;
    let mut seen = 0;
    while scene.processes[producer.0].exit().is_none() {
        seen = look(&object, seen, &all)?;
        if scene.processes[producer.0].cpu_time() > std::time::Duration::from_secs(5) {
            break;
        }
    }
    let ended = scene.finish(producer, "publishes 4000 messages and ends")?;
    must_exit(&ended, 0, "ends-early", "your producer, given 4000 messages,")?;
    long_enough(&object, "your producer")?;
    messages_lie(&object, &all, "your producer")
}

/// One look as a consumer has it: tail, and then what it counts and we have not seen before.
fn look(object: &Object, seen: u64, all: &[Vec<u8>]) -> Outcome<u64> {
    let tail = object.u64(TAIL).min(all.len() as u64);
    fence(Ordering::SeqCst);
    if tail <= seen {
        return Ok(seen);
    }
    long_enough(object, "your producer")?;
    let bytes = object.read(slot(seen), ((tail - seen) * SLOT) as usize);
    for (index, slot) in (seen..tail).zip(bytes.chunks(SLOT as usize)) {
        let message = &all[index as usize];
        let whole = slot.len() == SLOT as usize
            && slot[..8] == (message.len() as u64).to_le_bytes()
            && slot[8..].starts_with(message);
        if !whole {
            return Err(fail("counts-before-it-is-there")
                .expected("every message that tail counts is whole in its slot")
                .seen("tail counted a message, and its slot did not hold it yet")
                .into());
        }
    }
    Ok(tail)
}

pub(super) fn release(scene: &mut Scene) -> Outcome {
    match scene.bench().orderings()?.release_at(TAIL) {
        Finding::Ordered => Ok(()),
        Finding::TooWeak(strength) => Err(fail("publishes-relaxed")
            .expected("tail is stored with Release, or ordered in another way")
            .seen(format!("every store to it is {}", named(strength)))
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
        Finding::TooWeak(strength) => Err(fail("reads-relaxed")
            .expected("tail is loaded with Acquire, or ordered in another way")
            .seen(format!("every load of it is {}", named(strength)))
            .into()),
        Finding::Undecided => Err(undecided("loads of tail")),
    }
}

/// The strength of an access in a message.
pub(super) fn named(strength: Strength) -> &'static str {
    match strength {
        Strength::Plain => "a plain access, not even an atomic one",
        Strength::Relaxed => "Relaxed",
        Strength::Ordered => "ordered",
    }
}

/// Nothing in the compiler's output could be placed.
fn undecided(what: &str) -> Stop {
    Stop::NotChecked(format!("the {what} could not be found in the compiler's output"))
}
