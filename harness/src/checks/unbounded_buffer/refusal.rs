//! Step refusal: when the object cannot grow, nothing is half done.

use crate::checks::common::wrong_exit;
use crate::checks::unbounded_buffer::end::state_is;
use crate::checks::unbounded_buffer::stage::{
    CONSUMER, PRODUCER, as_long_as, empty, filled, holds, messages, messages_lie, produce, take,
};
use crate::diagnosis::fail;
use crate::object::Object;
use crate::peer::log::{FIRST_LEN, SLOT, SLOTS, TAIL};
use crate::peer::prefix::READY;
use crate::process::{Exit, Start};
use crate::scene::{Ended, Scene};
use crate::verdict::Outcome;

pub(super) fn first_growth(scene: &mut Scene) -> Outcome {
    let all = messages(0..60);
    let object = empty(scene)?;
    let ended = push_all_with_room_for(scene, FIRST_LEN)?;
    nothing_half_done(&object, &ended, 60)?;
    as_long_as(&object, FIRST_LEN, "a growth that fails")?;
    messages_lie(&object, &all, "your producer")?;
    // What was published still comes out.
    let consumer = scene.attach(CONSUMER)?;
    take(scene, consumer, 0, &all)?;
    as_long_as(&object, FIRST_LEN, "your consumer")
}

pub(super) fn later_growth(scene: &mut Scene) -> Outcome {
    let all = messages(0..2000);
    let object = empty(scene)?;
    let ended = push_all_with_room_for(scene, 40_000)?;
    let told = String::from_utf8_lossy(&ended.output).lines().count() as u64 - 1;
    nothing_half_done(&object, &ended, told)?;
    messages_lie(&object, &all[..told as usize], "your producer")?;
    // A producer that has room goes on.
    let producer = scene.attach(PRODUCER)?;
    produce(scene, producer, 0, &all[told as usize..told as usize + 70])?;
    holds(&object, &all[..told as usize + 70], 0, "your producer")
}

pub(super) fn huge_tail(scene: &mut Scene) -> Outcome {
    const TAIL_BEFORE: u64 = (1 << 32) + 3;
    let object = filled(scene, &messages(0..3), 0)?;
    scene.peer()?.put64(TAIL, TAIL_BEFORE)?;
    let before = object.read(SLOTS, (FIRST_LEN - SLOTS) as usize);
    // No program of the labs may make a file so long.
    let producer = scene.attach(PRODUCER)?;
    scene.send(producer, b"needs 256 GiB\n");
    scene.close_stdin(producer);
    let ended = scene.finish(producer, "cannot make room, and ends")?;
    if object.read(SLOTS, before.len()) != before {
        return Err(fail("wrong-tail")
            .expected(format!(
                "with tail {TAIL_BEFORE} the message belongs 256 GiB into the object"
            ))
            .seen("your producer has put it among the first sixty slots")
            .into());
    }
    nothing_half_done(&object, &ended, TAIL_BEFORE)
}

/// Runs the producer with more messages than fit into an object of `len` bytes, which is the
/// longest it can make.
fn push_all_with_room_for(scene: &mut Scene, len: u64) -> Outcome<Ended> {
    let input = Some(scene.input("in", &messages(0..2000).concat())?);
    let start = Start { input, largest_file: Some(len), ..Start::default() };
    let producer = scene.start_with(&[PRODUCER, &["--step"]].concat(), start)?;
    scene.finish(producer, "says that the object cannot grow, and ends")
}

/// Requires exit code 20, that tail counts what it counted before the failure, and an open buffer.
fn nothing_half_done(object: &Object, ended: &Ended, tail: u64) -> Outcome {
    let seen = object.u64(TAIL);
    if seen != tail {
        return Err(fail("half-done")
            .expected(format!("tail stays {tail} when the object cannot grow"))
            .seen(format!("it is {seen}, and your producer {}", ended.exit.told()))
            .into());
    }
    let (len, needed) = (object.len(), SLOTS + tail.min(1 << 20) * SLOT);
    if tail < 1 << 20 && len < needed {
        return Err(fail("shrinks")
            .expected(format!("the object keeps the {needed} bytes of its messages"))
            .seen(format!("it has {len} bytes"))
            .into());
    }
    if ended.exit == Exit::Code(20) {
        return state_is(object, READY, "when the object cannot grow", "closes-too-soon");
    }
    let wanted = "exits with 20 (an error of the operating system)";
    Err(wrong_exit(ended, wanted, "failure-not-told", "a producer whose object cannot grow"))
}
