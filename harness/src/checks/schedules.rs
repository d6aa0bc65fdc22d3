//! What the labs check alike under every schedule: a small piece is run in all of them, and nothing
//! may go wrong in any.

use std::thread::available_parallelism;

use crate::bench::Bench;
use crate::cleanup;
use crate::diagnosis::{self, Diagnosis, fail};
use crate::exploration::pieces::{self, Piece};
use crate::exploration::{Explored, Fault, Model, Request, SCHEDULES, Way};
use crate::scene::Scene;
use crate::verdict::{Outcome, Stop};

/// Plays the pieces, each under every schedule it is made for. A pass says what it covered.
///
/// # Errors
///
/// The diagnosis that fits the first fault, with the run that shows it and the word that shows it
/// again.
pub(super) fn every(scene: &mut Scene, lab: &str, pieces: &[&str]) -> Outcome {
    every_after(scene, lab, &[], pieces)
}

/// As [`every`], for what two of the student's programs do together: not judged when a piece of
/// `alone`, which looks at one of them by itself, goes wrong, so that the other is not blamed.
///
/// # Errors
///
/// As [`every`].
pub(super) fn every_after(
    scene: &mut Scene,
    lab: &str,
    alone: &[&str],
    pieces: &[&str],
) -> Outcome {
    let all = alone.iter().chain(pieces).map(|id| known(lab, id)).collect::<Outcome<Vec<_>>>()?;
    let answers = ask_all(scene.bench(), &all);
    for (number, (piece, explored)) in all.iter().zip(answers).enumerate() {
        let explored = explored?;
        match explored.fault {
            Some(_) if number < alone.len() => {
                return Err(Stop::NotChecked(format!("there is a fault in {}", piece.title)));
            }
            Some(fault) => return Err(diagnose(piece, &explored, fault).into()),
            None if number < alone.len() => {}
            None => scene.remark(format!("{}: {}", piece.title, explored.coverage)),
        }
    }
    Ok(())
}

/// Runs the piece once, by this schedule.
///
/// # Errors
///
/// `NotChecked` where it cannot be done.
pub(super) fn replay(
    scene: &mut Scene,
    lab: &str,
    piece: &str,
    schedule: &str,
) -> Outcome<Explored> {
    ask(scene.bench(), known(lab, piece)?, Way::Replay(schedule.to_owned()), processor())
}

/// Two ways to see the same thing: neither may fail, and one of them is enough to decide.
///
/// # Errors
///
/// What one of them says; `NotChecked` when both do.
pub(super) fn either(one: Outcome, other: impl FnOnce() -> Outcome) -> Outcome {
    match one {
        Err(Stop::NotChecked(_)) => other(),
        Ok(()) => match other() {
            Err(Stop::NotChecked(_)) => Ok(()),
            outcome => outcome,
        },
        outcome => outcome,
    }
}

fn known(lab: &str, piece: &str) -> Outcome<&'static Piece> {
    let unknown = || Stop::Broken(format!("{lab} has no piece `{piece}`"));
    pieces::find(lab, piece).ok_or_else(unknown)
}

/// Asks about all pieces, as many at once as there are processors.
fn ask_all(bench: &Bench, pieces: &[&Piece]) -> Vec<Outcome<Explored>> {
    let seats = available_parallelism().map_or(1, usize::from);
    let here = processor();
    let mut answers = Vec::new();
    for group in pieces.chunks(seats) {
        std::thread::scope(|scope| {
            let asked: Vec<_> = (here..)
                .zip(group)
                .map(|(seat, piece)| scope.spawn(move || ask(bench, piece, piece.way(), seat)))
                .collect();
            let died = || Err(Stop::Broken("asking the tracer failed".to_owned()));
            answers.extend(asked.into_iter().map(|asked| asked.join().unwrap_or_else(|_| died())));
        });
    }
    answers
}

/// The one we are running on: gradings side by side are on different ones.
fn processor() -> usize {
    nix::sched::sched_getcpu().unwrap_or(0)
}

fn ask(bench: &Bench, piece: &Piece, way: Way, seat: usize) -> Outcome<Explored> {
    // A name of its own: pieces are played side by side, and some make their segment themselves.
    let name = cleanup::fresh_name();
    let request = Request {
        program: bench.program.clone(),
        harness: bench.peer_program.clone(),
        lab: piece.lab.to_owned(),
        piece: piece.id.to_owned(),
        name: name.clone(),
        model: Model::Sc,
        way,
        schedules: SCHEDULES,
        policy: bench.confined.as_ref().map(|confined| confined.policy.clone()),
        seat,
    };
    let explored = request.ask();
    cleanup::remove_name(&name);
    explored
}

fn diagnose(piece: &Piece, explored: &Explored, fault: Fault) -> Diagnosis {
    let general = match fault {
        Fault::Wrong => "wrong-under-a-schedule",
        Fault::Deadlock => "deadlock",
        Fault::NoEnd => "no-end-under-a-schedule",
        Fault::Dies => "dies-under-a-schedule",
        Fault::Race => "nothing-orders-it",
    };
    let own = explored.code.as_deref().and_then(diagnosis::entry);
    let recipe = explored.recipe(piece.lab, Model::Sc).map(|recipe| recipe.to_string());
    fail(own.map_or(general, |entry| &entry.code))
        .expected(format!("{}: every schedule ends well", piece.title))
        .seen(explored.told.clone())
        .with_trace(explored.timeline.clone(), recipe)
}
