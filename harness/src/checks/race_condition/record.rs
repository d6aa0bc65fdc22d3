//! Steps torn-record and whole-record: two words that belong together, read and written without the
//! lock and with it.

use super::locked::{comes_back_when_the_gate_fails, is_inside, must_not_have_arrived, must_wait};
use super::stage::{
    Worker, gate_was_called, go, hold_the_lock, lock_is_free, lock_is_untouched, open_shop,
    release_the_lock, rounds, takes_over,
};
use crate::checks::common::must_exit;
use crate::diagnosis::fail;
use crate::object::Object;
use crate::peer::shop::{LEFT, RIGHT};
use crate::process::Start;
use crate::scene::{NAME, Scene, shown};
use crate::verdict::Outcome;

pub(super) fn racy_alone(scene: &mut Scene) -> Outcome {
    alone(scene, "write-racy", "read-racy")?;
    let input = scene.input("no-number", b"seven\n")?;
    let start = Start { input: Some(input), ..Start::default() };
    let ended = scene.run_with(&["worker", NAME, "write-racy"], start)?;
    must_exit(&ended, 18, "wrong-exit", "a writer with a line that is no number")
}

pub(super) fn locked_alone(scene: &mut Scene) -> Outcome {
    alone(scene, "write", "read")
}

/// One writer, then one reader, each with several operations and nobody else there.
fn alone(scene: &mut Scene, write: &'static str, read: &'static str) -> Outcome {
    let object = open_shop(scene, 0)?;
    let writer = Worker::free(scene, write)?;
    for value in [7, u64::MAX, 8] {
        writer.does(scene, &value.to_string(), &format!("wrote {value}"))?;
        holds(&object, (value, value), &format!("after `{value}` was written"))?;
        lock_is_free(scene)?;
    }
    let reader = Worker::free(scene, read)?;
    for (left, right) in [(8, 8), (3, 5)] {
        scene.peer()?.put64(LEFT, left)?;
        scene.peer()?.put64(RIGHT, right)?;
        reads(scene, reader, (left, right), "what is in the words")?;
        lock_is_free(scene)?;
    }
    writer.ends(scene)?;
    reader.ends(scene)
}

pub(super) fn torn_by_the_writer(scene: &mut Scene) -> Outcome {
    let object = open_shop(scene, 0)?;
    hold_the_lock(scene)?;
    let writer = Worker::gated(scene, "write-racy")?;
    let reader = Worker::free(scene, "read-racy")?;
    for (old, new) in [(0, 7), (7, 9)] {
        writer.to_the_gate(scene, &new.to_string())?;
        half_written(&object, old, new)?;
        reads(scene, reader, (new, old), "the new left and the old right")?;
        go(scene)?;
        writer.answers(scene, &format!("wrote {new}"))?;
        holds(&object, (new, new), "when the writer is done")?;
    }
    // What is there already is written all the same.
    writer.to_the_gate(scene, "9")?;
    half_written(&object, 9, 9)?;
    go(scene)?;
    writer.answers(scene, "wrote 9")?;
    // Another writer passes while this one is at the gate.
    writer.to_the_gate(scene, "4")?;
    for word in [LEFT, RIGHT] {
        scene.peer()?.put64(word, 5)?;
    }
    go(scene)?;
    writer.answers(scene, "wrote 4")?;
    holds(&object, (5, 4), "when a writer of 5 has passed a writer of 4 at the gate")?;
    gate_was_called(scene, 4)?;
    lock_is_untouched(scene, "write-racy")
}

pub(super) fn torn_by_the_reader(scene: &mut Scene) -> Outcome {
    open_shop(scene, 0)?;
    hold_the_lock(scene)?;
    let reader = Worker::gated(scene, "read-racy")?;
    let writer = Worker::free(scene, "write-racy")?;
    for (old, new) in [(0, 7), (7, 9)] {
        reader.to_the_gate(scene, "")?;
        writer.does(scene, &new.to_string(), &format!("wrote {new}"))?;
        go(scene)?;
        let line = reader.finishes(scene)?;
        is_torn(&line, old, new)?;
    }
    gate_was_called(scene, 2)?;
    lock_is_untouched(scene, "read-racy")
}

pub(super) fn reader_waits(scene: &mut Scene) -> Outcome {
    rounds(scene, reader_after_writer)
}

fn reader_after_writer(scene: &mut Scene) -> Outcome {
    let object = open_shop(scene, 0)?;
    let writer = Worker::gated(scene, "write")?;
    let reader = Worker::free(scene, "read")?;
    writer.to_the_gate(scene, "7")?;
    is_inside(scene, "write")?;
    half_written(&object, 0, 7)?;
    let event = reader.begin(scene, "");
    must_wait(scene, reader, event)?;
    takes_over(scene, reader, writer);
    go(scene)?;
    // First who was let through: whoever waits for it cannot say what keeps it inside.
    writer.answers(scene, "wrote 7")?;
    let line = reader.finishes(scene)?;
    is_whole(&line, 7, "a reader that waited for the writer")?;
    holds(&object, (7, 7), "when the writer is done")?;
    gate_was_called(scene, 1)?;
    lock_is_free(scene)
}

pub(super) fn writer_waits(scene: &mut Scene) -> Outcome {
    rounds(scene, writer_after_reader)
}

fn writer_after_reader(scene: &mut Scene) -> Outcome {
    let object = open_shop(scene, 0)?;
    let reader = Worker::gated(scene, "read")?;
    let writer = Worker::free(scene, "write")?;
    reader.to_the_gate(scene, "")?;
    is_inside(scene, "read")?;
    let event = writer.begin(scene, "7");
    must_wait(scene, writer, event)?;
    nothing_written(&object, (0, 0))?;
    takes_over(scene, writer, reader);
    go(scene)?;
    let line = reader.finishes(scene)?;
    writer.answers(scene, "wrote 7")?;
    is_whole(&line, 0, "a reader for which the writer waited")?;
    holds(&object, (7, 7), "when the writer is done")?;
    gate_was_called(scene, 1)?;
    lock_is_free(scene)
}

pub(super) fn both_words_inside(scene: &mut Scene) -> Outcome {
    let object = open_shop(scene, 0)?;
    for mode in ["write", "read"] {
        hold_the_lock(scene)?;
        let worker = Worker::free(scene, mode)?;
        let event = worker.begin(scene, "7");
        must_wait(scene, worker, event)?;
        must_not_have_arrived(scene)?;
        if mode == "write" {
            nothing_written(&object, (0, 0))?;
        }
        scene.peer()?.put64(LEFT, 5)?;
        scene.peer()?.put64(RIGHT, 5)?;
        release_the_lock(scene)?;
        if mode == "write" {
            worker.answers(scene, "wrote 7")?;
            holds(&object, (7, 7), "when the writer is done")?;
        } else {
            let line = worker.finishes(scene)?;
            is_whole(&line, 5, "a reader that waited while the record changed")?;
        }
        lock_is_free(scene)?;
    }
    Ok(())
}

/// Our process writes past the lock in which a reader stands at the gate: that shows which word it
/// has read.
pub(super) fn reads_in_order(scene: &mut Scene) -> Outcome {
    open_shop(scene, 0)?;
    let reader = Worker::gated(scene, "read")?;
    for (old, new) in [(0, 7), (7, 9)] {
        reader.to_the_gate(scene, "")?;
        for word in [LEFT, RIGHT] {
            scene.peer()?.put64(word, new)?;
        }
        go(scene)?;
        let line = reader.finishes(scene)?;
        is_torn(&line, old, new)?;
    }
    gate_was_called(scene, 2)?;
    lock_is_free(scene)
}

pub(super) fn lock_comes_back(scene: &mut Scene) -> Outcome {
    for mode in ["write", "read"] {
        comes_back_when_the_gate_fails(scene, mode)?;
        scene.renew();
    }
    Ok(())
}

/// Requires these two words in the segment.
fn holds(object: &Object, wanted: (u64, u64), when: &str) -> Outcome {
    let seen = (object.u64(LEFT), object.u64(RIGHT));
    if seen == wanted {
        return Ok(());
    }
    Err(fail("wrong-record")
        .expected(format!("left and right are {} and {} {when}", wanted.0, wanted.1))
        .seen(format!("they are {} and {}", seen.0, seen.1))
        .into())
}

/// Requires this answer of a reader for which the gate stands open.
fn reads(scene: &mut Scene, reader: Worker, wanted: (u64, u64), what: &str) -> Outcome {
    scene.send(reader.actor, b"\n");
    let line = reader.finishes(scene)?;
    if line == format!("read {} {}", wanted.0, wanted.1) {
        return Ok(());
    }
    Err(fail("wrong-record")
        .expected(format!("a reader prints `read {} {}`, {what}", wanted.0, wanted.1))
        .seen(format!("it prints `{}`", shown(&line)))
        .into())
}

/// Requires that a writer at the gate has written the first word and not the second.
fn half_written(object: &Object, old: u64, new: u64) -> Outcome {
    let seen = (object.u64(LEFT), object.u64(RIGHT));
    let code = match seen {
        seen if seen == (new, old) => return Ok(()),
        seen if seen == (old, new) => "wrong-order",
        _ => "gate-not-between",
    };
    Err(fail(code)
        .expected(format!("left is {new} and right is {old} while the writer is at the gate"))
        .seen(format!("they are {} and {}", seen.0, seen.1))
        .into())
}

/// Requires that a writer which waits for the lock has not begun.
fn nothing_written(object: &Object, old: (u64, u64)) -> Outcome {
    let seen = (object.u64(LEFT), object.u64(RIGHT));
    if seen == old {
        return Ok(());
    }
    Err(fail("outside-the-lock")
        .expected("a writer that waits for the lock has written nothing")
        .seen(format!("left and right are {} and {} by now", seen.0, seen.1))
        .into())
}

/// Requires one word of before and one of after from a reader that was at the gate meanwhile.
fn is_torn(line: &str, old: u64, new: u64) -> Outcome {
    let code = match line {
        line if line == format!("read {old} {new}") => return Ok(()),
        line if line == format!("read {new} {old}") => "wrong-order",
        line if line == format!("read {old} {old}") => "gate-not-between",
        line if line == format!("read {new} {new}") => "gate-not-between",
        _ => "wrong-record",
    };
    Err(fail(code)
        .expected(format!("`read {old} {new}` from a reader that was at the gate meanwhile"))
        .seen(format!("it prints `{}`", shown(line)))
        .into())
}

/// Requires a reader's answer to be this number twice.
fn is_whole(line: &str, wanted: u64, who: &str) -> Outcome {
    if line == format!("read {wanted} {wanted}") {
        return Ok(());
    }
    Err(fail("outside-the-lock")
        .expected(format!("`read {wanted} {wanted}` from {who}"))
        .seen(format!("it prints `{}`", shown(line)))
        .into())
}
