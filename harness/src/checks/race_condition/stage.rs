//! What the checks of the race have in common: a shop, workers that go to the gate and through it,
//! and workers that run free.

use std::fs::File;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::checks::common::must_exit;
use crate::diagnosis::fail;
use crate::object::Object;
use crate::peer::shop::{self, ARRIVED, COUNTER, GO, MUTEX};
use crate::process::Start;
use crate::procfs;
use crate::scene::{Actor, NAME, Scene, count, shown};
use crate::verdict::{Outcome, Stop};
use crate::watch::{Event, Place};

/// Operations of one worker in a free run, where each is cheap.
pub(super) const MANY: u64 = 100_000;

/// How often the kernel is asked to let the one who was woken go first. It does so every time on a
/// calm machine, and often beside others who want the processor.
const ROUNDS: RangeInclusive<usize> = 4..=16;
/// A program that is kept waiting for its processor longer than this in one round is beside others.
const CALM: Duration = Duration::from_millis(2);

/// Plays a scene in which one worker gives way to another, several times, each on a fresh shop.
pub(super) fn rounds(scene: &mut Scene, play: fn(&mut Scene) -> Outcome) -> Outcome {
    let mut calm = 0;
    for _round in 0..*ROUNDS.end() {
        play(scene)?;
        let starved = scene.processes.iter().map(|process| procfs::starved(process.pid())).max();
        scene.renew();
        calm += usize::from(starved.is_none_or(|starved| starved < CALM));
        if calm >= *ROUNDS.start() {
            break;
        }
    }
    Ok(())
}

/// The partner makes a shop with so much in stock.
pub(super) fn open_shop(scene: &mut Scene, stock: u64) -> Outcome<Object> {
    let name = scene.name().to_owned();
    shop::create(scene.peer()?, &name, stock)?;
    scene.object()
}

/// A worker that does one operation for each line it is sent.
#[derive(Clone, Copy)]
pub(super) struct Worker {
    pub(super) actor: Actor,
    mode: &'static str,
}

impl Worker {
    /// A worker for which the gate is closed.
    pub(super) fn gated(scene: &mut Scene, mode: &'static str) -> Outcome<Worker> {
        let actor = scene.attach(&["worker", NAME, mode, "--gate"])?;
        Ok(Worker { actor, mode })
    }

    /// A worker for which the gate stands open.
    pub(super) fn free(scene: &mut Scene, mode: &'static str) -> Outcome<Worker> {
        let actor = scene.attach(&["worker", NAME, mode])?;
        Ok(Worker { actor, mode })
    }

    /// Begins one operation; returns what comes of it, when everybody on the stage is still.
    pub(super) fn begin(self, scene: &mut Scene, line: &str) -> Event {
        scene.send(self.actor, format!("{line}\n").as_bytes());
        scene.event(self.actor)
    }

    /// Begins one operation, which must stop at the gate.
    pub(super) fn to_the_gate(self, scene: &mut Scene, line: &str) -> Outcome {
        let event = self.begin(scene, line);
        self.must_be_at_the_gate(scene, event)
    }

    /// Requires the gate where `event` was seen.
    pub(super) fn must_be_at_the_gate(self, scene: &mut Scene, event: Event) -> Outcome {
        match event {
            event if sleeps_on(&event, GO) => Ok(()),
            Event::Line(line) => Err(fail("misses-the-gate")
                .expected(format!("a worker in the mode `{}` stops at the gate", self.mode))
                .seen(format!("it prints `{}` without having come to it", shown(&line)))
                .into()),
            event => Err(self.stuck(scene, "comes to the gate", event)),
        }
    }

    /// Begins and finishes one operation, with this line as its answer.
    pub(super) fn does(self, scene: &mut Scene, line: &str, answer: &str) -> Outcome {
        scene.send(self.actor, format!("{line}\n").as_bytes());
        self.answers(scene, answer)
    }

    /// Requires that the operation is finished with this line, and that the worker wants the next.
    pub(super) fn answers(self, scene: &mut Scene, answer: &str) -> Outcome {
        let line = self.finishes(scene)?;
        if line == answer {
            return Ok(());
        }
        Err(fail("wrong-answer")
            .expected(format!("a worker in the mode `{}` prints `{answer}`", self.mode))
            .seen(format!("it prints `{}`", shown(&line)))
            .into())
    }

    /// The line with which the operation is finished. The worker wants its next input by then, so
    /// that it has done all it does in an operation.
    pub(super) fn finishes(self, scene: &mut Scene) -> Outcome<String> {
        let doing = "finishes its operation";
        let line = match scene.answer(self.actor) {
            Event::Line(line) => line,
            event if sleeps_on(&event, GO) => {
                return Err(fail("gate-twice")
                    .expected("a worker that was let through the gate finishes its operation")
                    .seen("it stands at the gate once more")
                    .into());
            }
            event => return Err(self.stuck(scene, doing, event)),
        };
        match scene.event(self.actor) {
            Event::WantsInput => Ok(line),
            event => Err(scene.explain(self.actor, "waits for its next line of input", event)),
        }
    }

    /// The reason for a state nobody expects of a worker; the lock's ways of causing it come first.
    pub(super) fn stuck(self, scene: &mut Scene, doing: &str, event: Event) -> Stop {
        let in_the_lock = sleeps_on(&event, MUTEX);
        match self.mode {
            "mutex" | "write" | "read" | "sell" if in_the_lock => fail("keeps-the-lock")
                .expected("a worker gets the lock when nobody else is inside")
                .seen(format!(
                    "in the mode `{}` it sleeps in `mutex`, which nobody will give back",
                    self.mode
                ))
                .into(),
            mode if in_the_lock => fail("takes-the-lock")
                .expected(format!("the mode `{mode}` goes on while another holds the lock"))
                .seen("your worker sleeps in `mutex`")
                .into(),
            _ => scene.explain(self.actor, doing, event),
        }
    }

    /// Ends the worker's input and requires that it ends well.
    pub(super) fn ends(self, scene: &mut Scene) -> Outcome {
        scene.close_stdin(self.actor);
        let ended = scene.finish(self.actor, "ends when its input does")?;
        must_exit(&ended, 0, "ends-early", "a worker whose input has ended")
    }
}

/// Whether the program sleeps on this word of the segment.
pub(super) fn sleeps_on(event: &Event, word: u64) -> bool {
    matches!(event, Event::Asleep(Place::Segment { offset, .. }) if *offset == word)
}

/// Lets one worker through the gate.
pub(super) fn go(scene: &mut Scene) -> Outcome {
    Ok(scene.peer()?.sem_post(GO)?)
}

/// The partner takes the lock, and holds it until it gives it back.
pub(super) fn hold_the_lock(scene: &mut Scene) -> Outcome {
    Ok(scene.peer()?.sem_wait(MUTEX)?)
}

/// The partner gives the lock back.
pub(super) fn release_the_lock(scene: &mut Scene) -> Outcome {
    Ok(scene.peer()?.sem_post(MUTEX)?)
}

/// From now on, when `inside` gives the lock back to `waiting`, that one goes first: a step which
/// belongs under the lock and is done after it comes too late.
pub(super) fn takes_over(scene: &mut Scene, waiting: Worker, inside: Worker) {
    if !scene.gives_way(inside.actor, &[waiting.actor]) {
        scene.remark(
            "this machine does not let the grader choose who goes first, so a step that is done \
             after the lock was given back may have gone unseen",
        );
    }
}

/// Requires that nobody is inside after an operation, and that the lock is one lock still.
pub(super) fn lock_is_free(scene: &mut Scene) -> Outcome {
    let value = scene.peer()?.sem_value(MUTEX)?;
    let code = match value {
        1 => return Ok(()),
        ..=0 => "keeps-the-lock",
        _ => "gives-back-twice",
    };
    Err(fail(code)
        .expected("`mutex` is 1 when the operation is finished")
        .seen(format!("it is {value}"))
        .into())
}

/// Requires that a mode without a lock has left the lock alone while the partner held it.
pub(super) fn lock_is_untouched(scene: &mut Scene, mode: &str) -> Outcome {
    let value = scene.peer()?.sem_value(MUTEX)?;
    if value == 0 {
        return Ok(());
    }
    Err(fail("takes-the-lock")
        .expected(format!("the mode `{mode}` leaves `mutex` as it is, and another holds it"))
        .seen(format!("its value was 0 and is {value}"))
        .into())
}

/// Requires that so many calls of the gate have been made since the shop was opened.
pub(super) fn gate_was_called(scene: &mut Scene, times: i32) -> Outcome {
    let value = scene.peer()?.sem_value(ARRIVED)?;
    if value == times {
        return Ok(());
    }
    Err(fail("gate-twice")
        .expected(format!("`arrived` is {times}: one call of the gate in each operation"))
        .seen(format!("it is {value}"))
        .into())
}

/// Requires a value of the word that additions of this mode go to.
pub(super) fn counted(object: &Object, word: u64, name: &str, wanted: u64, when: &str) -> Outcome {
    let seen = object.u64(word);
    if seen == wanted {
        return Ok(());
    }
    let code = if seen == 0 { "not-in-the-segment" } else { "wrong-count" };
    Err(fail(code)
        .expected(format!("{name} is {wanted} {when}"))
        .seen(format!("it is {seen}"))
        .into())
}

/// Additions by one worker and then by another: each adds one, and the second goes on where the
/// first has ended, because what they count is in the segment and not in them.
pub(super) fn adds_alone(
    scene: &mut Scene,
    object: &Object,
    arguments: &[&str],
    mode: &'static str,
    (word, name): (u64, &str),
) -> Outcome {
    let arguments: Vec<&str> = ["worker", NAME, mode].iter().chain(arguments).copied().collect();
    let worker = Worker { actor: scene.attach(&arguments)?, mode };
    for operations in 1..=3_usize {
        worker.does(scene, "", "done")?;
        let when = format!("after {}", count(operations, "operation", "operations"));
        counted(object, word, name, operations as u64, &when)?;
        lock_is_free(scene)?;
    }
    worker.ends(scene)?;
    runs_free(scene, &[&arguments], 2, 2)?;
    let seen = object.u64(word);
    if seen == 2 {
        return Err(fail("not-in-the-segment")
            .expected(format!("{name} is 5 after 3 operations of one worker and 2 of the next"))
            .seen("it is 2: the second worker began again at 0")
            .into());
    }
    counted(object, word, name, 5, "after 3 operations of one worker and 2 of the next")?;
    lock_is_free(scene)
}

/// Runs a worker for each list of arguments, all at once, with so many lines of input each. Each
/// must end well and print `done N`. Returns what each has printed besides.
pub(super) fn runs_free(
    scene: &mut Scene,
    workers: &[&[&str]],
    lines: u64,
    done: u64,
) -> Outcome<Vec<String>> {
    let outputs = all_at_once(scene, workers, lines)?;
    let wanted = format!("done {done}");
    for output in &outputs {
        let last = output.lines().last().unwrap_or("");
        if last != wanted {
            return Err(fail("wrong-answer")
                .expected(format!("a worker with {lines} lines of input ends with `{wanted}`"))
                .seen(format!("it ends with `{}`", shown(last)))
                .into());
        }
    }
    Ok(outputs)
}

/// Runs a worker for each list of arguments, all at once, and returns what each has printed.
/// The lines count from 1, so that they are numbers to write as well.
pub(super) fn all_at_once(
    scene: &mut Scene,
    workers: &[&[&str]],
    lines: u64,
) -> Outcome<Vec<String>> {
    let input: String = (1..=lines).map(|number| format!("{number}\n")).collect();
    scene.input("lines", input.as_bytes())?;
    let mut actors = Vec::new();
    for arguments in workers {
        // Opened for each: workers that share a descriptor share how far it has been read.
        let input = File::open(scene.file("lines"))?;
        actors.push(scene.start_with(arguments, Start { input: Some(input), ..Start::default() })?);
    }
    let mut outputs = Vec::new();
    for actor in actors {
        let ended = scene.finish(actor, "works off its input")?;
        must_exit(&ended, 0, "ends-early", "a worker whose input has ended")?;
        outputs.push(String::from_utf8_lossy(&ended.output).into_owned());
    }
    Ok(outputs)
}

/// Four workers of one mode at once. Exact, or additions are lost.
pub(super) fn crowd_counts(scene: &mut Scene, mode: &'static str, lines: u64) -> Outcome {
    let object = open_shop(scene, 0)?;
    let worker: &[&str] = &["worker", NAME, mode];
    runs_free(scene, &[worker; 4], lines, lines)?;
    nothing_is_lost(&object, COUNTER, "counter", 4 * lines)?;
    lock_is_free(scene)
}

/// Requires the exact count after a free run.
pub(super) fn nothing_is_lost(object: &Object, word: u64, name: &str, wanted: u64) -> Outcome {
    let seen = object.u64(word);
    if seen == wanted {
        return Ok(());
    }
    Err(fail("loses-in-a-crowd")
        .expected(format!("{name} is {wanted} after so many operations of four workers at once"))
        .seen(format!("it is {seen}"))
        .into())
}
