//! Step end: the close, the end token, and what happens to it.

use crate::checks::common::must_exit;
use crate::diagnosis::fail;
use crate::peer::prefix;
use crate::peer::ring::{self, FULL, Shape};
use crate::scene::{NAME, Scene, shown};
use crate::verdict::Outcome;

use super::stage::{
    Rest, consume, consumer, ends, message, printed, produce, rests, ring, settle, sleeps_on,
};

pub(super) fn says_it(scene: &mut Scene) -> Outcome {
    let shape = Shape::plain(4);
    ring(scene, shape)?;
    for number in 0..2 {
        ring::push(scene.peer()?, &message(number))?;
    }
    let ended = scene.run(&["close", NAME])?;
    must_exit(&ended, 0, "close-fails", "`close`")?;
    closed(scene, "`close`")?;
    token_is_there(scene, 2, "`close`")?;
    rests(scene, &Rest::closed(shape, 0, 2), "after `close` of a buffer with two messages")?;
    // Once more, for those who sleep past a token that got lost.
    let ended = scene.run(&["close", NAME])?;
    must_exit(&ended, 0, "close-fails", "a second `close`")?;
    let full = scene.peer()?.sem_value(FULL)?;
    if full == 4 {
        return Ok(());
    }
    Err(fail("close-without-a-token")
        .expected("every `close` posts `full` once: 2 messages and 2 tokens make 4")
        .seen(format!("`full` is {full} after a second `close`"))
        .into())
}

fn closed(scene: &Scene, who: &str) -> Outcome {
    let state = scene.object()?.u32(prefix::STATE);
    if state == prefix::CLOSED {
        return Ok(());
    }
    Err(fail("close-does-not-say-it")
        .expected(format!("{who} stores CLOSED (2) in `state`"))
        .seen(format!("`state` is {state}"))
        .into())
}

fn token_is_there(scene: &mut Scene, messages: i32, who: &str) -> Outcome {
    let full = scene.peer()?.sem_value(FULL)?;
    if full > messages {
        return Ok(());
    }
    Err(fail("close-without-a-token")
        .expected(format!(
            "{who} posts `full` once: {messages} messages and the end token make {}",
            messages + 1
        ))
        .seen(format!("`full` is {full}"))
        .into())
}

/// A producer of theirs at the end of its input, with and without --keep-open.
pub(super) fn end_of_input(scene: &mut Scene) -> Outcome {
    let shape = Shape::plain(4);
    for keep_open in [true, false] {
        ring(scene, shape)?;
        let option: &[&str] = if keep_open { &["--keep-open"] } else { &[] };
        let arguments: Vec<&str> = ["producer", NAME].iter().chain(option).copied().collect();
        let producer = scene.attach(&arguments)?;
        produce(scene, producer, 1, &message(0))?;
        scene.close_stdin(producer);
        let ended = scene.finish(producer, "ends at the end of its input")?;
        must_exit(&ended, 0, "fails-at-the-end", "a producer at the end of its input")?;
        if keep_open {
            let when = "after a producer with --keep-open has ended";
            rests(scene, &Rest::open(shape, 0, 1), when)?;
        } else {
            closed(scene, "a producer at the end of its input")?;
            token_is_there(scene, 1, "a producer at the end of its input")?;
            let when = "after a producer has closed the buffer";
            rests(scene, &Rest::closed(shape, 0, 1), when)?;
        }
        scene.renew();
    }
    Ok(())
}

/// What is in the buffer at our close comes out, and then the end.
pub(super) fn delivers(scene: &mut Scene) -> Outcome {
    let shape = Shape::plain(4);
    ring(scene, shape)?;
    let consumer = consumer(scene)?;
    for number in 0..3 {
        ring::push(scene.peer()?, &message(number))?;
    }
    ring::close(scene.peer()?)?;
    for number in 0..3 {
        scene.send(consumer, b"\n");
        match scene.line(consumer, "takes a message that was there at the close")? {
            line if line == "end" => {
                return Err(fail("loses-the-rest-at-the-end")
                    .expected("the 3 messages in the buffer at the close come out before the end")
                    .seen(format!("your consumer prints `end` after {number} of them"))
                    .into());
            }
            line if line == printed(&message(number)) => {
                settle(scene, consumer, "has taken its message")?;
            }
            line => {
                return Err(fail("another-message")
                    .expected(format!("message {number} after the close"))
                    .seen(format!("your consumer prints `{line}`"))
                    .into());
            }
        }
    }
    scene.send(consumer, b"\n");
    ends(scene, consumer, "when the closed buffer is empty", "sleeps-past-the-end")?;
    token_goes_on(scene, shape, 3, "after the end")?;
    scene.renew();
    delivers_with_the_last_permit(scene)
}

/// Two of ours have the other permits in hand: none is left in `full`, and both messages are there.
fn delivers_with_the_last_permit(scene: &mut Scene) -> Outcome {
    ring(scene, Shape::plain(4))?;
    for number in 0..2 {
        ring::push(scene.peer()?, &message(number))?;
    }
    ring::close(scene.peer()?)?;
    for _consumer in 0..2 {
        scene.peer()?.sem_wait(FULL)?;
    }
    let consumer = consumer(scene)?;
    scene.send(consumer, b"\n");
    match scene.line(consumer, "takes a message that was there at the close")? {
        line if line == printed(&message(0)) => settle(scene, consumer, "has taken its message"),
        line => Err(fail("goes-by-the-permits")
            .expected(format!(
                "`{}`: two consumers of ours have a permit each and are not inside yet, and the 2 \
                 messages in the closed buffer are there still",
                printed(&message(0))
            ))
            .seen(format!("your consumer prints `{}`", shown(&line)))
            .into()),
    }
}

/// After somebody has been told the end: the token is in `full` again, and not in `empty`.
fn token_goes_on(scene: &mut Scene, shape: Shape, messages: u64, when: &str) -> Outcome {
    let (empty, full, _) = ring::values(scene.peer()?)?;
    let capacity = shape.capacity as i32;
    if empty > capacity {
        return Err(fail("token-becomes-a-slot")
            .expected(format!("{when} `empty` is the capacity, {capacity}, and `full` is 1"))
            .seen(format!("`empty` is {empty} and `full` is {full}"))
            .into());
    }
    if full == 0 {
        return Err(fail("end-token-kept")
            .expected(format!("{when} `full` is 1: the end token, for the next consumer"))
            .seen("`full` is 0")
            .into());
    }
    rests(scene, &Rest::closed(shape, messages, messages), when)
}

/// Three asleep and one late, their close.
pub(super) fn everybody(scene: &mut Scene) -> Outcome {
    let shape = Shape::plain(4);
    ring(scene, shape)?;
    ring::push(scene.peer()?, &message(0))?;
    let consumers = [consumer(scene)?, consumer(scene)?, consumer(scene)?];
    consume(scene, consumers[0], &message(0))?;
    for consumer in consumers {
        scene.send(consumer, b"\n");
        sleeps_on(scene, consumer, FULL, "the buffer is empty", "empty-is-the-end")?;
    }
    // Ours closes: what your own `close` does has been judged, and here it is about the consumers.
    ring::close(scene.peer()?)?;
    for consumer in consumers {
        let when = "after the close, as all three that slept in `full` must";
        ends(scene, consumer, when, "end-token-kept")?;
    }
    for _late in 0..2 {
        let late = consumer(scene)?;
        scene.send(late, b"\n");
        ends(scene, late, "although it came long after the close", "end-token-kept")?;
    }
    token_goes_on(scene, shape, 1, "after five consumers have ended")
}

pub(super) fn too_late(scene: &mut Scene) -> Outcome {
    let shape = Shape::plain(4);
    ring(scene, shape)?;
    ring::push(scene.peer()?, &message(0))?;
    ring::close(scene.peer()?)?;
    let input = scene.input("in", b"too late\n")?;
    let start = crate::process::Start { input: Some(input), ..Default::default() };
    let ended = scene.run_with(&["producer", NAME], start)?;
    must_exit(&ended, 21, "produces-after-the-close", "a producer on a closed buffer")?;
    rests(scene, &Rest::closed(shape, 0, 1), "after a producer came too late")
}
