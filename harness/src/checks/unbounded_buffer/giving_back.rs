//! Step giving-back: consumed messages give their memory back.

use crate::checks::common::must_exit;
use crate::checks::unbounded_buffer::end::{came_out, publishes, stream};
use crate::checks::unbounded_buffer::stage::{
    CONSUMER, PRODUCER, as_long_as, empty, filled, messages, produce, take,
};
use crate::diagnosis::fail;
use crate::object::Object;
use crate::peer::log::{self, HEAD, SLOTS, TAIL, slot};
use crate::peer::prefix;
use crate::process::Start;
use crate::scene::Scene;
use crate::verdict::{Outcome, Stop};

/// The rule, and a page on either side: the first one has `head` and `tail` in it, the last one
/// holds messages that nobody has taken.
const MOST: u64 = (64 << 10) + 2 * 4096;

/// Enough to fill the allowance several times.
const MESSAGES: u64 = 4000;

pub(super) fn gives_back(scene: &mut Scene) -> Outcome {
    let all = messages(0..MESSAGES);
    let object = filled(scene, &all, 0)?;
    let len = object.len();
    let consumer = scene.attach(&[CONSUMER, &["--give-back"]].concat())?;
    let mut done = 0;
    for batch in [1, 62, 200, 237, 500, 1000, 1000, 999, 1] {
        let next = done + batch;
        let taken = take(scene, consumer, done, &all[done as usize..next as usize]);
        // Without its header a buffer explains all the rest.
        header_is_there(&object)?;
        taken?;
        done = next;
        as_long_as(&object, len, "your consumer")?;
        rest_is_there(&object, &all, done)?;
        little_memory(&object)?;
    }
    Ok(())
}

pub(super) fn after_another(scene: &mut Scene) -> Outcome {
    const TAKEN: u64 = 2000;
    let all = messages(0..MESSAGES);
    let object = filled(scene, &all, 0)?;
    scene.peer()?.put64(HEAD, TAKEN)?;
    let len = object.len();
    let consumer = scene.attach(&[CONSUMER, &["--give-back"]].concat())?;
    // More than the allowance further, so that whoever gives back in large pieces has done it.
    let next = TAKEN + 1200;
    take(scene, consumer, TAKEN, &all[TAKEN as usize..next as usize])?;
    as_long_as(&object, len, "your consumer")?;
    rest_is_there(&object, &all, next)?;
    little_memory(&object)
}

pub(super) fn stays_given_back(scene: &mut Scene) -> Outcome {
    grows_without_filling(scene)?;
    scene.renew();
    whole_stream(scene)
}

/// A growth that reserves the memory of the whole object takes again what the consumer gave back.
fn grows_without_filling(scene: &mut Scene) -> Outcome {
    const TAKEN: usize = 3900;
    /// What a growth may occupy beside what it adds, such as a last page that was half a page.
    const SOME: u64 = 32 << 10;
    let all = messages(0..MESSAGES);
    let object = filled(scene, &all, slot(MESSAGES))?;
    // Where the kernel rounds memory up to more than a page, the sum tells nothing.
    if object.occupied() > object.len().next_multiple_of(4096) {
        scene.remark("objects occupy more than their length here, so holes that fill are not seen");
        return Ok(());
    }
    let consumer = scene.attach(&[CONSUMER, &["--give-back"]].concat())?;
    take(scene, consumer, 0, &all[..TAKEN])?;
    little_memory(&object)?;
    let (len, occupied) = (object.len(), object.occupied());
    let producer = scene.attach(PRODUCER)?;
    // The object is full, so the first of them makes it longer.
    produce(scene, producer, 0, &messages(MESSAGES..MESSAGES + 2))?;
    rest_is_there(&object, &messages(0..MESSAGES + 2), TAKEN as u64)?;
    let added = object.len().saturating_sub(len);
    let more = object.occupied().saturating_sub(occupied);
    if more <= added + SOME {
        return Ok(());
    }
    Err(fail("fills-the-holes")
        .expected("a growth occupies no more memory than it makes the object longer")
        .seen(format!(
            "the object became {} KiB longer, and occupies {} KiB more",
            added >> 10,
            more >> 10
        ))
        .into())
}

/// Both programs at full speed, and the object growing.
fn whole_stream(scene: &mut Scene) -> Outcome {
    let bytes = stream();
    let object = empty(scene)?;
    let output = Some(scene.output("out")?);
    let start = Start { output, ..Start::default() };
    let consumer = scene.start_with(&[CONSUMER, &["--give-back"]].concat(), start)?;
    publishes(scene, &bytes)?;
    let len = object.len();
    let ended = scene.finish(consumer, "writes what was published and ends")?;
    must_exit(&ended, 0, "ends-early", "your consumer of a whole stream")?;
    came_out(&std::fs::read(scene.file("out"))?, &bytes)?;
    as_long_as(&object, len, "your consumer")?;
    little_memory(&object)
}

/// Requires that what is not a consumed slot was left alone.
fn rest_is_there(object: &Object, all: &[Vec<u8>], done: u64) -> Outcome {
    header_is_there(object)?;
    // The slots that were given back read as zero, so the messages are looked at apart.
    let unread = object.read(slot(done), all.len() * 64 - (done * 64) as usize);
    if unread != log::slots(&all[done as usize..]) {
        return Err(fail("punches-too-much")
            .expected(format!("messages {done} and later are as they were published"))
            .seen("they are not, and nobody has read them yet")
            .into());
    }
    let fields = (object.u64(TAIL), object.u64(HEAD));
    if fields != (all.len() as u64, done) {
        return Err(fail("wrong-head")
            .expected(format!("tail is {} and head is {done}", all.len()))
            .seen(format!("tail is {} and head is {}", fields.0, fields.1))
            .into());
    }
    Ok(())
}

fn header_is_there(object: &Object) -> Outcome {
    if object.u64(prefix::MAGIC) != 0 {
        return Ok(());
    }
    Err(fail("punches-too-much")
        .expected("prefix, tail and head stay as they are")
        .seen("the prefix reads as zero: the first page was given back")
        .into())
}

fn little_memory(object: &Object) -> Outcome {
    let end = slot(object.u64(HEAD)).min(object.len());
    let occupied = object
        .memory_within(SLOTS, end)
        .map_err(|error| Stop::NotChecked(format!("holes cannot be seen here: {error}")))?;
    if occupied <= MOST {
        return Ok(());
    }
    Err(fail("keeps-memory")
        .expected("at most 64 KiB of consumed slots occupy memory")
        .seen(format!("of {} consumed bytes {} KiB still do", end - SLOTS, occupied >> 10))
        .into())
}
