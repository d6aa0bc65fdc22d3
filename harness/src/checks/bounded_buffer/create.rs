//! Step create: the object, its words, its semaphores, and who may make them.

use std::time::Duration;

use crate::checks::common::{create, must_exit, prefix_is_written};
use crate::diagnosis::fail;
use crate::peer::ring::{self, EMPTY, FULL, HEAD, MUTEX, ROBUST, Shape, TAIL};
use crate::peer::{Peer, prefix};
use crate::process::{Exit, LONG_PATIENCE, Start};
use crate::scene::{NAME, Scene};
use crate::verdict::Outcome;
use crate::watch::Event;

use super::stage::{By, consumer, join, permits, producer, untouched};

/// Bytes of a semaphore that are looked at.
const SEMAPHORE: u64 = 32;

const SEMAPHORES: [(&str, u64); 3] = [("empty", EMPTY), ("full", FULL), ("mutex", MUTEX)];

/// Capacity and slot size of the rings that are asked for, the arguments that do it included.
const ASKED: [(&[&str], Shape); 4] = [
    (&["3"], Shape { capacity: 3, slot_size: 64, robust: false }),
    (&["1"], Shape { capacity: 1, slot_size: 64, robust: false }),
    (&["5", "--slot", "16"], Shape { capacity: 5, slot_size: 16, robust: false }),
    (&["2", "--slot", "4096"], Shape { capacity: 2, slot_size: 4096, robust: false }),
];

pub(super) fn exact_length(scene: &mut Scene) -> Outcome {
    for (arguments, shape) in ASKED {
        let object = create(scene, arguments)?;
        if object.len() != shape.len() {
            return Err(fail("wrong-length")
                .expected(format!(
                    "`create NAME {}` makes an object of {} bytes",
                    arguments.join(" "),
                    shape.len()
                ))
                .seen(format!("it has {} bytes", object.len()))
                .into());
        }
        scene.renew();
    }
    Ok(())
}

pub(super) fn mode(scene: &mut Scene) -> Outcome {
    for umask in [0o000, 0o277] {
        let start = Start { umask: Some(umask), ..Start::default() };
        let ended = scene.run_with(&["create", NAME, "3"], start)?;
        let when = format!("`create` with the umask {umask:03o}");
        must_exit(&ended, 0, "create-fails", &when)?;
        let mode = scene.object()?.mode();
        if mode != 0o600 {
            return Err(fail("wrong-mode")
                .expected(format!("{when} makes an object of mode 0600"))
                .seen(format!("its mode is {mode:04o}"))
                .into());
        }
        scene.renew();
    }
    Ok(())
}

pub(super) fn words(scene: &mut Scene) -> Outcome {
    for (arguments, shape) in ASKED {
        let object = create(scene, arguments)?;
        prefix_is_written(&object, 3, shape.len())?;
        let words: [(&str, u64, u64); 5] = [
            ("capacity", object.u32(ring::CAPACITY).into(), shape.capacity.into()),
            ("slot_size", object.u32(ring::SLOT_SIZE).into(), shape.slot_size.into()),
            ("lock", object.u32(ring::LOCK).into(), 0),
            ("head", object.u64(HEAD), 0),
            ("tail", object.u64(TAIL), 0),
        ];
        for (name, seen, wanted) in words {
            if seen != wanted {
                let asked = arguments.join(" ");
                return Err(fail("wrong-words")
                    .expected(format!("`{name}` is {wanted} after `create NAME {asked}`"))
                    .seen(format!("it is {seen}"))
                    .into());
            }
        }
        scene.renew();
    }
    Ok(())
}

pub(super) fn start_values(scene: &mut Scene) -> Outcome {
    for (arguments, shape) in ASKED {
        create(scene, arguments)?;
        join(scene)?;
        let seen = ring::values(scene.peer()?)?;
        let wanted = (shape.capacity as i32, 0, 1);
        if seen != wanted {
            let told = |(empty, full, mutex): (i32, i32, i32)| {
                format!("`empty` {empty}, `full` {full}, `mutex` {mutex}")
            };
            return Err(fail("wrong-start-value")
                .expected(format!("a new buffer of {} has {}", shape.capacity, told(wanted)))
                .seen(told(seen))
                .into());
        }
        scene.renew();
    }
    Ok(())
}

pub(super) fn shared(scene: &mut Scene) -> Outcome {
    let (shared, private) = samples(scene)?;
    scene.renew();
    let object = create(scene, &["3"])?;
    // The bytes in which the two of ours differ are the flag.
    let flag: Vec<usize> = (0..shared.len()).filter(|&at| shared[at] != private[at]).collect();
    for (name, offset) in SEMAPHORES {
        let bytes = object.read(offset, SEMAPHORE as usize);
        let is = |sample: &[u8]| flag.iter().all(|&at| bytes.get(at) == Some(&sample[at]));
        let seen = match (is(&shared), is(&private)) {
            (true, _) => continue,
            (_, true) => format!("`{name}` is for the threads of one process"),
            _ => format!("the bytes of `{name}` are no semaphore of glibc's"),
        };
        return Err(fail("semaphore-is-private")
            .expected(format!("`{name}` is a semaphore for use between processes"))
            .seen(seen)
            .into());
    }
    Ok(())
}

/// A semaphore that we initialise for all processes, and one for the threads of one.
fn samples(scene: &mut Scene) -> Outcome<(Vec<u8>, Vec<u8>)> {
    let name = scene.name().to_owned();
    let peer: &mut Peer = scene.peer()?;
    peer.make(&name, 4096, 0o600)?;
    peer.sem_init(EMPTY, 1, true)?;
    peer.sem_init(FULL, 1, false)?;
    Ok((peer.read(EMPTY, SEMAPHORE)?, peer.read(FULL, SEMAPHORE)?))
}

pub(super) fn rest_is_zero(scene: &mut Scene) -> Outcome {
    let object = create(scene, &["3"])?;
    let touched = object.read(ROBUST, 40).iter().position(|&byte| byte != 0);
    match touched {
        None => Ok(()),
        Some(at) => Err(fail("robust-unasked")
            .expected("without --robust the bytes of `robust` stay zero")
            .seen(format!("the byte at offset {} is not zero", ROBUST + at as u64))
            .into()),
    }
}

pub(super) fn exclusive(scene: &mut Scene) -> Outcome {
    let object = create(scene, &["3"])?;
    let (bytes, inode) = (object.bytes(), object.inode());
    for arguments in [&["create", NAME, "3"][..], &["create", NAME, "7", "--slot", "128"]] {
        let ended = scene.run(arguments)?;
        must_exit(&ended, 10, "not-exclusive", "a second `create` of the same name")?;
        let now = scene.exists().then(|| scene.object()).transpose()?;
        if now.is_none_or(|now| now.inode() != inode || now.bytes() != bytes) {
            return Err(fail("not-exclusive")
                .expected("a second `create` changes nothing")
                .seen("the object behind the name has changed, or is gone")
                .into());
        }
    }
    Ok(())
}

pub(super) fn attaching(scene: &mut Scene) -> Outcome {
    let object = create(scene, &["3"])?;
    join(scene)?;
    ring::push(scene.peer()?, b"one\n")?;
    ring::push(scene.peer()?, b"two\n")?;
    let (bytes, inode) = (object.bytes(), object.inode());
    for side in [producer, consumer] {
        let actor = side(scene)?;
        let now = scene.object()?;
        if now.inode() != inode || now.len() != bytes.len() as u64 {
            return Err(fail("attaching-resets")
                .expected("who opens a buffer creates nothing and does not change its length")
                .seen(format!("after {} has attached there is another object", scene.role(actor)))
                .into());
        }
        let when = format!("with two messages in it, after {} has attached,", scene.role(actor));
        let seen = ring::values(scene.peer()?)?;
        if now.bytes() != bytes {
            let (empty, full, mutex) = seen;
            let (head, tail) = (now.u64(HEAD), now.u64(TAIL));
            return Err(fail("attaching-resets")
                .expected(format!(
                    "{when} `empty` is 1, `full` 2, `mutex` 1, `head` 0, `tail` 2, and no byte is \
                     another than before"
                ))
                .seen(format!(
                    "bytes have changed: `empty` is {empty}, `full` {full}, `mutex` {mutex}, \
                     `head` {head}, `tail` {tail}"
                ))
                .into());
        }
    }
    permits(scene, (1, 2, 1), By::Both, "after both have attached")?;
    scene.peer()?.sem_wait(MUTEX)?;
    for side in ["producer", "consumer"] {
        let bytes = scene.object()?.bytes();
        let actor = scene.start(&[side, NAME, "--step"])?;
        // Who takes the lock to open the buffer waits here, and that is no initialisation.
        if matches!(scene.event(actor), Event::Asleep(_)) {
            scene.kill(actor);
            continue;
        }
        let now = scene.object()?;
        if now.bytes() != bytes {
            return Err(fail("attaching-resets")
                .expected(format!(
                    "`mutex` is 0 and no byte is another than before, after your {side} has attached \
                     while our process holds the lock"
                ))
                .seen(format!("bytes have changed: `mutex` is {}", now.u32(MUTEX)))
                .into());
        }
    }
    Ok(())
}

pub(super) fn refusals(scene: &mut Scene) -> Outcome {
    for (capacity, code) in [("0", 15), ("2147483648", 18)] {
        let ended = scene.run(&["create", NAME, capacity])?;
        must_exit(&ended, code, "wrong-refusal", &format!("`create NAME {capacity}`"))?;
        no_name(scene, &format!("`create NAME {capacity}` is refused"))?;
    }
    // The object cannot have its length: whatever is made before that has to go again.
    let start = Start { largest_file: Some(4096), ..Start::default() };
    let ended = scene.run_with(&["create", NAME, "1000"], start)?;
    must_exit(&ended, 20, "wrong-refusal", "`create` that cannot give the object its length")?;
    no_name(scene, "`create` fails for want of room")
}

fn no_name(scene: &Scene, when: &str) -> Outcome {
    if !scene.exists() {
        return Ok(());
    }
    Err(fail("failed-create-leaves-a-name")
        .expected(format!("when {when}, no name is left"))
        .seen("the name is in /dev/shm")
        .into())
}

pub(super) fn opening_waits(scene: &mut Scene) -> Outcome {
    let patient = || Start::with_patience(LONG_PATIENCE);
    // Nothing there, then half-built, then ready: who opens waits through all of it.
    let early = scene.start_with(&["consumer", NAME, "--step"], patient())?;
    still_opens(scene, early, "nobody has made the buffer yet")?;
    let name = scene.name().to_owned();
    let shape = Shape::plain(3);
    let peer = scene.peer()?;
    ring::create(peer, &name, shape)?;
    let line = scene.line(early, "attaches to a buffer that is made after its start")?;
    expect_attached(&line)?;
    scene.renew();
    // A state that is not READY yet.
    let name = scene.name().to_owned();
    scene.peer()?.make(&name, shape.len(), 0o600)?;
    let early = scene.start_with(&["consumer", NAME, "--step"], patient())?;
    still_opens(scene, early, "the state is BUILDING")?;
    Ok(())
}

fn still_opens(scene: &mut Scene, actor: crate::scene::Actor, when: &str) -> Outcome {
    match scene.event(actor) {
        event @ (Event::Line(_) | Event::Ended(Exit::Code(101) | Exit::Signal(_))) => {
            Err(scene.explain(actor, &format!("waits while {when}"), event))
        }
        Event::Ended(exit) => Err(fail("gives-up-opening")
            .expected(format!("while {when}, opening waits (5 s unless LAB_PATIENCE_MS is set)"))
            .seen(format!("your consumer {} at once", exit.told()))
            .into()),
        _ => Ok(()),
    }
}

fn expect_attached(line: &str) -> Outcome {
    if line == "attached" {
        return Ok(());
    }
    Err(fail("breaks-the-step-protocol").expected("`attached`").seen(line).into())
}

pub(super) fn opening_gives_up(scene: &mut Scene) -> Outcome {
    let start = || Start::with_patience(Duration::from_millis(100));
    let ended = scene.run_with(&["consumer", NAME], start())?;
    must_exit(&ended, 11, "wrong-refusal", "opening a name that nobody makes")?;
    no_name(scene, "opening gives up")?;
    let name = scene.name().to_owned();
    scene.peer()?.make(&name, Shape::plain(3).len(), 0o600)?;
    let ended = scene.run_with(&["consumer", NAME], start())?;
    must_exit(&ended, 14, "wrong-refusal", "opening a buffer that stays BUILDING")
}

pub(super) fn wrong_format(scene: &mut Scene) -> Outcome {
    type Break = fn(&mut Peer) -> crate::peer::Asked;
    let wrong: [(&str, Break); 9] = [
        ("another magic", |peer| peer.put64(prefix::MAGIC, prefix::magic(2))),
        ("version 2", |peer| peer.put32(prefix::VERSION, 2)),
        ("state 7", |peer| peer.put32(prefix::STATE, 7)),
        ("a total_len beyond the object", |peer| peer.put64(prefix::TOTAL_LEN, 1 << 20)),
        ("capacity 0", |peer| peer.put32(ring::CAPACITY, 0)),
        ("a capacity beyond the object", |peer| peer.put32(ring::CAPACITY, 1000)),
        ("slot_size 0", |peer| peer.put32(ring::SLOT_SIZE, 0)),
        ("slot_size 60", |peer| peer.put32(ring::SLOT_SIZE, 60)),
        ("lock 2", |peer| peer.put32(ring::LOCK, 2)),
    ];
    let shape = Shape::plain(3);
    for (what, damage) in wrong {
        let name = scene.name().to_owned();
        let peer = scene.peer()?;
        ring::create(peer, &name, shape)?;
        damage(peer)?;
        let before = scene.object()?.bytes();
        let ended = scene.run(&["consumer", NAME, "--step"])?;
        must_exit(&ended, 13, "accepts-a-wrong-format", &format!("opening a buffer with {what}"))?;
        let when = format!("refusing a buffer with {what}");
        untouched(&before, &scene.object()?.bytes(), &[], &when)?;
        scene.renew();
    }
    Ok(())
}
