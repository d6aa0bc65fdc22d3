//! The step waiting: programs whose patience comes to its end.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::waiting::{behind_its_back, naps, unchanged};
use super::{LEN, with_peer};
use crate::checks::naps::look;
use crate::deadline::Deadline;
use crate::diagnosis::fail;
use crate::peer::{prefix, table};
use crate::process::{Exit, LONG_PATIENCE, Start};
use crate::scene::{Actor, NAME, Scene};
use crate::verdict::{Outcome, Stop};
use crate::watch::Event;

/// Patience of a program that is meant to give up.
const SHORT: Duration = Duration::from_millis(200);
/// Who still waits so long after [`SHORT`] does not look at the clock, or not at the variable.
const GIVES_UP: Duration = Duration::from_secs(4);

pub(super) fn never_made(scene: &mut Scene) -> Outcome {
    gives_up(scene, 11, "there is never such a name")
}

pub(super) fn never_ready(scene: &mut Scene) -> Outcome {
    with_peer(scene, |peer, name| table::build(peer, name, LEN))?;
    gives_up(scene, 14, "the state stays BUILDING")?;
    scene.renew();
    with_peer(scene, |peer, name| peer.make(name, 0, 0o600))?;
    gives_up(scene, 14, "the object stays 0 bytes long")?;
    scene.renew();
    with_peer(scene, |peer, name| {
        peer.make(name, table::HEAP - 1, 0o600)?;
        table::write_prefix(peer, table::HEAP - 1)?;
        peer.put32(prefix::STATE, prefix::READY)
    })?;
    gives_up(scene, 14, "the object says READY and stays 639 bytes long")?;
    scene.renew();
    gives_up_on_a_late_object(scene)?;
    scene.renew();
    has_one_patience(scene)?;
    scene.renew();
    looks_without_patience(scene)
}

/// Who has no patience at all still looks once.
fn looks_without_patience(scene: &mut Scene) -> Outcome {
    with_peer(scene, |peer, name| table::create(peer, name, LEN, &[b"one\n"]))?;
    for role in ["consumer", "producer"] {
        let start = Start::with_patience(Duration::ZERO);
        let actor = scene.start_with(&[role, NAME, "--step"], start)?;
        match scene.answer(actor) {
            Event::Line(_) => {}
            Event::Ended(exit @ Exit::Code(10..=20)) => {
                let seen = format!("it {}", exit.told());
                return Err(fail("gives-up-early")
                    .expected(format!(
                        "with a patience of 0 {} opens an object that is READY",
                        scene.role(actor)
                    ))
                    .seen(seen)
                    .into());
            }
            event => return Err(scene.explain(actor, "opens an object that is READY", event)),
        }
    }
    Ok(())
}

/// The patience is that of opening as a whole: it does not begin anew where the object appears.
fn has_one_patience(scene: &mut Scene) -> Outcome {
    // Who begins anew waits for the whole patience once more, others for a quarter of it. Who seems to do
    // so, perhaps for the machine is busy, is tried with more, until seconds lie between the two.
    let hurried = [800, 2000].map(Duration::from_millis);
    let calm = Duration::from_secs(8);
    for patience in hurried {
        let (actor, since, in_time) = late_object(scene, patience)?;
        let decided = scene.until(|scene| ended(scene, actor) || since.elapsed() > patience);
        if in_time && decided && since.elapsed() < patience {
            return Ok(());
        }
        scene.renew();
    }
    // A try in which we were kept from looking tells nothing.
    let mut slow = 0;
    for _try in 0..20 {
        let (actor, since, in_time) = late_object(scene, calm)?;
        let naps = |scene: &Scene| look(scene, actor).sleeps;
        let before = naps(scene);
        scene.until(|scene| ended(scene, actor) || since.elapsed() > calm.mul_f64(0.75));
        if ended(scene, actor) {
            // Later than that it is the end of either wait.
            if in_time && since.elapsed() < calm {
                return Ok(());
            }
        } else if naps(scene).saturating_sub(before) >= before / 2 {
            return Err(begins_anew());
        } else {
            // Who counts its naps instead of looking at the clock takes long where the machine is busy,
            // yet it has only a third as many of them left. That is no wait anew.
            slow += 1;
            if slow == 3 {
                return Ok(());
            }
        }
        scene.renew();
    }
    Ok(())
}

fn begins_anew() -> Stop {
    fail("waits-too-long")
        .expected(
            "your consumer gives up when the patience is over, whatever it has seen meanwhile",
        )
        .seen("the object appears before the end of the patience, and it begins to wait anew")
        .into()
}

fn ended(scene: &Scene, actor: Actor) -> bool {
    scene.processes[actor.0].exit().is_some()
}

/// Starts a consumer and makes an empty object when three quarters of its patience are over. Returns the
/// moment before that, and whether the object was there before the end of the patience.
fn late_object(scene: &mut Scene, patience: Duration) -> Outcome<(Actor, Instant, bool)> {
    scene.peer()?;
    let start = Instant::now();
    let consumer = scene.start_with(&["consumer", NAME], Start::with_patience(patience))?;
    sleep((patience * 3 / 4).saturating_sub(start.elapsed()));
    let late = Instant::now();
    with_peer(scene, |peer, name| peer.make(name, 0, 0o600))?;
    Ok((consumer, late, start.elapsed() < patience))
}

/// What counts when the patience is over is what there is then, not what there was at first.
fn gives_up_on_a_late_object(scene: &mut Scene) -> Outcome {
    const STAGE: &str = "the object comes later and stays 0 bytes long";
    // On a busy machine the patience may be over before the object is there: then once more, with more.
    for patience in [1, 2, 4, 8, 16].map(Duration::from_secs) {
        let start = Instant::now();
        let actor = scene.start_with(&["consumer", NAME], Start::with_patience(patience))?;
        let naps = naps(scene, actor, "there is no such name");
        if ended(scene, actor) && start.elapsed() >= patience {
            scene.renew();
            continue;
        }
        naps?;
        let before = behind_its_back(scene, actor, |peer, name| peer.make(name, 0, 0o600))?;
        let in_time = start.elapsed() < patience / 2;
        let mut deadline = scene.deadline_of(GIVES_UP);
        let exit = gives_up_within(scene, actor, 14, STAGE, &mut deadline)?;
        unchanged(scene, Some(&before))?;
        if in_time {
            return ends_with(scene, actor, exit, 14, STAGE);
        }
        scene.renew();
    }
    Ok(())
}

/// Starts both programs with little patience and requires both to end with this code, and to look at the
/// variable: beside them the same two wait with [`LONG_PATIENCE`] patience.
fn gives_up(scene: &mut Scene, code: i32, stage: &str) -> Outcome {
    let before = if scene.exists() { Some(scene.object()?.bytes()) } else { None };
    let start = Instant::now();
    let patient = start_both(scene, LONG_PATIENCE)?;
    let hurried = start_both(scene, SHORT)?;
    let mut deadline = scene.deadline_of(GIVES_UP);
    while !hurried.iter().all(|&actor| ended(scene, actor)) && !deadline.is_over() {
        sleep(Duration::from_millis(1));
    }
    // A wait of seconds, the same whatever the variable says, can hide behind a busy machine. But then
    // the patient have waited as long, and end as well.
    let enough = (start.elapsed() * 2).min(LONG_PATIENCE);
    for (hurried, patient) in hurried.into_iter().zip(patient) {
        let exit = gives_up_within(scene, hurried, code, stage, &mut deadline);
        unchanged(scene, before.as_deref())?;
        ends_with(scene, hurried, exit?, code, stage)?;
        while !ended(scene, patient) && start.elapsed() < enough {
            sleep(Duration::from_millis(1));
        }
        if let Some(exit) = scene.processes[patient.0].exit()
            && start.elapsed() < LONG_PATIENCE
        {
            ends_with(scene, patient, exit, code, stage)?;
            return Err(waits_too_long(scene, patient, code, stage));
        }
    }
    Ok(())
}

fn start_both(scene: &mut Scene, patience: Duration) -> Outcome<[Actor; 2]> {
    let mut start = |role| scene.start_with(&[role, NAME], Start::with_patience(patience));
    Ok([start("consumer")?, start("producer")?])
}

/// Waits for a program whose patience is over to end.
fn gives_up_within(
    scene: &Scene,
    actor: Actor,
    code: i32,
    stage: &str,
    deadline: &mut Deadline,
) -> Outcome<Exit> {
    loop {
        if let Some(exit) = scene.processes[actor.0].exit() {
            return Ok(exit);
        }
        if deadline.is_over() {
            return Err(waits_too_long(scene, actor, code, stage));
        }
        sleep(Duration::from_millis(1));
    }
}

fn waits_too_long(scene: &Scene, actor: Actor, code: i32, stage: &str) -> Stop {
    fail("waits-too-long")
        .expected(exits_with(scene, actor, code))
        .seen(format!("{stage}, and it waits several times as long"))
        .into()
}

fn exits_with(scene: &Scene, actor: Actor, code: i32) -> String {
    format!("{} exits with {code} when its patience is over", scene.role(actor))
}

/// Requires this exit code of a program that has given up.
fn ends_with(scene: &mut Scene, actor: Actor, exit: Exit, code: i32, stage: &str) -> Outcome {
    match exit {
        Exit::Code(seen) if seen == code => Ok(()),
        Exit::Code(seen) if seen != 101 => Err(fail("gives-up-wrongly")
            .expected(exits_with(scene, actor, code))
            .seen(format!("{stage}, and it {}", exit.told()))
            .into()),
        _ => Err(scene.explain(actor, "gives up", Event::Ended(exit))),
    }
}
