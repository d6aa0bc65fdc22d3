//! The step waiting: a creator in slow motion, and what its partners do meanwhile.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::mman::shm_unlink;
use nix::sys::signal::Signal;

use super::{LEN, create::ordered, first_change, with_peer};
use crate::checks::naps::{LONG_NAP, Nap, TooLong, look};
use crate::diagnosis::fail;
use crate::peer::{Asked, Peer, prefix, table};
use crate::process::{Exit, LONG_PATIENCE, Start};
use crate::procfs;
use crate::scene::{Actor, NAME, Scene, shown};
use crate::verdict::{Outcome, Stop};
use crate::watch::{Event, spins};

/// Time over which the processor time of a waiting program is taken.
const WINDOW: Duration = Duration::from_millis(250);

pub(super) fn consumer_waits(scene: &mut Scene) -> Outcome {
    slow_creator(scene, "consumer")?;
    scene.renew();
    second_creator(scene, "consumer")
}

pub(super) fn producer_waits(scene: &mut Scene) -> Outcome {
    slow_creator(scene, "producer")?;
    scene.renew();
    second_creator(scene, "producer")
}

/// Starts a program before there is a name, and makes the table one stage after another.
fn slow_creator(scene: &mut Scene, role: &str) -> Outcome {
    let start = Start::with_patience(LONG_PATIENCE);
    let actor = scene.start_with(&[role, NAME, "--step"], start)?;
    stays_put(scene, actor, None, "there is no such name")?;
    let before = behind_its_back(scene, actor, |peer, name| peer.make(name, 0, 0o600))?;
    stays_put(scene, actor, Some(&before), "the object is 0 bytes long")?;
    let descriptors = procfs::descriptors(scene.pid(actor));
    let before = behind_its_back(scene, actor, |peer, _| peer.resize(100))?;
    stays_put(scene, actor, Some(&before), "the object is 100 bytes long")?;
    let before = behind_its_back(scene, actor, |peer, _| peer.resize(LEN))?;
    stays_put(scene, actor, Some(&before), "the object has its length, and is all zero")?;
    let before = behind_its_back(scene, actor, |peer, _| {
        peer.put64(prefix::MAGIC, 0x6b72_6f77)?;
        peer.put32(prefix::VERSION, 9)?;
        peer.put64(prefix::TOTAL_LEN, LEN * 2)
    })?;
    stays_put(scene, actor, Some(&before), "the prefix is half-written, and the state BUILDING")?;
    let before = behind_its_back(scene, actor, |peer, _| table::write_prefix(peer, LEN))?;
    stays_put(scene, actor, Some(&before), "the prefix is written, and the state BUILDING")?;
    leaves_the_processor(scene, actor)?;
    opens_no_more(scene, actor, descriptors)?;
    let before = behind_its_back(scene, actor, |peer, _| {
        // More than the entries need, as a producer leaves it that is killed before it stores `count`.
        peer.put32(table::HEAP_USED, 10)?;
        peer.put32(prefix::STATE, prefix::READY)
    })?;
    goes_on(scene, actor)?;
    unchanged(scene, Some(&before))
}

/// A creator fails after the program has seen its object, and another one makes the table.
fn second_creator(scene: &mut Scene, role: &str) -> Outcome {
    let start = Start::with_patience(LONG_PATIENCE);
    let actor = scene.start_with(&[role, NAME, "--step"], start)?;
    let before = behind_its_back(scene, actor, |peer, name| table::build(peer, name, LEN))?;
    stays_put(scene, actor, Some(&before), "the state is BUILDING")?;
    let before = behind_its_back(scene, actor, |peer, name| {
        // Where this fails, the name is still taken, and so does the next line.
        let _ = shm_unlink(name);
        table::create(peer, name, LEN, &[])
    })?;
    goes_on(scene, actor)?;
    unchanged(scene, Some(&before))
}

/// Requires that a program which looks again and again does not keep what it opens for a look.
fn opens_no_more(scene: &Scene, actor: Actor, before: usize) -> Outcome {
    /// It may keep one for each stage it has seen.
    const FEW: usize = 8;
    let now = procfs::descriptors(scene.pid(actor));
    if now <= before + FEW {
        return Ok(());
    }
    Err(fail("leaks-handles")
        .expected(format!("{} closes what it has opened for a look", scene.role(actor)))
        .seen("it has more descriptors open with each look")
        .into())
}

/// Has the peer do its next piece of work while the program is stopped, and returns the object's bytes
/// as the peer left them: however late we look, nothing that the program does is among them.
pub(super) fn behind_its_back(
    scene: &mut Scene,
    actor: Actor,
    work: impl FnOnce(&mut Peer, &str) -> Asked,
) -> Outcome<Vec<u8>> {
    scene.stop(actor);
    with_peer(scene, work)?;
    let before = scene.object()?.bytes();
    scene.signal(actor, Signal::SIGCONT);
    Ok(before)
}

/// Requires the program to wait in this stage, silently and asleep, and to leave the object as it was
/// before.
fn stays_put(scene: &mut Scene, actor: Actor, before: Option<&[u8]>, stage: &str) -> Outcome {
    let outcome = naps(scene, actor, stage);
    // What it did to the object explains whatever it did next.
    if !matches!(outcome, Err(Stop::NotStarted(_))) {
        unchanged(scene, before)?;
    }
    outcome
}

/// Waits until the program has looked at this stage at least twice and gone back to sleep.
pub(super) fn naps(scene: &mut Scene, actor: Actor, stage: &str) -> Outcome {
    let pid = scene.pid(actor);
    let cpu = procfs::cpu_time(pid);
    let mut deadline = scene.deadline();
    let (mut first, mut last, mut seen) = (None, None, 0);
    let mut nap = Nap::default();
    loop {
        if let Some(line) = scene.processes[actor.0].take_line() {
            return Err(fail("goes-on-too-early")
                .expected(format!("{} waits as long as {stage}", scene.role(actor)))
                .seen(format!("it prints `{}`", shown(&line)))
                .into());
        }
        if let Some(exit) = scene.processes[actor.0].exit() {
            return Err(ended_while_waiting(scene, actor, exit, stage));
        }
        let look = look(scene, actor);
        let naps = look.sleeps.saturating_sub(*first.get_or_insert(look.sleeps));
        // Only naps that were seen count: at its start a program also waits for the disk.
        if look.asleep && last.replace(look.sleeps) != Some(look.sleeps) {
            seen += 1;
        }
        if seen > 3 {
            return Ok(());
        }
        nap.watch(&look).map_err(|TooLong| too_long(scene, actor, stage))?;
        let late = deadline.is_over();
        // Who yields in a loop has had its time with hardly any of a busy processor's.
        let yields = late && deadline.was_given_away();
        if yields || spins(procfs::cpu_time(pid).saturating_sub(cpu), naps) {
            return Err(fail("spins")
                .expected(format!("{} sleeps between two looks while {stage}", scene.role(actor)))
                .seen("it uses the processor all the time")
                .into());
        }
        if late {
            let doing = format!("sleeps and looks again while {stage}");
            return Err(scene.explain(actor, &doing, Event::Silent));
        }
        sleep(Duration::from_millis(1));
    }
}

fn ended_while_waiting(scene: &mut Scene, actor: Actor, exit: Exit, stage: &str) -> Stop {
    let doing = format!("waits as long as {stage}");
    let code = match exit {
        Exit::Code(13) => "refuses-half-built",
        Exit::Code(10..=20 | 0) => "gives-up-early",
        _ => return scene.explain(actor, &doing, Event::Ended(exit)),
    };
    fail(code)
        .expected(format!("{} {doing}", scene.role(actor)))
        .seen(format!("it {}", exit.told()))
        .into()
}

/// One sleep that was too long.
fn too_long(scene: &Scene, actor: Actor, stage: &str) -> Stop {
    fail("naps-too-long")
        .expected(format!("{} looks again within 250 ms while {stage}", scene.role(actor)))
        .seen("a single sleep of it lasts more than 500 ms")
        .into()
}

/// Requires a program that waits to use at most a tenth of a processor, with a wide margin. What is
/// counted as its time is the time it slept or ran: a busy machine makes no difference.
fn leaves_the_processor(scene: &mut Scene, actor: Actor) -> Outcome {
    let pid = scene.pid(actor);
    let (start, cpu, before) = (Instant::now(), procfs::cpu_time(pid), procfs::starved(pid));
    let (used, window) = loop {
        sleep(Duration::from_millis(5));
        // In this order, since we may be kept waiting between two of them: the window is never too short.
        let used = procfs::cpu_time(pid).saturating_sub(cpu);
        let starved = procfs::starved(pid).saturating_sub(before);
        let window = start.elapsed().saturating_sub(starved);
        if window >= WINDOW {
            break (used, window);
        }
    };
    if used > window.mul_f64(0.25) {
        return Err(fail("burns-while-waiting")
            .expected(format!(
                "{} uses at most 10 % of a processor while it waits for READY",
                scene.role(actor)
            ))
            .seen("it uses more than 25 %")
            .into());
    }
    Ok(())
}

/// Requires the program to print `attached` now that the object is READY.
fn goes_on(scene: &mut Scene, actor: Actor) -> Outcome {
    let start = Instant::now();
    let mut nap = Nap::default();
    loop {
        if scene.processes[actor.0].exit().is_some() || start.elapsed() > LONG_NAP * 4 {
            break;
        }
        let look = look(scene, actor);
        if let Some(line) = scene.processes[actor.0].take_line() {
            return if line == "attached" {
                Ok(())
            } else {
                Err(fail("breaks-the-step-protocol")
                    .expected("`attached` as its first line with --step")
                    .seen(format!("{} prints `{}`", scene.role(actor), shown(&line)))
                    .into())
            };
        }
        nap.watch(&look).map_err(|TooLong| too_long(scene, actor, "the object is READY"))?;
        sleep(Duration::from_millis(1));
    }
    match scene.answer(actor) {
        Event::Line(_) => Ok(()),
        Event::Ended(exit @ Exit::Code(11 | 14)) => {
            Err(misses_ready(scene, actor, &format!(", and {}", exit.told())))
        }
        Event::Polls | Event::Silent => Err(misses_ready(scene, actor, "")),
        event => Err(scene.explain(actor, "goes on when the object is READY", event)),
    }
}

fn misses_ready(scene: &Scene, actor: Actor, then: &str) -> Stop {
    fail("misses-ready")
        .expected(format!("{} goes on when the object is READY", scene.role(actor)))
        .seen(format!("it goes on waiting{then}"))
        .into()
}

/// Requires the object to be as it was: there or not, as long, the same bytes.
pub(super) fn unchanged(scene: &Scene, before: Option<&[u8]>) -> Outcome {
    let changed = |what: String| {
        let expected = "opening makes nothing, changes no length and stores nothing";
        Err(fail("changes-on-opening").expected(expected).seen(what).into())
    };
    let Some(before) = before else {
        if scene.exists() {
            return changed("there was no such name, and now there is".to_owned());
        }
        return Ok(());
    };
    if !scene.exists() {
        return Err(fail("removes-the-name")
            .expected("the name stays when somebody opens the object, or fails to")
            .seen("the name is gone")
            .into());
    }
    let now = scene.object()?.bytes();
    if now.len() != before.len() {
        return changed(format!("the object had {} bytes and has {}", before.len(), now.len()));
    }
    first_change(before, &now).map_or(Ok(()), changed)
}

pub(super) fn acquires_ready(scene: &mut Scene) -> Outcome {
    ordered(scene.bench().orderings()?.acquire_at(prefix::STATE), "reads-relaxed", "state")
}
