//! Step growth: when the slots run out, the object grows and the producer maps it again.

use crate::checks::common::must_exit;
use crate::checks::unbounded_buffer::stage::{
    PRODUCER, as_long_as, empty, holds, maps_once, messages, messages_lie, produce,
};
use crate::diagnosis::fail;
use crate::object::Object;
use crate::process::Start;
use crate::scene::Scene;
use crate::verdict::Outcome;

pub(super) fn grows(scene: &mut Scene) -> Outcome {
    let object = empty(scene)?;
    let producer = scene.attach(PRODUCER)?;
    let all = messages(0..300);
    let (mut done, mut longest) = (0, object.len());
    // One at a time around the end of the first page, and of the second.
    for next in (58..64).chain(122..128).chain([180, 230, 270, 300]) {
        produce(scene, producer, done as u64, &all[done..next])?;
        done = next;
        longest = no_shorter(&object, longest)?;
        holds(&object, &all[..done], 0, "your producer")?;
    }
    scene.close_stdin(producer);
    // How it ends is the business of another step; the length is that of this one.
    let _ = scene.finish(producer, "ends");
    no_shorter(&object, longest)?;
    messages_lie(&object, &all, "your producer")
}

pub(super) fn one_mapping(scene: &mut Scene) -> Outcome {
    empty(scene)?;
    let producer = scene.attach(PRODUCER)?;
    let all = messages(0..400);
    for (round, some) in all.chunks(80).enumerate() {
        produce(scene, producer, 80 * round as u64, some)?;
        maps_once(scene, producer)?;
    }
    Ok(())
}

pub(super) fn long_at_start(scene: &mut Scene) -> Outcome {
    const LEN: u64 = 64 << 10;
    let all = messages(0..70);
    let object = empty(scene)?;
    scene.peer()?.resize(LEN)?;
    let producer = scene.attach(PRODUCER)?;
    as_long_as(&object, LEN, "a producer that attaches")?;
    for (round, some) in all.chunks(10).enumerate() {
        produce(scene, producer, 10 * round as u64, some)?;
        no_shorter(&object, LEN)?;
        holds(&object, &all[..10 * round + 10], 0, "your producer")?;
    }
    Ok(())
}

pub(super) fn three_thousand(scene: &mut Scene) -> Outcome {
    let all = messages(0..3000);
    let object = empty(scene)?;
    let input = Some(scene.input("in", &all.concat())?);
    let start = Start { input, ..Start::default() };
    let producer = scene.start_with(&[PRODUCER, &["--keep-open"]].concat(), start)?;
    let mut longest = object.len();
    while scene.processes[producer.0].exit().is_none() {
        longest = no_shorter(&object, longest)?;
        if scene.processes[producer.0].cpu_time() > std::time::Duration::from_secs(5) {
            break;
        }
    }
    let ended = scene.finish(producer, "publishes 3000 messages and ends")?;
    no_shorter(&object, longest)?;
    must_exit(&ended, 0, "ends-early", "your producer, given 3000 messages,")?;
    holds(&object, &all, 0, "your producer")
}

/// Requires that the object has not become shorter; returns its length.
fn no_shorter(object: &Object, before: u64) -> Outcome<u64> {
    let len = object.len();
    if len >= before {
        return Ok(len);
    }
    Err(fail("shrinks")
        .expected(format!("the object keeps its {before} bytes, or has more"))
        .seen(format!("it has {len} bytes, and your producer moved last"))
        .into())
}
