//! Step exclusion: while somebody else is inside, nobody does what only the one inside may do.

use crate::diagnosis::fail;
use crate::peer::ring::{self, EMPTY, FULL, HEAD, MUTEX, Permit, SLOTS, Shape, TAIL};
use crate::process::Exit;
use crate::scene::{Actor, Scene, shown};
use crate::verdict::Outcome;
use crate::watch::Event;

use super::stage::{
    Rest, consumer, message, moving, printed, produce, produced, producer, rests, ring, settle,
    sleeps_on, sleeps_through_a_signal, slot_holds, untouched,
};

const WHY: &str = "our process holds the lock";

pub(super) fn producer_waits(scene: &mut Scene) -> Outcome {
    let shape = Shape::plain(3);
    ring(scene, shape)?;
    let producer = producer(scene)?;
    // Our process takes a permit and the lock, and is inside.
    inside(scene, EMPTY, Permit::Empty)?;
    let before = scene.object()?.bytes();
    scene.send(producer, &message(1));
    sleeps_on(scene, producer, MUTEX, WHY, "ignores-the-lock")?;
    let posted = scene.peer()?.sem_value(FULL)?;
    if posted != 0 {
        return Err(fail("posts-too-early")
            .expected("`full` is posted after the message and `tail` are stored")
            .seen(format!("your producer still waits for the lock, and `full` is {posted}"))
            .into());
    }
    unchanged(scene, &before, "your producer")?;
    sleeps_through_a_signal(scene, producer, MUTEX)?;
    // Our process puts its message in and leaves; only now may the student's look at `tail`.
    let peer = scene.peer()?;
    peer.write(SLOTS + 8, &message(0))?;
    peer.put64(SLOTS, message(0).len() as u64)?;
    peer.put64(TAIL, 1)?;
    peer.sem_post(FULL)?;
    ring::leave(peer)?;
    produced(scene, producer, 1)?;
    if scene.object()?.u64(TAIL) != 2 || slot_holds(scene, shape, 0, &message(0)).is_err() {
        let tail = scene.object()?.u64(TAIL);
        return Err(fail("looks-before-the-lock")
            .expected(
                "our producer was inside and left one message, so yours, inside after it, puts its \
                 own in slot 1 and `tail` becomes 2",
            )
            .seen(format!("`tail` is {tail}, and our message is {}", kept(scene, shape)?))
            .into());
    }
    slot_holds(scene, shape, 1, &message(1))?;
    rests(scene, &Rest::open(shape, 0, 2), "after both have pushed")
}

fn kept(scene: &mut Scene, shape: Shape) -> Outcome<&'static str> {
    Ok(if slot_holds(scene, shape, 0, &message(0)).is_ok() { "still there" } else { "overwritten" })
}

pub(super) fn consumer_waits(scene: &mut Scene) -> Outcome {
    let shape = Shape::plain(3);
    ring(scene, shape)?;
    for number in 0..2 {
        ring::push(scene.peer()?, &message(number))?;
    }
    let consumer = consumer(scene)?;
    inside(scene, FULL, Permit::Full)?;
    let before = scene.object()?.bytes();
    scene.send(consumer, b"\n");
    sleeps_on(scene, consumer, MUTEX, WHY, "ignores-the-lock")?;
    let posted = scene.peer()?.sem_value(EMPTY)?;
    if posted != 1 {
        return Err(fail("posts-too-early")
            .expected("`empty` is posted after the message was copied out")
            .seen(format!("your consumer still waits for the lock, and `empty` is {posted}, not 1"))
            .into());
    }
    unchanged(scene, &before, "your consumer")?;
    sleeps_through_a_signal(scene, consumer, MUTEX)?;
    // Our process takes message 0 and leaves; message 1 is the student's.
    let peer = scene.peer()?;
    peer.put64(HEAD, 1)?;
    peer.sem_post(EMPTY)?;
    ring::leave(peer)?;
    let line = match scene.answer(consumer) {
        Event::Line(line) => line,
        event => return Err(scene.explain(consumer, "goes on when the lock is free", event)),
    };
    let head = scene.object()?.u64(HEAD);
    if line == printed(&message(0)) || head != 2 {
        return Err(fail("looks-before-the-lock")
            .expected(
                "our consumer was inside and took message 0, so yours, inside after it, takes \
                 message 1 and `head` becomes 2",
            )
            .seen(format!("your consumer prints `{line}`, and `head` is {head}"))
            .into());
    }
    settle(scene, consumer, "has taken its message")?;
    rests(scene, &Rest::open(shape, 2, 2), "after both have popped")?;
    scene.renew();
    end_is_seen_inside(scene, shape)
}

/// Who gets the end token looks at the indices too, and only inside.
fn end_is_seen_inside(scene: &mut Scene, shape: Shape) -> Outcome {
    ring(scene, shape)?;
    let consumer = consumer(scene)?;
    ring::close(scene.peer()?)?;
    scene.peer()?.sem_wait(MUTEX)?;
    scene.send(consumer, b"\n");
    sleeps_on(scene, consumer, MUTEX, WHY, "ignores-the-lock")
}

/// Two of ours have taken a permit each and are not inside yet: the semaphores say one less than the
/// indices, and the indices are right.
pub(super) fn under_way(scene: &mut Scene) -> Outcome {
    let shape = Shape::plain(5);
    ring(scene, shape)?;
    for number in 0..2 {
        ring::push(scene.peer()?, &message(number))?;
    }
    for semaphore in [EMPTY, FULL] {
        scene.peer()?.sem_wait(semaphore)?;
    }
    let why = "a producer and a consumer of ours have a permit each and are not inside yet, so";
    let producer = producer(scene)?;
    produce(scene, producer, 1, &message(2))?;
    let tail = scene.object()?.u64(TAIL);
    if tail != 3 || slot_holds(scene, shape, 2, &message(2)).is_err() {
        return Err(fail("goes-by-the-permits")
            .expected(format!("{why} yours puts its message into slot 2, and `tail` becomes 3"))
            .seen(format!("`tail` is {tail}, and our first message is {}", kept(scene, shape)?))
            .into());
    }
    let consumer = consumer(scene)?;
    scene.send(consumer, b"\n");
    let line = scene.line(consumer, "takes a message while another consumer is under way")?;
    let head = scene.object()?.u64(HEAD);
    if line != printed(&message(0)) {
        return Err(fail("goes-by-the-permits")
            .expected(format!("{why} yours takes the oldest message, `{}`", printed(&message(0))))
            .seen(format!("it prints `{}`, and `head` is {head}", shown(&line)))
            .into());
    }
    settle(scene, consumer, "has taken its message")?;
    for semaphore in [EMPTY, FULL] {
        scene.peer()?.sem_post(semaphore)?;
    }
    rests(scene, &Rest::open(shape, 1, 3), "after a push and a pop of yours beside them")
}

/// Our process takes a permit, and then the lock.
fn inside(scene: &mut Scene, semaphore: u64, permit: Permit) -> Outcome {
    let peer = scene.peer()?;
    peer.sem_wait(semaphore)?;
    Ok(ring::enter(peer, permit)?)
}

/// Nothing but semaphores may change while another is inside.
fn unchanged(scene: &mut Scene, before: &[u8], who: &str) -> Outcome {
    let after = scene.object()?.bytes();
    let mut permits = moving();
    permits.retain(|range| range.start != HEAD);
    if untouched(before, &after, &permits, "").is_ok() {
        return Ok(());
    }
    let word = |bytes: &[u8], at: u64| bytes.get(at as usize..at as usize + 8).map(<[u8]>::to_vec);
    let what = [(HEAD, "`head`"), (TAIL, "`tail`")]
        .into_iter()
        .find(|&(at, _)| word(before, at) != word(&after, at))
        .map_or("a slot", |(_, name)| name);
    Err(fail("works-outside-the-lock")
        .expected(format!("while our process holds the lock, {who} changes nothing but its permit"))
        .seen(format!("{what} has changed"))
        .into())
}

/// A way out that nobody thinks of: the slot is wrong, the consumer ends, the lock must be free.
pub(super) fn every_way_out(scene: &mut Scene) -> Outcome {
    ring(scene, Shape::plain(3))?;
    let peer = scene.peer()?;
    ring::push(peer, b"one\n")?;
    peer.put64(SLOTS, 1000)?;
    let consumer = consumer(scene)?;
    scene.send(consumer, b"\n");
    ends_with(scene, consumer, 13)?;
    let mutex = scene.peer()?.sem_value(MUTEX)?;
    if mutex == 1 {
        return Ok(());
    }
    let code = if mutex > 1 { "lock-given-back-twice" } else { "lock-not-given-back" };
    Err(fail(code)
        .expected("a consumer that ends with 13 at a wrong slot gives the lock back: `mutex` is 1")
        .seen(format!("`mutex` is {mutex}"))
        .into())
}

fn ends_with(scene: &mut Scene, actor: Actor, code: i32) -> Outcome {
    match scene.answer(actor) {
        Event::Ended(Exit::Code(seen)) if seen == code => Ok(()),
        event => Err(scene.explain(actor, &format!("ends with {code}"), event)),
    }
}
