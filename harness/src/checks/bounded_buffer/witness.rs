//! Steps push, pop and exclusion, to the instruction: what a student's process has done in the moment it posts.
//!
//! A process of ours waits for the semaphore that is going to be posted. The student's runs on the
//! same processor and only while that has nothing else to do; so with its post ours is awake and
//! stops it, before the next line. Where the system does not let us decide who runs, the student's
//! may get further, and what it does too late is not seen: nobody is accused for that.

use nix::sys::signal::Signal;

use crate::cleanup;
use crate::diagnosis::fail;
use crate::peer::Peer;
use crate::peer::ring::{self, EMPTY, FULL, HEAD, MUTEX, ROBUST, SLOTS, Shape, TAIL};
use crate::procfs::{self, Doing};
use crate::scene::{Actor, Scene, shown};
use crate::schedule::gives_way;
use crate::verdict::{Outcome, Stop};
use crate::watch::Event;

use super::stage::{
    Rest, consumer, message, printed, produced, producer, rests, ring, sleeps_on, slot_holds,
};

const SHAPE: Shape = Shape { capacity: 1, slot_size: 64, robust: false };

/// How often the witness may be too slow.
const TRIES: u32 = 5;

/// What was in the slot is this, once it is overwritten; as long as message 0.
const OTHERS: &[u8] = b"another";

/// A producer posts `full`: then slot and `tail` are stored. It need not know the lock yet.
pub(super) fn producer_announces(scene: &mut Scene) -> Outcome {
    a_few_times(scene, producer_announce)
}

fn producer_announce(scene: &mut Scene) -> Outcome<bool> {
    ring(scene, SHAPE)?;
    let producer = producer(scene)?;
    let exactly = stop_at_its_post(scene, producer, FULL, |scene| {
        scene.send(producer, &message(0));
        Ok(())
    })?;
    let what = "`full` is posted after the message and `tail` are stored";
    stored(scene, "posts-too-early", what, "with its post of `full`")?;
    scene.peer()?.sem_post(FULL)?;
    goes_on_producing(scene, producer)?;
    Ok(exactly)
}

/// A producer gives the lock back: then slot and `tail` are stored.
pub(super) fn producer_unlocks(scene: &mut Scene) -> Outcome {
    a_few_times(scene, producer_unlock)
}

fn producer_unlock(scene: &mut Scene) -> Outcome<bool> {
    ring(scene, SHAPE)?;
    let producer = producer(scene)?;
    scene.peer()?.sem_wait(MUTEX)?;
    scene.send(producer, &message(0));
    sleeps_on(scene, producer, MUTEX, "our process holds the lock", "ignores-the-lock")?;
    if !stop_at_its_unlock(scene, producer)? {
        return Ok(false);
    }
    let what = "slot and `tail` are stored between P and V of the lock";
    stored(scene, "works-outside-the-lock", what, "with its post of `mutex`")?;
    scene.peer()?.sem_post(MUTEX)?;
    goes_on_producing(scene, producer)?;
    Ok(true)
}

/// Plays a scene until its program was stopped exactly at its post, but not for ever: one that got
/// further is right as far as could be seen.
fn a_few_times(scene: &mut Scene, play: fn(&mut Scene) -> Outcome<bool>) -> Outcome {
    for _try in 0..TRIES {
        if play(scene)? {
            break;
        }
        scene.renew();
    }
    Ok(())
}

fn stored(scene: &mut Scene, code: &'static str, what: &str, when: &str) -> Outcome {
    let tail = scene.object()?.u64(TAIL);
    let missing = match (slot_holds(scene, SHAPE, 0, &message(0)).is_ok(), tail) {
        (true, 1) => return Ok(()),
        (true, _) => "`tail` is not stored",
        (false, 1) => "the message is not in its slot",
        (false, _) => "neither the message nor `tail` is stored",
    };
    Err(fail(code).expected(what).seen(format!("your producer, stopped {when}: {missing}")).into())
}

fn goes_on_producing(scene: &mut Scene, producer: Actor) -> Outcome {
    scene.signal(producer, Signal::SIGCONT);
    produced(scene, producer, 1)?;
    rests(scene, &Rest::open(SHAPE, 0, 1), "after the push")
}

/// A consumer posts `empty`: then the message is copied out. It need not know the lock yet.
pub(super) fn consumer_gives_back(scene: &mut Scene) -> Outcome {
    a_few_times(scene, consumer_give_back)
}

fn consumer_give_back(scene: &mut Scene) -> Outcome<bool> {
    ring(scene, SHAPE)?;
    ring::push(scene.peer()?, &message(0))?;
    let consumer = consumer(scene)?;
    let exactly = stop_at_its_post(scene, consumer, EMPTY, |scene| {
        scene.send(consumer, b"\n");
        Ok(())
    })?;
    let what = "the message is copied out before `empty` is posted";
    taken(scene, consumer, EMPTY, "gives-the-slot-back-early", what)?;
    Ok(exactly)
}

/// A consumer gives the lock back: then the message is copied and `head` is stored.
pub(super) fn consumer_unlocks(scene: &mut Scene) -> Outcome {
    a_few_times(scene, consumer_unlock)
}

fn consumer_unlock(scene: &mut Scene) -> Outcome<bool> {
    ring(scene, SHAPE)?;
    ring::push(scene.peer()?, &message(0))?;
    let consumer = consumer(scene)?;
    scene.peer()?.sem_wait(MUTEX)?;
    scene.send(consumer, b"\n");
    sleeps_on(scene, consumer, MUTEX, "our process holds the lock", "ignores-the-lock")?;
    if !stop_at_its_unlock(scene, consumer)? {
        return Ok(false);
    }
    let what = "the slot is read and `head` is stored between P and V of the lock";
    taken(scene, consumer, MUTEX, "works-outside-the-lock", what)?;
    Ok(true)
}

/// The consumer stands behind its post of `at`: nothing in the slot may matter to it any more.
fn taken(scene: &mut Scene, consumer: Actor, at: u64, code: &'static str, what: &str) -> Outcome {
    let when = if at == MUTEX { "with its post of `mutex`" } else { "with its post of `empty`" };
    let head = scene.object()?.u64(HEAD);
    let accuse = |seen: String| -> Stop { fail(code).expected(what).seen(seen).into() };
    if head != 1 {
        return Err(accuse(format!("your consumer, stopped {when}: `head` is not stored")));
    }
    let peer = scene.peer()?;
    peer.write(SLOTS + 8, OTHERS)?;
    peer.sem_post(at)?;
    scene.signal(consumer, Signal::SIGCONT);
    let line = match scene.answer(consumer) {
        Event::Line(line) => line,
        event => return Err(scene.explain(consumer, "prints the message it has taken", event)),
    };
    if line != printed(&message(0)) {
        return Err(accuse(format!(
            "the slot was overwritten when your consumer stood behind its post ({when}), and it \
             prints `{}`",
            shown(&line)
        )));
    }
    super::stage::settle(scene, consumer, "has taken its message")?;
    rests(scene, &Rest::open(SHAPE, 1, 1), "after the pop")
}

/// With the robust lock, either posts for the other side while it is inside: between the unlock and
/// the post nobody would be told of its death.
pub(super) fn robust_posts_inside(scene: &mut Scene) -> Outcome {
    for produces in [true, false] {
        let mut seen = false;
        for _try in 0..TRIES {
            seen = robust_holds_at_its_post(scene, produces)?;
            scene.renew();
            if seen {
                break;
            }
        }
        if !seen {
            let why = "the machine is too busy to stop a program at its post";
            return Err(Stop::NotChecked(why.into()));
        }
    }
    Ok(())
}

/// True: it was seen to post inside. False: nothing was seen.
fn robust_holds_at_its_post(scene: &mut Scene, produces: bool) -> Outcome<bool> {
    ring(scene, Shape { robust: true, ..SHAPE })?;
    let actor = if produces { producer(scene)? } else { consumer(scene)? };
    if !produces {
        ring::push(scene.peer()?, &message(0))?;
    }
    let (at, name) = if produces { (FULL, "full") } else { (EMPTY, "empty") };
    let exactly = stop_at_its_post(scene, actor, at, |scene| {
        scene.send(actor, &message(0));
        Ok(())
    })?;
    // The word of a robust mutex is its holder's thread id, 0 when nobody holds it.
    if scene.object()?.u32(ROBUST) != 0 {
        return Ok(true);
    }
    if !exactly {
        return Ok(false);
    }
    let role = scene.role(actor);
    Err(fail("posts-outside-the-lock")
        .expected(format!("in a robust buffer {role} posts `{name}` inside the lock"))
        .seen(format!("{role}, stopped with its post of `{name}`, does not hold `robust`"))
        .into())
}

/// Gives the program the lock that it waits for, and stops it where it gives it back. False: it stands
/// elsewhere, maybe before the lock. It is first in the queue, but if it has left that for a moment,
/// the witness has taken what our process gave.
fn stop_at_its_unlock(scene: &mut Scene, actor: Actor) -> Outcome<bool> {
    stop_at_its_post(scene, actor, MUTEX, |scene| Ok(scene.peer()?.sem_post(MUTEX)?))
}

/// Lets the program go on, by `go`, up to its post of `at`, which it has done when this returns; the
/// permit is in our hands then. False: it was quicker than the witness and stands somewhere behind.
fn stop_at_its_post(
    scene: &mut Scene,
    actor: Actor,
    at: u64,
    go: impl FnOnce(&mut Scene) -> Outcome,
) -> Outcome<bool> {
    if cleanup::helpers_are_closed() {
        let why = "the grader's own process cannot be watched without Landlock";
        return Err(Stop::NotChecked(why.to_owned()));
    }
    let name = scene.name().to_owned();
    let pid = scene.pid(actor);
    let mut witness = Peer::start(&scene.bench().peer_program)?;
    witness.open(&name)?;
    let watched = witness.pid();
    if !gives_way(pid, &[watched]) {
        scene.remark("who runs first cannot be decided here, so only gross mistakes were seen");
    }
    let sleeps = || procfs::sleeps(&procfs::tasks(pid));
    let before = sleeps();
    witness.sem_wait_and_stop(at, pid);
    let queued = |task: &procfs::Task| matches!(task.doing, Doing::Futex { private: false, .. });
    if !scene.until(|_| procfs::tasks(watched).iter().any(queued)) {
        return Err(Stop::Broken("the grader's witness does not wait".into()));
    }
    if sleeps() != before {
        // It has woken by itself, as by a timer, and may stand behind the witness now.
        return Err(Stop::NotChecked("the program does not sleep quietly enough".into()));
    }
    go(scene)?;
    // The witness may also have died with the object.
    if !scene.until(|_| witness.has_answered()) || witness.stopped_the_poster().is_err() {
        // Whether it posts at all is seen elsewhere.
        return Err(Stop::NotChecked("the program was not seen to post".into()));
    }
    scene.until_stopped(actor);
    // Stopped in the very call that wakes the witness, or already behind it?
    let words: Vec<_> =
        scene.mappings(actor).iter().map(|m| (m.start + at).wrapping_sub(m.offset)).collect();
    let at_the_post: Vec<_> = procfs::tasks(pid)
        .iter()
        .filter_map(|task| match task.doing {
            Doing::Futex { address, wakes, .. }
                if words.iter().any(|word| (*word..*word + 32).contains(&address)) =>
            {
                Some(wakes)
            }
            _ => None,
        })
        .collect();
    if at_the_post.contains(&false) {
        // It woke between our look and the post, and stood behind the witness: it has done nothing yet.
        return Err(Stop::NotChecked("the program does not sleep quietly enough".into()));
    }
    Ok(at_the_post.contains(&true))
}
