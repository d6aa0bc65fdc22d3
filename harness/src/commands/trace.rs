//! `cargo lab trace` and `cargo lab replay`: schedules of a lab's real programs.

use std::path::PathBuf;

use anyhow::anyhow;

use super::{Done, Ticker, harness, origin, say, say_json};
use crate::cleanup;
use crate::cli::{Replay, Trace, Whose};
use crate::compile::{Built, Workshop};
use crate::course::{Course, Lab};
use crate::exit_code::{Blame, ExitCode, Failure};
use crate::exploration::pieces::{self, Piece};
use crate::exploration::{Explored, Model, Recipe, Request, Way};
use crate::report::style::{BAD, COMMAND, DIM, GOOD, STRONG, paint};
use crate::submission::Submission;
use crate::verdict::{Outcome, Stop};

mod play;

pub(super) fn trace(course: &Course, arguments: &Trace) -> Done {
    let lab = course.lab(&arguments.lab).usage()?;
    let way = way(arguments).usage()?;
    let chosen: Vec<&Piece> = match &arguments.piece {
        Some(id) => vec![piece(lab, id).usage()?],
        None => pieces::of(&lab.id).iter().collect(),
    };
    if chosen.is_empty() {
        let error = anyhow!("{} has no piece to trace", lab.id);
        return Err(error).usage();
    }
    if arguments.play && chosen.len() > 1 {
        let ids: Vec<&str> = chosen.iter().map(|piece| piece.id).collect();
        let error = anyhow!(
            "--play is about one piece\n  what to do: add --piece, one of {}",
            ids.join(", ")
        );
        return Err(error).usage();
    }
    let Some(stage) = Stage::open(course, lab, &arguments.whose)? else {
        return Ok(ExitCode::Failed);
    };
    if arguments.play {
        return play::play(&stage, chosen[0], arguments.model, &arguments.whose);
    }
    let mut worst = ExitCode::Passed;
    let mut all = Vec::new();
    for piece in chosen {
        // To find the schedule that shows the fault is the learner's own step.
        let theirs = piece.wrong_on_purpose && !arguments.whose.solution;
        if theirs && !arguments.json {
            yours_to_find(piece, &lab.id);
        }
        if theirs {
            continue;
        }
        stage.ticker.tell(&format!("{}: {}", lab.id, piece.title));
        let way = way.clone().unwrap_or_else(|| piece.way());
        let explored = stage.ask(piece, arguments.model, way, arguments.schedules)?;
        // What is wrong on purpose is as it should be when a schedule shows it.
        let right = explored.fault.is_some() == piece.wrong_on_purpose;
        if !right {
            worst = ExitCode::Failed;
        }
        if !arguments.json {
            let shown = explored.fault.is_some();
            tell(piece, &explored, right, shown);
            again(&explored, &lab.id, arguments.model, &arguments.whose);
        }
        all.push(explored);
    }
    if arguments.json {
        say_json(&all)?;
    }
    Ok(worst)
}

pub(super) fn replay(course: &Course, arguments: &Replay) -> Done {
    let recipe: Recipe = arguments.run.parse().map_err(|error: String| anyhow!(error)).usage()?;
    let lab = course.lab(&recipe.lab).usage()?;
    let piece = piece(lab, &recipe.piece).usage()?;
    let Some(stage) = Stage::open(course, lab, &arguments.whose)? else {
        return Ok(ExitCode::Failed);
    };
    let explored = stage.ask(piece, recipe.model, Way::Replay(recipe.schedule.clone()), 1)?;
    let same = recipe.hash.as_ref().is_none_or(|hash| explored.hash.starts_with(hash));
    let right = explored.fault.is_some() == piece.wrong_on_purpose;
    if arguments.json {
        say_json(&explored)?;
    } else {
        tell(piece, &explored, right, true);
        if !same {
            say(&format!(
                "  {}: the program is not the one of that report, so this is another run",
                paint(STRONG, "note")
            ));
        }
    }
    Ok(if explored.fault.is_none() { ExitCode::Passed } else { ExitCode::Failed })
}

/// A program that is built and can be asked about.
struct Stage {
    lab: String,
    program: PathBuf,
    ticker: Ticker,
    /// Held until the end: the program lies in it.
    _workshop: Option<Workshop<'static>>,
}

impl Stage {
    /// Builds what is asked for; nothing where the compiler refuses it, which is told.
    fn open(course: &Course, lab: &Lab, whose: &Whose) -> Result<Option<Stage>, Failure> {
        let ticker = Ticker::new();
        let stage = |program, workshop, ticker| Stage {
            lab: lab.id.clone(),
            program,
            ticker,
            _workshop: workshop,
        };
        if let Some(program) = &whose.program {
            let told = |error| {
                anyhow!(
                    "the program {} cannot be read ({error})\n  what to do: name a program that exists",
                    program.display()
                )
            };
            let program = program.canonicalize().map_err(told).usage()?;
            return Ok(Some(stage(program, None, ticker)));
        }
        let origin = origin(whose);
        let submission = Submission::collect(course, lab, &origin).usage()?;
        let workshop = Workshop::open(course, &origin, |text| ticker.announce(text)).broken()?;
        ticker.tell(&format!("{}: building", lab.id));
        match workshop.build(course, lab, &submission).broken()? {
            Built::Program(program) => Ok(Some(stage(program, Some(workshop), ticker))),
            Built::Refused(words) => {
                ticker.clear();
                say(&format!("the program does not compile; the compiler says:\n\n{words}"));
                Ok(None)
            }
        }
    }

    fn request(&self, piece: &Piece, model: Model, way: Way) -> Result<Request, Failure> {
        Ok(Request {
            policy: None,
            program: self.program.clone(),
            harness: harness()?,
            lab: self.lab.clone(),
            piece: piece.id.to_owned(),
            name: cleanup::fresh_name(),
            model,
            way,
            schedules: crate::exploration::SCHEDULES,
            seat: 0,
        })
    }

    fn ask(
        &self,
        piece: &Piece,
        model: Model,
        way: Way,
        schedules: usize,
    ) -> Result<Explored, Failure> {
        let request = Request { schedules, ..self.request(piece, model, way)? };
        let result = request.ask();
        cleanup::remove_name(&request.name);
        self.ticker.clear();
        answered(result)
    }
}

fn answered(result: Outcome<Explored>) -> Result<Explored, Failure> {
    let why = match result {
        Ok(explored) => return Ok(explored),
        Err(Stop::NotChecked(why)) => format!("this cannot be traced: {why}"),
        Err(Stop::Broken(why)) => why,
        Err(stop) => format!("{stop:?}"),
    };
    Err(anyhow!(why)).broken()
}

/// The search that was asked for, if one was.
fn way(arguments: &Trace) -> anyhow::Result<Option<Way>> {
    Ok(match (arguments.bound, arguments.pct, arguments.walk, arguments.deaths) {
        (Some(bound), ..) => Some(Way::Bounded(bound)),
        (_, Some(seed), ..) => Some(Way::Pct(seed)),
        (_, _, Some(seed), _) => Some(Way::Walk(seed)),
        (.., Some(letter)) => Some(Way::Deaths(number(letter)?)),
        _ => None,
    })
}

/// A is 0.
fn number(letter: char) -> anyhow::Result<usize> {
    let index = u32::from(letter.to_ascii_uppercase()).checked_sub(u32::from('A'));
    index.filter(|&index| index < 8).map(|index| index as usize).ok_or_else(|| {
        anyhow!(
            "`{}` is no process\n  what to do: say A for the first, B for the second",
            letter.escape_debug()
        )
    })
}

fn piece(lab: &Lab, id: &str) -> anyhow::Result<&'static Piece> {
    pieces::find(&lab.id, id).ok_or_else(|| {
        let all: Vec<&str> = pieces::of(&lab.id).iter().map(|piece| piece.id).collect();
        anyhow!(
            "{} has no piece `{}`\n  what to do: choose one of {}",
            lab.id,
            id.escape_debug(),
            all.join(", ")
        )
    })
}

fn tell(piece: &Piece, explored: &Explored, right: bool, shown: bool) {
    let purpose = if piece.wrong_on_purpose { " (wrong on purpose)" } else { "" };
    say(&format!("{}  {}{purpose}", paint(STRONG, piece.id), paint(DIM, piece.title)));
    let (style, mark) = if right { (GOOD, "✔") } else { (BAD, "✘") };
    say(&format!("  {} {}", paint(style, mark), explored.told));
    if shown {
        say("");
        for line in explored.timeline.trim_end().lines() {
            say(&format!("  {line}"));
        }
        say("");
    }
    say(&format!("  {}", paint(DIM, &explored.coverage)));
}

/// The command that shows the run again.
fn again(explored: &Explored, lab: &str, model: Model, whose: &Whose) {
    if explored.fault.is_none() {
        return;
    }
    if let Some(recipe) = explored.recipe(lab, model) {
        let command = format!("cargo lab replay {recipe}{}", whose_words(whose));
        say(&format!("  again: {}", paint(COMMAND, &command)));
    }
}

fn yours_to_find(piece: &Piece, lab: &str) {
    say(&format!("{}  {} (wrong on purpose)", paint(STRONG, piece.id), paint(DIM, piece.title)));
    let command = format!("cargo lab trace {lab} --piece {} --play", piece.id);
    say(&format!("  the schedule that shows it is yours to find: {}", paint(COMMAND, &command)));
}

/// The options that name the same program again.
fn whose_words(whose: &Whose) -> String {
    match (&whose.submission, &whose.program) {
        (Some(folder), _) => format!(" --submission {}", folder.display()),
        (_, Some(program)) => format!(" --program {}", program.display()),
        _ if whose.solution => " --solution".to_owned(),
        _ => String::new(),
    }
}
