//! What the checks of the bounded buffer set up, ask for and compare alike.

use nix::sys::signal::Signal;

use crate::diagnosis::fail;
use crate::peer::ring::{self, EMPTY, FULL, MUTEX, ROBUST, SLOTS, Shape};
use crate::peer::{prefix, to_hex};
use crate::procfs::{self, Doing};
use crate::scene::{Actor, NAME, Scene, shown};
use crate::verdict::{Outcome, Stop};
use crate::watch::{Event, Place};

/// Makes a ring of ours under the scene's name.
pub(super) fn ring(scene: &mut Scene, shape: Shape) -> Outcome {
    let name = scene.name().to_owned();
    Ok(ring::create(scene.peer()?, &name, shape)?)
}

/// Lets our process open what is there under the scene's name.
pub(super) fn join(scene: &mut Scene) -> Outcome {
    let name = scene.name().to_owned();
    Ok(scene.peer()?.open(&name)?)
}

/// A producer of the student's that holds still between messages and leaves the buffer open.
pub(super) fn producer(scene: &mut Scene) -> Outcome<Actor> {
    scene.attach(&["producer", NAME, "--keep-open"])
}

/// A consumer of the student's that holds still between messages.
pub(super) fn consumer(scene: &mut Scene) -> Outcome<Actor> {
    scene.attach(&["consumer", NAME])
}

/// The text of message `number`, short enough for every slot.
pub(super) fn message(number: u64) -> Vec<u8> {
    format!("{number:06}\n").into_bytes()
}

/// A message as the consumer's step mode prints it.
pub(super) fn printed(message: &[u8]) -> String {
    if message.is_empty() {
        "consumed -".to_owned()
    } else {
        format!("consumed {}", to_hex(message))
    }
}

/// Lets the producer put in its `count`th message, for which there is room, and waits until it is
/// still again.
pub(super) fn produce(scene: &mut Scene, actor: Actor, count: u64, message: &[u8]) -> Outcome {
    scene.send(actor, message);
    produced(scene, actor, count)
}

/// Requires that the message under way gets in.
pub(super) fn produced(scene: &mut Scene, actor: Actor, count: u64) -> Outcome {
    let doing = format!("puts in its message {count}, for which a slot is free");
    match scene.answer(actor) {
        Event::Line(line) if line == format!("produced {count}") => settle(scene, actor, &doing),
        Event::Line(line) => Err(fail("breaks-the-step-protocol")
            .expected(format!("`produced {count}`"))
            .seen(format!("your producer prints `{}`", shown(&line)))
            .into()),
        event => Err(stuck(scene, actor, &doing, event, (EMPTY, FULL, "stops-too-early"))),
    }
}

/// Lets the consumer take one message, which is there and is this one, and waits until it is still
/// again.
pub(super) fn consume(scene: &mut Scene, actor: Actor, message: &[u8]) -> Outcome {
    scene.send(actor, b"\n");
    consumed(scene, actor, message)
}

/// Requires that the consumer, on its way already, comes back with this message.
pub(super) fn consumed(scene: &mut Scene, actor: Actor, message: &[u8]) -> Outcome {
    let doing = "takes a message that is there";
    match scene.answer(actor) {
        Event::Line(line) if line == printed(message) => settle(scene, actor, doing),
        Event::Line(line) if line == "end" => Err(fail("empty-is-the-end")
            .expected(format!("`{}`: nobody has closed the buffer", shown(&printed(message))))
            .seen("your consumer prints `end`")
            .into()),
        Event::Line(line) => Err(fail("another-message")
            .expected(format!("`{}`", shown(&printed(message))))
            .seen(format!("your consumer prints `{}`", shown(&line)))
            .into()),
        event => Err(stuck(scene, actor, doing, event, (FULL, EMPTY, "sleeps-past-a-message"))),
    }
}

/// Requires that the consumer says the end and exits with 0.
pub(super) fn ends(scene: &mut Scene, actor: Actor, when: &str, asleep: &'static str) -> Outcome {
    let doing = format!("ends {when}");
    match scene.answer(actor) {
        Event::Line(line) if line == "end" => {}
        Event::Line(line) => {
            return Err(fail("another-message")
                .expected(format!("`end` {when}"))
                .seen(format!("your consumer prints `{}`", shown(&line)))
                .into());
        }
        Event::Asleep(place) => {
            let seen = scene.who_waits(actor, place);
            return Err(fail(asleep).expected(format!("your consumer {doing}")).seen(seen).into());
        }
        event => return Err(scene.explain(actor, &doing, event)),
    }
    let ended = scene.finish(actor, &doing)?;
    super::super::common::must_exit(&ended, 0, "fails-at-the-end", "a consumer at the end")
}

/// Why one that should have worked did not: it sleeps on its own permit, on the other side's, on
/// the lock, or it did something else.
fn stuck(
    scene: &mut Scene,
    actor: Actor,
    doing: &str,
    event: Event,
    (own, other, on_own): (u64, u64, &'static str),
) -> Stop {
    let Event::Asleep(place) = event else { return scene.explain(actor, doing, event) };
    let code = match word(place) {
        Some(word) if word == own => on_own,
        Some(word) if word == other => "waits-for-the-wrong-permit",
        Some(MUTEX | ROBUST) => "lock-not-given-back",
        _ => return scene.explain(actor, doing, event),
    };
    let seen = scene.who_waits(actor, place);
    fail(code).expected(format!("{} {doing}", scene.role(actor))).seen(seen).into()
}

/// Waits until the program has done all it does after a line.
pub(super) fn settle(scene: &mut Scene, actor: Actor, doing: &str) -> Outcome {
    match scene.event(actor) {
        event @ (Event::Line(_) | Event::Ended(_)) => Err(scene.explain(actor, doing, event)),
        // Asleep: after its line it still has to post or unlock something, and cannot.
        Event::Asleep(place) if word(place).is_some() => {
            let seen = scene.who_waits(actor, place);
            let expected = format!("{} {doing}, and asks for the next", scene.role(actor));
            Err(fail("lock-not-given-back").expected(expected).seen(seen).into())
        }
        _ => Ok(()),
    }
}

/// Requires that the program goes to sleep on this word. `instead` is the code for one that goes on
/// without.
pub(super) fn sleeps_on(
    scene: &mut Scene,
    actor: Actor,
    offset: u64,
    why: &str,
    instead: &'static str,
) -> Outcome {
    let name = scene.place_name(Place::Segment { offset, private: false });
    let role = scene.role(actor);
    let expected = format!("{role} sleeps on {name}: {why}");
    let event = scene.event(actor);
    let (code, seen) = match event {
        Event::Asleep(place @ Place::Segment { private, .. }) if word(place) == Some(offset) => {
            if !private {
                return Ok(());
            }
            let seen = format!("{role} sleeps on {}", scene.place_name(place));
            ("sleeps-privately", seen)
        }
        Event::Asleep(Place::Elsewhere) => {
            ("sleeps-elsewhere", format!("{role} sleeps on a word outside the segment"))
        }
        Event::Asleep(place) => {
            let lock = [MUTEX, ROBUST];
            let both = lock.contains(&offset) && word(place).is_some_and(|at| lock.contains(&at));
            let code = if both { "wrong-lock" } else { "waits-for-the-wrong-permit" };
            (code, scene.who_waits(actor, place))
        }
        Event::Silent if waits_with_a_timeout(scene, actor) => {
            ("polls", format!("{role} waits with a timeout"))
        }
        Event::Silent => {
            ("sleeps-elsewhere", format!("{role} waits for something else than a semaphore"))
        }
        Event::Polls => {
            ("polls", format!("{role} sleeps a little, looks, and sleeps a little again"))
        }
        Event::Spins => ("burns-cpu", format!("{role} looks again and again without sleeping")),
        Event::Line(line) => (instead, format!("{role} prints `{}`", shown(&line))),
        Event::Ended(exit) if exit == crate::process::Exit::Code(0) => {
            (instead, format!("{role} {}", exit.told()))
        }
        event => return Err(scene.explain(actor, &format!("sleeps on {name}"), event)),
    };
    Err(fail(code).expected(expected).seen(seen).into())
}

fn waits_with_a_timeout(scene: &Scene, actor: Actor) -> bool {
    let tasks = procfs::tasks(scene.pid(actor));
    tasks.iter().any(|task| matches!(task.doing, Doing::Futex { timed: true, .. }))
}

/// Requires that a sleeper goes back to sleep on the same word after a signal.
pub(super) fn sleeps_through_a_signal(scene: &mut Scene, actor: Actor, offset: u64) -> Outcome {
    let pid = scene.pid(actor);
    let sleeps = || procfs::sleeps(&procfs::tasks(pid));
    let before = sleeps();
    scene.signal(actor, Signal::SIGUSR1);
    // Who holds the signal off while it waits sleeps on without having woken.
    if !procfs::hold_off(pid, Signal::SIGUSR1) {
        scene.until(|scene| sleeps() > before || scene.processes[actor.0].exit().is_some());
    }
    let name = scene.place_name(Place::Segment { offset, private: false });
    let expected = format!("{} sleeps on {name}, gets SIGUSR1, and sleeps on", scene.role(actor));
    let (code, seen) = match scene.event(actor) {
        Event::Asleep(place) if word(place) == Some(offset) => return Ok(()),
        Event::Ended(exit) if exit != crate::process::Exit::Code(101) => {
            ("gives-up-on-a-signal", format!("it {}", exit.told()))
        }
        Event::Line(line) => ("signal-is-no-permit", format!("it prints `{}`", shown(&line))),
        Event::Asleep(place) => ("signal-is-no-permit", scene.who_waits(actor, place)),
        event => return Err(scene.explain(actor, "goes on sleeping after SIGUSR1", event)),
    };
    Err(fail(code).expected(expected).seen(seen).into())
}

/// Of a place in the segment, the word of ours it belongs to.
pub(super) fn word(place: Place) -> Option<u64> {
    let Place::Segment { offset, .. } = place else { return None };
    // Which of a semaphore's 32 bytes its sleepers wait on is glibc's affair.
    [EMPTY, FULL, MUTEX, ROBUST].into_iter().find(|start| (*start..start + 40).contains(&offset))
}

/// What a ring should look like when nobody is at work.
#[derive(Clone, Copy)]
pub(super) struct Rest {
    pub(super) shape: Shape,
    pub(super) state: u32,
    pub(super) head: u64,
    pub(super) tail: u64,
    pub(super) by: By,
}

/// Whose work the ring shows: only that can have left a post out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Push,
    Pop,
    Both,
}

impl Rest {
    /// An open ring through which `head` messages have gone and in which `tail - head` are.
    pub(super) fn open(shape: Shape, head: u64, tail: u64) -> Rest {
        Rest { shape, state: prefix::READY, head, tail, by: By::Both }
    }

    /// The same after the close.
    pub(super) fn closed(shape: Shape, head: u64, tail: u64) -> Rest {
        Rest { shape, state: prefix::CLOSED, head, tail, by: By::Both }
    }

    /// The last that happened was a push of the student's.
    pub(super) fn pushed(self) -> Rest {
        Rest { by: By::Push, ..self }
    }

    /// The last that happened was a pop of the student's.
    pub(super) fn popped(self) -> Rest {
        Rest { by: By::Pop, ..self }
    }

    /// `empty`, `full` and `mutex`.
    pub(super) fn permits(&self) -> (i32, i32, i32) {
        let messages = (self.tail - self.head) as i32;
        let token = i32::from(self.state == prefix::CLOSED);
        (self.shape.capacity as i32 - messages, messages + token, 1)
    }
}

/// Requires that the ring is at rest as told: length, prefix and words, indices, permits, in the
/// order of causes. `when` begins with `after`.
pub(super) fn rests(scene: &mut Scene, rest: &Rest, when: &str) -> Outcome {
    let object = scene.object()?;
    if object.len() != rest.shape.len() {
        return Err(fail("resizes-the-buffer")
            .expected(format!("{when} the object still has {} bytes", rest.shape.len()))
            .seen(format!("it has {} bytes", object.len()))
            .into());
    }
    let words: [(&str, u64, u64); 7] = [
        ("magic", object.u64(prefix::MAGIC), prefix::magic(3)),
        ("version", object.u32(prefix::VERSION).into(), 1),
        ("state", object.u32(prefix::STATE).into(), rest.state.into()),
        ("total_len", object.u64(prefix::TOTAL_LEN), rest.shape.len()),
        ("capacity", object.u32(ring::CAPACITY).into(), rest.shape.capacity.into()),
        ("slot_size", object.u32(ring::SLOT_SIZE).into(), rest.shape.slot_size.into()),
        ("lock", object.u32(ring::LOCK).into(), rest.shape.robust.into()),
    ];
    for (name, seen, wanted) in words {
        if seen != wanted {
            return Err(fail("writes-elsewhere")
                .expected(format!("{when} `{name}` is {wanted}"))
                .seen(format!("it is {seen}"))
                .into());
        }
    }
    indices(scene, (rest.head, rest.tail), when)?;
    permits(scene, rest.permits(), rest.by, when)
}

/// Requires `head` and `tail` to be these.
pub(super) fn indices(scene: &mut Scene, (head, tail): (u64, u64), when: &str) -> Outcome {
    let object = scene.object()?;
    let seen = (object.u64(ring::HEAD), object.u64(ring::TAIL));
    if seen == (head, tail) {
        return Ok(());
    }
    Err(fail("wrong-index")
        .expected(format!("{when} `head` is {head} and `tail` is {tail}"))
        .seen(format!("`head` is {} and `tail` is {}", seen.0, seen.1))
        .into())
}

/// Requires the three semaphores to have these values.
pub(super) fn permits(scene: &mut Scene, wanted: (i32, i32, i32), by: By, when: &str) -> Outcome {
    let seen = ring::values(scene.peer()?)?;
    if seen == wanted {
        return Ok(());
    }
    let code = match seen {
        (_, _, mutex) if mutex < wanted.2 => "lock-not-given-back",
        (_, _, mutex) if mutex > wanted.2 => "lock-given-back-twice",
        (empty, full, _) if full < wanted.1 && empty == wanted.0 && by != By::Pop => {
            "full-not-posted"
        }
        (empty, full, _) if empty < wanted.0 && full == wanted.1 && by != By::Push => {
            "empty-not-posted"
        }
        _ => "wrong-permits",
    };
    let told = |(empty, full, mutex): (i32, i32, i32)| {
        format!("`empty` is {empty}, `full` is {full}, `mutex` is {mutex}")
    };
    Err(fail(code).expected(format!("{when} {}", told(wanted))).seen(told(seen)).into())
}

/// Requires message number `index` to lie in its slot.
pub(super) fn slot_holds(scene: &mut Scene, shape: Shape, index: u64, message: &[u8]) -> Outcome {
    let object = scene.object()?;
    let at = |slot: u64| SLOTS + slot * u64::from(shape.slot_size);
    let holds = |slot: u64| {
        object.u64(at(slot)) == message.len() as u64
            && object.read(at(slot) + 8, message.len()) == message
    };
    let capacity = u64::from(shape.capacity);
    let slot = index % capacity;
    if holds(slot) {
        return Ok(());
    }
    let other = (0..capacity.min(64)).find(|&other| holds(other));
    let seen = match other {
        Some(other) => format!("it lies in slot {other}"),
        None => format!(
            "that slot says length {} and begins with {}",
            object.u64(at(slot)),
            to_hex(&object.read(at(slot) + 8, 8))
        ),
    };
    Err(fail("wrong-slot")
        .expected(format!(
            "message {index} of a ring of {capacity} lies in slot {slot}: length {}, then its bytes",
            message.len()
        ))
        .seen(seen)
        .into())
}

/// Requires that of two looks at the whole object only bytes in these ranges differ.
pub(super) fn untouched(
    before: &[u8],
    after: &[u8],
    allowed: &[std::ops::Range<u64>],
    when: &str,
) -> Outcome {
    let differs = |at: &usize| before.get(*at) != after.get(*at);
    let allowed = |at: usize| allowed.iter().any(|range| range.contains(&(at as u64)));
    match (0..before.len().max(after.len())).filter(differs).find(|&at| !allowed(at)) {
        None => Ok(()),
        Some(at) => Err(fail("writes-elsewhere")
            .expected(format!("{when} changes nothing but what the format says"))
            .seen(format!("the byte at offset {at} has changed"))
            .into()),
    }
}

/// Everything that changes in an operation apart from slots: the semaphores and the indices.
pub(super) fn moving() -> Vec<std::ops::Range<u64>> {
    vec![EMPTY..EMPTY + 32, FULL..FULL + 32, MUTEX..MUTEX + 32, ring::HEAD..ring::TAIL + 8]
}
