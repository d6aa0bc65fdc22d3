//! Step waiting: an empty buffer costs almost nothing, and a new message is noticed soon.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::gettid;

use crate::checks::naps::{Nap, TooLong, look};
use crate::checks::unbounded_buffer::stage::{
    CONSUMER, as_long_as, empty, filled, message, messages, rests, take, taken,
};
use crate::diagnosis::fail;
use crate::peer::log::{self, FIRST_LEN};
use crate::process::{Exit, Start};
use crate::procfs::{self, Task};
use crate::scene::{Actor, Idle, Scene, shown};
use crate::verdict::Outcome;
use crate::watch::Event;

/// How long a consumer looks for its buffer, where it has more time than that to wait at it.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long the consumer is left alone at the empty buffer.
const WINDOW: Duration = Duration::from_millis(400);
/// Share of the window in percent that it may use. The rule says 10; on a loaded machine the
/// kernel's own work for a nap weighs more, and who burns the processor uses 100.
const MOST: u32 = 20;
/// A message later than this is late: twice the rule, so that nobody fails by an inaccurate clock.
const LATE: Duration = Duration::from_millis(500);

pub(super) fn waits(scene: &mut Scene) -> Outcome {
    let object = filled(scene, &messages(0..2), 0)?;
    let consumer = attach_with_little_patience(scene)?;
    take(scene, consumer, 0, &messages(0..2))?;
    scene.send(consumer, b"\n");
    // Whether it spins is the next check's question, and what it sleeps on is its own affair.
    let event = match scene.event(consumer) {
        event @ (Event::Polls | Event::Spins | Event::Silent) => {
            ends_after(scene, consumer, 4 * PATIENCE).map_or(event, Event::Ended)
        }
        event => event,
    };
    let seen = match event {
        Event::Line(line) => format!("your consumer prints `{}`", shown(&line)),
        Event::WantsInput => "your consumer takes nothing and wants the next line".to_owned(),
        Event::Asleep(_) => {
            "your consumer sleeps until somebody wakes it, and no producer will".to_owned()
        }
        Event::Ended(exit) => {
            // A `todo!` or a panic has a diagnosis of its own.
            let stop = scene.explain(consumer, "waits for the next message", Event::Ended(exit));
            let general = matches!(exit, Exit::Code(code) if code != 101);
            if !general {
                return Err(stop);
            }
            format!("your consumer {}", exit.told())
        }
        event @ Event::Floods => {
            return Err(scene.explain(consumer, "waits for the next message", event));
        }
        Event::Polls | Event::Spins | Event::Silent => {
            as_long_as(&object, FIRST_LEN, "your consumer")?;
            log::push(scene.peer()?, &message(2))?;
            return taken(scene, consumer, 2, &message(2));
        }
    };
    Err(fail("does-not-wait")
        .expected("a consumer that has taken everything waits for the next message")
        .seen(seen)
        .into())
}

/// Starts a consumer whose patience is soon at its end, should it count for more than opening.
fn attach_with_little_patience(scene: &mut Scene) -> Outcome<Actor> {
    let start = Start::with_patience(PATIENCE);
    let consumer = scene.start_with(&[CONSUMER, &["--step"]].concat(), start)?;
    scene.line(consumer, "opens the segment and prints `attached`")?;
    Ok(consumer)
}

/// Leaves the program alone for so long; says how it ended, if it did.
fn ends_after(scene: &mut Scene, actor: Actor, window: Duration) -> Option<Exit> {
    let mut left_alone = scene.deadline_of(window);
    scene.until(|scene| scene.processes[actor.0].exit().is_some() || left_alone.is_over());
    scene.processes[actor.0].exit()
}

pub(super) fn costs_little(scene: &mut Scene) -> Outcome {
    empty(scene)?;
    let consumer = scene.attach(CONSUMER)?;
    scene.send(consumer, b"\n");
    // Twice, and longer the second time, before anybody is accused.
    if too_much(scene.idle(consumer, WINDOW)) && too_much(scene.idle(consumer, 2 * WINDOW)) {
        return Err(fail("burns-the-processor")
            .expected("a consumer at an empty buffer uses at most 10 % of a processor")
            .seen("your consumer uses far more: it hardly rests between two looks")
            .into());
    }
    // It was a wait all the time, and not an end.
    log::push(scene.peer()?, &message(0))?;
    taken(scene, consumer, 0, &message(0))?;
    each_wait_costs_little(scene, consumer)
}

/// Requires that no wait begins with a long time of quick looks: where messages come now and then, such
/// waits are all there are.
fn each_wait_costs_little(scene: &mut Scene, consumer: Actor) -> Outcome {
    const ROUNDS: u64 = 5;
    /// Who looks quickly for a time of the clock's gets few looks on a busy machine, and now and then
    /// gets many.
    const TRIES: u64 = 15;
    // Twice, before anybody is accused.
    let (mut dear, mut cheap) = (0, 0);
    for round in 1..=TRIES {
        rests(scene, consumer)?;
        match begin_of_wait(scene, consumer) {
            Begin::Dear => dear += 1,
            Begin::Cheap => cheap += 1,
            Begin::Unclear => {}
        }
        if dear == 2 {
            return Err(fail("burns-the-processor")
                .expected(
                    "at most 20 ms of quick looks, and 20 yields, before the first sleep of a wait",
                )
                .seen("your consumer takes far more of them before it sleeps, and does so again")
                .into());
        }
        log::push(scene.peer()?, &message(round))?;
        taken(scene, consumer, round, &message(round))?;
        if dear + cheap == ROUNDS {
            break;
        }
    }
    Ok(())
}

/// Requires that no sleep is long, also after a while: some make each as long as all before it.
fn looks_again(scene: &Scene, consumer: Actor) -> Outcome {
    const WHILE: Duration = Duration::from_secs(3);
    let mut watched = scene.deadline_of(WHILE);
    let mut nap = Nap::default();
    while !watched.is_over() {
        nap.watch(&look(scene, consumer)).map_err(|TooLong| {
            fail("comes-late").expected("a message comes out within 250 ms").seen(
                "at a buffer that stays empty your consumer sleeps more than 500 ms at a time",
            )
        })?;
        sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// What a consumer does before the first sleep of a wait.
enum Begin {
    /// Far more than the rule allows.
    Dear,
    /// What the rule allows, and it could have done more.
    Cheap,
    /// Nothing can be said: it might have done more with the processor to itself, or we looked late.
    Unclear,
}

/// Lets the consumer begin a wait, and looks at it until it sleeps. How long that takes says nothing: on
/// a busy machine a single yield can last long.
fn begin_of_wait(scene: &mut Scene, consumer: Actor) -> Begin {
    /// Both are more than the rule allows: it may be interrupted, and a processor may be slow.
    const YIELDS: u64 = 30;
    const LOOKS: Duration = Duration::from_millis(50);
    /// Who looks quickly for a time of the clock's, on a busy machine, yields oftener than this.
    const FEW: u64 = 10;
    let pid = scene.pid(consumer);
    let yields = || procfs::tasks(pid).iter().map(|task| task.pushed_aside).sum::<u64>();
    let sleeps = || procfs::sleeps(&procfs::tasks(pid));
    let before = (sleeps(), procfs::cpu_time(pid), yields());
    scene.send(consumer, b"\n");
    let mut begin = Begin::Cheap;
    scene.until(|scene| {
        let yields = yields().saturating_sub(before.2);
        let much = yields > YIELDS || procfs::cpu_time(pid).saturating_sub(before.1) > LOOKS;
        // Asked last: what comes behind its first sleep is another matter.
        let tasks = procfs::tasks(pid);
        let sleeps = procfs::sleeps(&tasks).saturating_sub(before.0);
        let in_the_first = sleeps == 1 && tasks.iter().all(|task| task.asleep);
        if much && (sleeps == 0 || in_the_first) {
            begin = Begin::Dear;
        } else if sleeps > 0 && (much || yields > FEW) {
            begin = Begin::Unclear;
        }
        sleeps > 0 || matches!(begin, Begin::Dear) || scene.processes[consumer.0].exit().is_some()
    });
    begin
}

/// Whether it is more than a wait may cost.
fn too_much(Idle { window, cpu, starved, sleeps }: Idle) -> bool {
    // On a busy machine a loop of yields gets little, yet it wants all of it: it never sleeps.
    let never_rests = sleeps == 0 && (cpu + starved) * 2 > window;
    never_rests || cpu * 100 > window * MOST
}

pub(super) fn notices_soon(scene: &mut Scene) -> Outcome {
    const ROUNDS: u64 = 5;
    empty(scene)?;
    let consumer = scene.attach(CONSUMER)?;
    let pid = scene.pid(consumer);
    // Ours is the machine's fault as well.
    let starved = || procfs::starved(pid) + procfs::starved(gettid());
    let mut late = 0;
    for round in 0..ROUNDS {
        scene.send(consumer, b"\n");
        // In the first round it has had time to fall into its longest sleep.
        if round == 0 {
            sleep(WINDOW);
        }
        asleep(scene, consumer);
        let before = starved();
        log::push(scene.peer()?, &message(round))?;
        let start = Instant::now();
        taken(scene, consumer, round, &message(round))?;
        let starved = starved().saturating_sub(before);
        late += u64::from(start.elapsed().saturating_sub(starved) > LATE);
        if late * 2 > ROUNDS {
            return Err(fail("comes-late")
                .expected("a message comes out within 250 ms")
                .seen("most of them take more than twice as long, because your consumer sleeps")
                .into());
        }
        rests(scene, consumer)?;
    }
    scene.send(consumer, b"\n");
    looks_again(scene, consumer)?;
    log::push(scene.peer()?, &message(ROUNDS))?;
    taken(scene, consumer, ROUNDS, &message(ROUNDS))
}

/// Waits a moment for the consumer to be in the middle of a nap, if it takes naps at all.
fn asleep(scene: &mut Scene, consumer: Actor) {
    let start = Instant::now();
    let naps = |scene: &Scene| procfs::tasks(scene.pid(consumer)).iter().any(Task::naps);
    while !naps(scene) && start.elapsed() < Duration::from_millis(50) {
        sleep(Duration::from_micros(200));
    }
}
