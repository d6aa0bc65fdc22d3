//! What the labs check alike under every schedule: a small piece is run in all of them, and nothing
//! may go wrong in any.

use crate::cleanup;
use crate::diagnosis::{self, Diagnosis, fail};
use crate::exploration::pieces::{self, Piece};
use crate::exploration::{Explored, Fault, Model, Request, SCHEDULES, Way};
use crate::scene::Scene;
use crate::verdict::{Outcome, Stop};

/// Plays the piece under every schedule it is made for. A pass says what it covered.
///
/// # Errors
///
/// The diagnosis that fits the fault, with the run that shows it and the words that show it again.
pub(super) fn every(scene: &mut Scene, lab: &str, piece: &str) -> Outcome {
    let piece = known(lab, piece)?;
    let explored = ask(scene, piece, piece.way())?;
    match explored.fault {
        None => {
            scene.remark(format!("{}: {}", piece.title, explored.coverage));
            Ok(())
        }
        Some(fault) => Err(diagnose(piece, &explored, fault).into()),
    }
}

/// As [`every`], for what two of the student's programs do together: not judged while `first`, which
/// looks at one of them alone, goes wrong, so that the other is not blamed for it.
///
/// # Errors
///
/// As [`every`].
pub(super) fn every_after(scene: &mut Scene, lab: &str, first: &str, piece: &str) -> Outcome {
    let alone = known(lab, first)?;
    if ask(scene, alone, alone.way())?.fault.is_some() {
        return Err(Stop::NotChecked(format!("there is a fault in {}", alone.title)));
    }
    every(scene, lab, piece)
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
    ask(scene, known(lab, piece)?, Way::Replay(schedule.to_owned()))
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

fn ask(scene: &mut Scene, piece: &Piece, way: Way) -> Outcome<Explored> {
    let bench = scene.bench();
    let request = Request {
        program: bench.program.clone(),
        harness: bench.peer_program.clone(),
        lab: piece.lab.to_owned(),
        piece: piece.id.to_owned(),
        name: scene.name().to_owned(),
        model: Model::Sc,
        way,
        schedules: SCHEDULES,
    };
    let explored = request.ask();
    // The next piece may want to make it itself.
    cleanup::remove_name(scene.name());
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
