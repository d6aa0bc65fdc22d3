//! The step life: a descriptor, a mapping and a name, and when each of them ends.

use std::time::Duration;

use super::{LEN, get, kill, peer_table, producer, put, with_peer};
use crate::checks::common::must_exit;
use crate::diagnosis::fail;
use crate::peer::{Asked, Peer, prefix, table};
use crate::process::{Exit, Start};
use crate::procfs;
use crate::scene::{Actor, NAME, Scene, count, shown};
use crate::verdict::Outcome;
use crate::watch::Event;

/// How many operations are counted.
const OPERATIONS: usize = 40;

pub(super) fn leaks_no_handles(scene: &mut Scene) -> Outcome {
    peer_table(scene, &[b"first"])?;
    let producer = producer(scene)?;
    put(scene, producer, b"x\n")?;
    let before = handles(scene, producer);
    for _ in 0..OPERATIONS {
        put(scene, producer, b"x\n")?;
    }
    not_more(scene, producer, before)?;
    let consumer = scene.attach(&["consumer", NAME])?;
    get(scene, consumer)?;
    still(scene, consumer)?;
    let before = handles(scene, consumer);
    for _ in 0..OPERATIONS {
        get(scene, consumer)?;
    }
    still(scene, consumer)?;
    not_more(scene, consumer, before)
}

/// Waits until a consumer asks for its next line of input.
fn still(scene: &mut Scene, consumer: Actor) -> Outcome {
    match scene.event(consumer) {
        Event::WantsInput => Ok(()),
        event => Err(scene.explain(consumer, "waits for the next line of stdin", event)),
    }
}

/// Mappings of the object, and open descriptors.
fn handles(scene: &Scene, actor: Actor) -> (usize, usize) {
    (scene.mappings(actor).len(), procfs::descriptors(scene.pid(actor)))
}

fn not_more(scene: &Scene, actor: Actor, before: (usize, usize)) -> Outcome {
    let now = handles(scene, actor);
    let told = |(mappings, descriptors): (usize, usize)| {
        format!(
            "{} and {}",
            count(mappings, "mapping", "mappings"),
            count(descriptors, "descriptor", "descriptors")
        )
    };
    if now.0 > before.0 || now.1 > before.1 {
        return Err(fail("leaks-handles")
            .expected(format!("after {OPERATIONS} more strings as before: {}", told(before)))
            .seen(format!("{} has {}", scene.role(actor), told(now)))
            .into());
    }
    Ok(())
}

pub(super) fn leaves_the_name(scene: &mut Scene) -> Outcome {
    peer_table(scene, &[b"first\n"])?;
    let inode = scene.object()?.inode();
    for role in ["producer", "consumer"] {
        let actor = scene.start(&[role, NAME])?;
        if role == "producer" {
            scene.send(actor, b"second\n");
        }
        scene.close_stdin(actor);
        let ended = scene.finish(actor, "does its work and ends")?;
        let removed = |what: String| {
            let expected = format!("the name and its object outlive the {role}");
            Err(fail("removes-the-name").expected(expected).seen(what).into())
        };
        if !scene.exists() {
            return removed("the name is gone".to_owned());
        }
        let object = scene.object()?;
        if object.inode() != inode {
            return removed("another object is behind the name now".to_owned());
        }
        if object.len() != LEN {
            return removed(format!("the object had {LEN} bytes and has {}", object.len()));
        }
        must_exit(&ended, 0, "ends-early", &format!("`{role}`"))?;
    }
    Ok(())
}

pub(super) fn survives_a_killed_producer(scene: &mut Scene) -> Outcome {
    let ended = scene.run(&["create", NAME, "4096"])?;
    must_exit(&ended, 0, "create-fails", "`create`")?;
    let first = producer(scene)?;
    put(scene, first, b"one\n")?;
    put(scene, first, b"two\n")?;
    kill(scene, first);
    let second = producer(scene)?;
    put(scene, second, b"three\n")?;
    kill(scene, second);
    let ended = scene.run(&["consumer", NAME])?;
    must_exit(&ended, 0, "ends-early", "`consumer`")?;
    if ended.output != b"one\ntwo\nthree\n" {
        return Err(fail("loses-strings")
            .expected("`one`, `two` and `three`, each put before its producer was killed")
            .seen(format!(
                "the consumer prints `{}`",
                shown(&String::from_utf8_lossy(&ended.output))
            ))
            .into());
    }
    Ok(())
}

pub(super) fn destroys(scene: &mut Scene) -> Outcome {
    peer_table(scene, &[b"first\n"])?;
    takes_the_name_away(scene, "no name after `destroy`")?;
    let ended = scene.run(&["destroy", NAME])?;
    must_exit(&ended, 11, "destroys-nothing", "`destroy` of a name that nobody has")?;
    removes_whatever_it_names(scene)
}

/// A name is removed without a look at the object: the one that nobody finished is in the way most.
fn removes_whatever_it_names(scene: &mut Scene) -> Outcome {
    let unfinished: fn(&mut Peer, &str) -> Asked = |peer, name| peer.make(name, 0, 0o600);
    let foreign: fn(&mut Peer, &str) -> Asked = |peer, name| {
        table::create(peer, name, LEN, &[])?;
        peer.put64(prefix::MAGIC, prefix::magic(2))
    };
    for (make, what) in [(unfinished, "an object of 0 bytes"), (foreign, "another lab's object")] {
        scene.renew();
        with_peer(scene, make)?;
        let expected = format!("no name after `destroy`, though it is that of {what}");
        takes_the_name_away(scene, &expected)?;
    }
    Ok(())
}

fn takes_the_name_away(scene: &mut Scene, expected: &str) -> Outcome {
    // Who opens the object first, in spite of all, shall not take long over it.
    let start = Start::with_patience(Duration::from_millis(200));
    let ended = scene.run_with(&["destroy", NAME], start)?;
    if scene.exists() {
        return Err(fail("keeps-the-name")
            .expected(expected)
            .seen(format!("`destroy` {}, and the name is still there", ended.exit.told()))
            .into());
    }
    must_exit(&ended, 0, "keeps-the-name", "`destroy`")
}

pub(super) fn outlives_the_name(scene: &mut Scene) -> Outcome {
    peer_table(scene, &[b"one"])?;
    let mut actors = Vec::new();
    for role in ["consumer", "producer"] {
        // Who looks the name up again later shall not take long to say that it is gone.
        let start = Start::with_patience(Duration::from_millis(300));
        let actor = scene.start_with(&[role, NAME, "--step"], start)?;
        scene.line(actor, "opens the segment and prints `attached`")?;
        actors.push(actor);
    }
    let (consumer, producer) = (actors[0], actors[1]);
    let ended = scene.run(&["destroy", NAME])?;
    must_exit(&ended, 0, "keeps-the-name", "`destroy`")?;
    works_on(scene, producer, b"two\n")?;
    let peer = with_peer(scene, |peer, _| peer.get32(table::COUNT))?;
    if peer != 2 {
        return Err(lost(format!("the producer puts a string, and others see {peer} of 2")));
    }
    for wanted in ["6f6e65", "74776f0a"] {
        let line = works_on(scene, consumer, b"\n")?;
        if line != format!("consumed {wanted}") {
            return Err(lost(format!("the consumer prints `{}`", shown(&line))));
        }
    }
    if scene.exists() {
        return Err(lost("the name is there again".to_owned()));
    }
    Ok(())
}

/// Has a program whose object has lost its name do one more operation; returns its line.
fn works_on(scene: &mut Scene, actor: Actor, input: &[u8]) -> Outcome<String> {
    scene.send(actor, input);
    match scene.answer(actor) {
        Event::Line(line) => Ok(line),
        Event::Ended(exit @ Exit::Code(11 | 14)) => {
            Err(lost(format!("{} {}", scene.role(actor), exit.told())))
        }
        event => Err(scene.explain(actor, "goes on after `destroy`", event)),
    }
}

fn lost(seen: String) -> crate::verdict::Stop {
    fail("lost-with-the-name")
        .expected("who has the object mapped goes on as before when its name is gone")
        .seen(seen)
        .into()
}
