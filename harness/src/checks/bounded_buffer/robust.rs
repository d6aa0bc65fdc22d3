//! Step robust: our process is the one that dies inside, after every line of push and of pop; the
//! student's come next.

use crate::checks::common::create;
use crate::diagnosis::fail;
use crate::peer::ring::{self, EMPTY, FULL, HEAD, MUTEX, Permit, ROBUST, Shape, TAIL};
use crate::peer::{Asked, Peer, PeerError};
use crate::scene::{Actor, Scene, shown};
use crate::verdict::Outcome;
use crate::watch::Event;

use super::stage::{
    Rest, consume, consumed, consumer, ends, join, message, printed, produce, produced, producer,
    rests, ring, sleeps_on,
};

/// In a `pthread_mutex_t`, the 32-bit word that says of what kind it is.
const KIND: u64 = ROBUST + 16;

fn shape(capacity: u32) -> Shape {
    Shape { robust: true, ..Shape::plain(capacity) }
}

pub(super) fn made(scene: &mut Scene) -> Outcome {
    ring(scene, shape(3))?;
    let kind = scene.object()?.u32(KIND);
    scene.renew();
    let object = create(scene, &["3", "--robust"])?;
    if object.u32(ring::LOCK) != 1 {
        return Err(fail("wrong-words")
            .expected("`lock` is 1 after `create NAME 3 --robust`")
            .seen(format!("it is {}", object.u32(ring::LOCK)))
            .into());
    }
    // More attributes are allowed, these two are needed.
    if object.u32(KIND) & kind != kind {
        return Err(fail("robust-not-made")
            .expected("`robust` is a pthread mutex that is robust and shared between processes")
            .seen(format!("its kind is {:#x}, which lacks bits of {kind:#x}", object.u32(KIND)))
            .into());
    }
    join(scene)?;
    rests(scene, &Rest::open(shape(3), 0, 0), "after `create NAME 3 --robust`")
}

pub(super) fn used(scene: &mut Scene) -> Outcome {
    let shape = shape(3);
    ring(scene, shape)?;
    ring::push(scene.peer()?, &message(0))?;
    // Nobody needs the semaphore any more: at 0 it would hold up whoever takes it.
    scene.peer()?.sem_init(MUTEX, 0, true)?;
    let (producer, consumer) = (producer(scene)?, consumer(scene)?);
    let why = "our process holds it, and `lock` is 1";
    scene.peer()?.mutex_lock(ROBUST)?;
    scene.send(producer, &message(1));
    sleeps_on(scene, producer, ROBUST, why, "ignores-the-lock")?;
    scene.send(consumer, b"\n");
    sleeps_on(scene, consumer, ROBUST, why, "ignores-the-lock")?;
    scene.peer()?.mutex_unlock(ROBUST)?;
    for actor in [producer, consumer] {
        scene.line(actor, "goes on when `robust` is free")?;
    }
    scene.event(consumer);
    let mutex = scene.peer()?.sem_value(MUTEX)?;
    if mutex != 0 {
        return Err(fail("wrong-lock")
            .expected("with `lock` = 1 the semaphore `mutex` is not touched")
            .seen(format!("it was 0 and is {mutex}"))
            .into());
    }
    Ok(())
}

/// Where our process dies, and what has happened by then.
struct Death {
    /// `died after …`.
    after: &'static str,
    /// Does all it does before its death, in a ring of 3 with messages `head..tail`.
    act: fn(&mut Peer) -> Asked,
    /// By how much `head` has moved.
    taken: u64,
    /// By how much `tail` has moved.
    put: u64,
}

const DEATHS: [Death; 7] = [
    Death { after: "P(empty) and P(lock)", act: producer_enters, taken: 0, put: 0 },
    Death { after: "half of the slot", act: half_a_slot, taken: 0, put: 0 },
    Death { after: "the store of `tail`", act: stores_tail, taken: 0, put: 1 },
    Death { after: "V(full)", act: posts_full, taken: 0, put: 1 },
    Death { after: "P(full) and P(lock)", act: consumer_enters, taken: 0, put: 0 },
    Death { after: "the store of `head`", act: stores_head, taken: 1, put: 0 },
    Death { after: "V(empty)", act: posts_empty, taken: 1, put: 0 },
];

fn producer_enters(peer: &mut Peer) -> Asked {
    peer.sem_wait(EMPTY)?;
    ring::enter(peer, Permit::Empty)
}

fn half_a_slot(peer: &mut Peer) -> Asked {
    producer_enters(peer)?;
    let tail = peer.get64(TAIL)?;
    let at = ring::slot(peer, tail)?;
    peer.put64(at, 9999)?;
    peer.write(at + 8, b"half a mess")
}

fn stores_tail(peer: &mut Peer) -> Asked {
    producer_enters(peer)?;
    puts_in(peer)
}

fn puts_in(peer: &mut Peer) -> Asked {
    let tail = peer.get64(TAIL)?;
    let at = ring::slot(peer, tail)?;
    let text = message(tail);
    peer.write(at + 8, &text)?;
    peer.put64(at, text.len() as u64)?;
    peer.put64(TAIL, tail + 1)
}

fn posts_full(peer: &mut Peer) -> Asked {
    stores_tail(peer)?;
    peer.sem_post(FULL)
}

fn consumer_enters(peer: &mut Peer) -> Asked {
    peer.sem_wait(FULL)?;
    ring::enter(peer, Permit::Full)
}

fn stores_head(peer: &mut Peer) -> Asked {
    consumer_enters(peer)?;
    takes_out(peer)
}

fn takes_out(peer: &mut Peer) -> Asked {
    let head = peer.get64(HEAD)?;
    peer.put64(HEAD, head + 1)
}

fn posts_empty(peer: &mut Peer) -> Asked {
    stores_head(peer)?;
    peer.sem_post(EMPTY)
}

/// A robust ring of 3 with so many messages, and in it a dead process. Returns `head` and `tail`.
fn after_death(scene: &mut Scene, messages: u64, death: &Death) -> Outcome<(u64, u64)> {
    ring(scene, shape(3))?;
    for number in 0..messages {
        ring::push(scene.peer()?, &message(number))?;
    }
    (death.act)(scene.peer()?)?;
    scene.peer()?.kill();
    scene.dismiss_peer();
    Ok((death.taken, messages + death.put))
}

pub(super) fn producer_repairs(scene: &mut Scene) -> Outcome {
    for death in &DEATHS {
        let (head, tail) = after_death(scene, 1, death)?;
        let producer = producer(scene)?;
        comes_back(scene, producer, &message(tail), "produced 1", death)?;
        repaired(scene, (head, tail + 1), death)?;
        drains(scene, (head, tail + 1), death)?;
        scene.renew();
    }
    Ok(())
}

pub(super) fn consumer_repairs(scene: &mut Scene) -> Outcome {
    for death in &DEATHS {
        let (head, tail) = after_death(scene, 2, death)?;
        let consumer = consumer(scene)?;
        comes_back(scene, consumer, b"\n", &printed(&message(head)), death)?;
        repaired(scene, (head + 1, tail), death)?;
        drains(scene, (head + 1, tail), death)?;
        scene.renew();
    }
    Ok(())
}

/// The first one that comes after a death must get its own operation done.
fn comes_back(scene: &mut Scene, actor: Actor, input: &[u8], line: &str, death: &Death) -> Outcome {
    scene.send(actor, input);
    let doing = format!("goes on after another died inside, after {}", death.after);
    let event = scene.answer(actor);
    lives_on(scene, actor, &doing, event, line)?;
    scene.event(actor);
    Ok(())
}

fn lives_on(scene: &mut Scene, actor: Actor, doing: &str, event: Event, line: &str) -> Outcome {
    let expected = format!("{} {doing}: `{line}`", scene.role(actor));
    let (code, seen) = match event {
        Event::Line(seen) if seen == line => return Ok(()),
        Event::Line(seen) => (
            "delivers-what-is-not-there",
            format!("{} prints `{}`", scene.role(actor), shown(&seen)),
        ),
        Event::Asleep(place) => ("stands-still-after-a-death", scene.who_waits(actor, place)),
        Event::Ended(exit) if exit != crate::process::Exit::Code(101) => {
            ("gives-up-after-a-death", format!("{} {}", scene.role(actor), exit.told()))
        }
        event => return Err(scene.explain(actor, doing, event)),
    };
    Err(fail(code).expected(expected).seen(seen).into())
}

/// The lock works again, and permits and indices agree to the number.
fn repaired(scene: &mut Scene, (head, tail): (u64, u64), death: &Death) -> Outcome {
    join(scene)?;
    match scene.peer()?.mutex_lock(ROBUST) {
        Ok(died) => {
            scene.peer()?.mutex_unlock(ROBUST)?;
            if died {
                return Err(fail("lock-left-inconsistent")
                    .expected("who was told OwnerDied gives the lock back whole")
                    .seen("our process, next to lock it, is told OwnerDied again")
                    .into());
            }
        }
        Err(PeerError::Refused(why)) => {
            return Err(fail("lock-left-inconsistent")
                .expected("who was told OwnerDied makes the lock consistent before it unlocks")
                .seen(format!("our process, next to lock it, is refused: {why}"))
                .into());
        }
        Err(died) => return Err(died.into()),
    }
    let when = format!("after a death after {} and one operation of yours", death.after);
    super::stage::indices(scene, (head, tail), &when)?;
    let wanted = Rest::open(shape(3), head, tail).permits();
    let seen = ring::values(scene.peer()?)?;
    if seen == wanted {
        return Ok(());
    }
    let short = seen.0 < wanted.0 || seen.1 < wanted.1;
    let code = if short { "repairs-too-little" } else { "repairs-too-much" };
    let told = |(empty, full, mutex): (i32, i32, i32)| {
        format!("`empty` is {empty}, `full` is {full}, `mutex` is {mutex}")
    };
    Err(fail(code).expected(format!("{when} {}", told(wanted))).seen(told(seen)).into())
}

/// Every message comes out once, and afterwards all three slots can be used.
fn drains(scene: &mut Scene, (head, tail): (u64, u64), death: &Death) -> Outcome {
    let (consumer, producer) = (consumer(scene)?, producer(scene)?);
    for number in head..tail {
        comes_back(scene, consumer, b"\n", &printed(&message(number)), death)?;
    }
    for number in 0..3 {
        produce(scene, producer, number + 1, &message(tail + number))?;
    }
    for number in tail..tail + 3 {
        consume(scene, consumer, &message(number))?;
    }
    let when = format!("after a death after {} and some work", death.after);
    rests(scene, &Rest::open(shape(3), tail + 3, tail + 3), &when)
}

/// Those who wait for the lock while its holder dies.
pub(super) fn wakes_the_waiting(scene: &mut Scene) -> Outcome {
    for death in &DEATHS {
        ring(scene, shape(5))?;
        for number in 0..2 {
            ring::push(scene.peer()?, &message(number))?;
        }
        let (producer, consumer) = (producer(scene)?, consumer(scene)?);
        (death.act)(scene.peer()?)?;
        let (head, tail) = (death.taken, 2 + death.put);
        let why = "our process holds it";
        scene.send(producer, &message(tail));
        sleeps_on(scene, producer, ROBUST, why, "ignores-the-lock")?;
        scene.send(consumer, b"\n");
        sleeps_on(scene, consumer, ROBUST, why, "ignores-the-lock")?;
        scene.peer()?.kill();
        scene.dismiss_peer();
        let doing = format!("goes on when the holder it waits for dies, after {}", death.after);
        let event = scene.answer(producer);
        lives_on(scene, producer, &doing, event, "produced 1")?;
        let event = scene.answer(consumer);
        lives_on(scene, consumer, &doing, event, &printed(&message(head)))?;
        scene.event(producer);
        // The repairer cannot see the other's permit, so one too many may be there: it heals.
        for number in head + 1..tail + 1 {
            comes_back(scene, consumer, b"\n", &printed(&message(number)), death)?;
        }
        for number in 1..=5 {
            produce(scene, producer, number + 1, &message(tail + number))?;
        }
        scene.send(producer, &message(99));
        let why = "all 5 slots hold messages";
        sleeps_on(scene, producer, EMPTY, why, "believes-a-permit-too-many")?;
        scene.renew();
    }
    Ok(())
}

/// Those who sleep in `full` or `empty`: the permit they wait for is one that the dead process owes.
/// How many permits there are in the end is not asked: a repairer may count while they wake.
pub(super) fn wakes_the_sleeping(scene: &mut Scene) -> Outcome {
    ring(scene, shape(3))?;
    let (producer, consumer) = (producer(scene)?, consumer(scene)?);
    scene.send(consumer, b"\n");
    sleeps_on(scene, consumer, FULL, "the buffer is empty", "empty-is-the-end")?;
    stores_tail(scene.peer()?)?;
    scene.peer()?.kill();
    scene.dismiss_peer();
    let death = &DEATHS[2];
    comes_back(scene, producer, &message(1), "produced 1", death)?;
    let doing = "wakes when another has repaired what a death after the store of `tail` left";
    let event = scene.answer(consumer);
    lives_on(scene, consumer, doing, event, &printed(&message(0)))?;
    comes_back(scene, consumer, b"\n", &printed(&message(1)), death)?;
    scene.renew();

    ring(scene, shape(2))?;
    for number in 0..2 {
        ring::push(scene.peer()?, &message(number))?;
    }
    let (producer, consumer) = (self::producer(scene)?, self::consumer(scene)?);
    scene.send(producer, &message(2));
    sleeps_on(scene, producer, EMPTY, "the buffer is full", "believes-a-permit-too-many")?;
    stores_head(scene.peer()?)?;
    scene.peer()?.kill();
    scene.dismiss_peer();
    let death = &DEATHS[5];
    comes_back(scene, consumer, b"\n", &printed(&message(1)), death)?;
    let doing = "wakes when another has repaired what a death after the store of `head` left";
    let event = scene.answer(producer);
    lives_on(scene, producer, doing, event, "produced 1")?;
    comes_back(scene, consumer, b"\n", &printed(&message(2)), death)
}

/// Permits that nothing stands behind, as a repair may leave them; then the same while a permit of the
/// other side is in our hand, so that the semaphores alone do not show how full the buffer is.
pub(super) fn surplus(scene: &mut Scene) -> Outcome {
    drops_a_permit_of_empty(scene, false)?;
    scene.renew();
    drops_a_permit_of_full(scene, false)?;
    scene.renew();
    drops_a_permit_of_empty(scene, true)?;
    scene.renew();
    drops_a_permit_of_full(scene, true)
}

fn drops_a_permit_of_empty(scene: &mut Scene, under_way: bool) -> Outcome {
    ring(scene, shape(2))?;
    for number in 0..2 {
        ring::push(scene.peer()?, &message(number))?;
    }
    scene.peer()?.sem_post(EMPTY)?;
    let producer = producer(scene)?;
    let (why, instead) = if under_way {
        scene.peer()?.sem_wait(FULL)?;
        ("the buffer is full, although a consumer has one of its permits", "goes-by-the-permits")
    } else {
        ("the buffer is full, although `empty` had a permit too many", "believes-a-permit-too-many")
    };
    scene.send(producer, &message(2));
    sleeps_on(scene, producer, EMPTY, why, instead)?;
    if under_way {
        scene.peer()?.sem_post(FULL)?;
    }
    let when = "after a permit of `empty` too many was dropped";
    rests(scene, &Rest::open(shape(2), 0, 2), when)?;
    ring::pop(scene.peer()?)?;
    produced(scene, producer, 1)
}

fn drops_a_permit_of_full(scene: &mut Scene, under_way: bool) -> Outcome {
    ring(scene, shape(2))?;
    scene.peer()?.sem_post(FULL)?;
    let consumer = consumer(scene)?;
    let (why, instead) = if under_way {
        scene.peer()?.sem_wait(EMPTY)?;
        ("the buffer is empty, although a producer has one of its permits", "goes-by-the-permits")
    } else {
        let why = "the buffer is empty and open, although `full` had a permit too many";
        (why, "believes-a-permit-too-many")
    };
    scene.send(consumer, b"\n");
    sleeps_on(scene, consumer, FULL, why, instead)?;
    if under_way {
        scene.peer()?.sem_post(EMPTY)?;
    }
    let when = "after a permit of `full` too many was dropped";
    rests(scene, &Rest::open(shape(2), 0, 0), when)?;
    ring::push(scene.peer()?, &message(0))?;
    consumed(scene, consumer, &message(0))
}

/// A permit too many is in the hand of one who waits for the lock, and the one inside makes it so:
/// before, there was room, or a message.
pub(super) fn surplus_inside(scene: &mut Scene) -> Outcome {
    ring(scene, shape(2))?;
    ring::push(scene.peer()?, &message(0))?;
    producer_enters(scene.peer()?)?;
    scene.peer()?.sem_post(EMPTY)?;
    let producer = producer(scene)?;
    scene.send(producer, &message(2));
    sleeps_on(scene, producer, ROBUST, "our process holds it", "ignores-the-lock")?;
    let peer = scene.peer()?;
    puts_in(peer)?;
    peer.sem_post(FULL)?;
    ring::leave(peer)?;
    let why = "the one before it inside has filled the last slot";
    sleeps_on(scene, producer, EMPTY, why, "looks-before-the-lock")?;
    rests(scene, &Rest::open(shape(2), 0, 2), "after that permit was dropped")?;
    scene.renew();

    ring(scene, shape(2))?;
    ring::push(scene.peer()?, &message(0))?;
    consumer_enters(scene.peer()?)?;
    scene.peer()?.sem_post(FULL)?;
    let consumer = consumer(scene)?;
    scene.send(consumer, b"\n");
    sleeps_on(scene, consumer, ROBUST, "our process holds it", "ignores-the-lock")?;
    let peer = scene.peer()?;
    takes_out(peer)?;
    peer.sem_post(EMPTY)?;
    ring::leave(peer)?;
    let why = "the one before it inside has taken the last message";
    sleeps_on(scene, consumer, FULL, why, "looks-before-the-lock")?;
    rests(scene, &Rest::open(shape(2), 1, 1), "after that permit was dropped")
}

/// The end token is in the dead one's hand, or a message is.
pub(super) fn after_the_close(scene: &mut Scene) -> Outcome {
    let shape = shape(3);
    ring(scene, shape)?;
    ring::push(scene.peer()?, &message(0))?;
    ring::close(scene.peer()?)?;
    let consumer = consumer(scene)?;
    consumer_enters(scene.peer()?)?;
    scene.peer()?.kill();
    scene.dismiss_peer();
    scene.send(consumer, b"\n");
    let doing = "goes on after another died inside, in a closed buffer";
    let event = scene.answer(consumer);
    lives_on(scene, consumer, doing, event, &printed(&message(0)))?;
    scene.send(consumer, b"\n");
    ends(scene, consumer, "after a death in a closed buffer", "repairs-too-little")?;
    join(scene)?;
    rests(scene, &Rest::closed(shape, 1, 1), "after a death in a closed buffer and the end")
}
