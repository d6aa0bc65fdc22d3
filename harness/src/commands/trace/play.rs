//! `cargo lab trace --play`: the learner is the scheduler of their own processes.
//!
//! Every step runs the piece anew from its beginning by the choices made so far. That is quick, and
//! makes taking a step back the simplest thing there is.

use std::io::{BufRead, IsTerminal, Write};

use interleave::{Move, Player};

use super::super::{Done, say};
use super::{Stage, again, answered, tell};
use crate::cleanup;
use crate::cli::Whose;
use crate::exit_code::{Blame, ExitCode};
use crate::exploration::pieces::Piece;
use crate::exploration::{Explored, Model, Way};
use crate::report::style::{DIM, STRONG, paint};

const HELP: &str = "\
  A, B, …   this process makes its next step
  a!, b!    its oldest store becomes visible (with --model tso)
  3A        three steps of A
  Enter     the same process again
  u         take the last step back
  q         stop here";

pub(super) fn play(stage: &Stage, piece: &Piece, model: Model, whose: &Whose) -> Done {
    say(&format!("{}  {}", paint(STRONG, piece.id), paint(DIM, piece.title)));
    say(&format!("You are the scheduler.\n{HELP}\n"));
    let mut chosen: Vec<String> = Vec::new();
    let mut told = 0;
    let mut lines = std::io::stdin().lock().lines();
    loop {
        let mut script = Script { chosen: &chosen, moves: Vec::new(), step: 0 };
        let request = stage.request(piece, model, Way::Replay(String::new()))?;
        let result = crate::exploration::play(&request, &mut script);
        cleanup::remove_name(&request.name);
        let (moves, step) = (script.moves, script.step);
        let explored = answered(result)?;
        if moves.is_empty() {
            say("");
            tell(piece, &explored, explored.fault.is_some() == piece.wrong_on_purpose, true);
            farewell(&explored, &stage.lab, model, whose);
            return Ok(ExitCode::Passed);
        }
        if step < chosen.len() {
            say(&format!("  {} cannot go on here", chosen[step]));
            chosen.truncate(step);
        }
        so_far(&explored, told.min(step), step);
        told = step;
        for next in &moves {
            say(&format!("      {}  {}", paint(STRONG, &next.name), paint(DIM, &next.told)));
        }
        loop {
            if std::io::stdin().is_terminal() {
                let _ = write!(anstream::stdout(), "step {step}> ");
                let _ = std::io::stdout().flush();
            }
            let line = lines.next().transpose().broken()?;
            match Word::read(line.as_deref().unwrap_or("q"), &moves, chosen.last()) {
                Word::Take(name, times) => chosen.extend(std::iter::repeat_n(name, times)),
                Word::Back if chosen.pop().is_some() => {
                    say("      one step back");
                    told = told.min(chosen.len());
                }
                Word::Stop => {
                    farewell(&explored, &stage.lab, model, whose);
                    return Ok(ExitCode::Passed);
                }
                _ => {
                    say(HELP);
                    continue;
                }
            }
            break;
        }
    }
}

/// What the learner typed.
enum Word {
    /// This move, so many times.
    Take(String, usize),
    /// One step back.
    Back,
    /// The end.
    Stop,
    /// Anything else.
    Unknown,
}

impl Word {
    fn read(line: &str, moves: &[Move], last: Option<&String>) -> Word {
        let word = line.trim();
        match (word, last) {
            ("q" | "quit", _) => return Word::Stop,
            ("u" | "undo", _) => return Word::Back,
            ("", _) if moves.len() == 1 => return Word::Take(moves[0].name.clone(), 1),
            ("", Some(last)) => return Word::Take(last.clone(), 1),
            _ => {}
        }
        let digits = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
        let (count, name) = word.split_at(digits);
        let count: usize = if count.is_empty() { 1 } else { count.parse().unwrap_or(0) };
        let found = moves.iter().find(|next| next.name.eq_ignore_ascii_case(name));
        match found {
            Some(next) if (1..=1000).contains(&count) => Word::Take(next.name.clone(), count),
            _ => Word::Unknown,
        }
    }
}

/// Chooses what has been chosen before, then looks at what could come next and stops.
struct Script<'a> {
    chosen: &'a [String],
    moves: Vec<Move>,
    step: usize,
}

impl Player for Script<'_> {
    fn choose(&mut self, step: usize, moves: &[Move]) -> Option<usize> {
        let known = self.chosen.get(step);
        let found = known.and_then(|name| moves.iter().position(|next| next.name == *name));
        if found.is_none() {
            self.moves = moves.to_vec();
            self.step = step;
        }
        found
    }
}

/// Tells the steps from `from` to `to`: who did what, and where in the source.
fn so_far(explored: &Explored, from: usize, to: usize) {
    let rows = explored.rows["rows"].as_array().map_or(&[][..], Vec::as_slice);
    for row in rows {
        let number = |key: &str| row[key].as_u64().unwrap_or(0) as usize;
        let step = number("step");
        if step < from || step >= to || row["hidden"] == true {
            continue;
        }
        let text = |key: &str| row[key].as_str().unwrap_or("").to_owned();
        let place = match number("line") {
            0 => text("call"),
            line => format!("{}:{line}", text("file")),
        };
        let note = text("note");
        let note = if note.is_empty() { note } else { format!("  <-- {note}") };
        let who = interleave::letter(number("process"));
        say(&format!("{step:>4}  {who} {}  {}{note}", text("text"), paint(DIM, &place)));
    }
}

/// The schedule that was played, to be kept.
fn farewell(explored: &Explored, lab: &str, model: Model, whose: &Whose) {
    if let Some(schedule) = &explored.schedule {
        say(&format!("  your schedule: {}", paint(STRONG, schedule)));
    }
    again(explored, lab, model, whose);
}
