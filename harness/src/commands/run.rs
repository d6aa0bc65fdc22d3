//! `cargo lab run`: the programs of a lab at work, side by side, one finished operation a line.
//!
//! Nothing is judged. The processes are real; only their pace is set here, by handing each its next
//! operation, so that one can watch.

use std::path::Path;

use anyhow::anyhow;

use super::{Done, Ticker, harness, origin, say};
use crate::bench::{Bench, DEADLINE, Lazy};
use crate::checks;
use crate::cli::Run;
use crate::compile::{Built, Workshop};
use crate::course::{Course, Lab};
use crate::exit_code::{Blame, ExitCode, Failure};
use crate::peer::{from_hex, shop};
use crate::report::style::{BAD, COMMAND, DIM, GOOD, OPEN, STRONG, paint};
use crate::scene::{Actor, NAME, Scene, shown};
use crate::submission::Submission;
use crate::verdict::{Outcome, Stop};
use crate::watch::{Event, Place};

/// Width of a lane, in characters.
const LANE: usize = 38;

/// Most lines of an input that are shown, and most bytes of a line.
const LINES: usize = 32;
const MESSAGE: usize = 56;

const TEXT: &str = "one region of memory\nmapped by two processes\nat two addresses\nno copy, no kernel on the way\n";

pub(super) fn run(course: &Course, arguments: &Run) -> Done {
    let lab = course.lab(&arguments.lab).usage()?;
    let text = match &arguments.input {
        Some(path) => {
            let told = |error| {
                let path = path.display();
                anyhow!("cannot read {path}: {error}\n  what to do: name a file that exists")
            };
            excerpt(&std::fs::read(path).map_err(told).usage()?)
        }
        None => TEXT.as_bytes().to_vec(),
    };
    let program = match &arguments.whose.program {
        Some(program) => program
            .canonicalize()
            .map_err(|error| anyhow!("cannot run {}: {error}", program.display()))
            .usage()?,
        None => {
            let origin = origin(&arguments.whose);
            let submission = Submission::collect(course, lab, &origin).usage()?;
            let ticker = Ticker::new();
            let workshop =
                Workshop::open(course, &origin, |text| ticker.announce(text)).broken()?;
            ticker.tell(&format!("{}: building", lab.id));
            match workshop.build(course, lab, &submission).broken()? {
                Built::Program(program) => return play(lab, &program, &text),
                Built::Refused(words) => {
                    ticker.clear();
                    say(&format!("the program does not compile; the compiler says:\n\n{words}"));
                    return Ok(ExitCode::Failed);
                }
            }
        }
    };
    play(lab, &program, &text)
}

/// As much of an input as one wants to watch: the first lines, each as long as the smallest message
/// of the labs. The program itself takes any amount: pipe it through.
fn excerpt(input: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = input.split_inclusive(|&byte| byte == b'\n').collect();
    let mut text = Vec::new();
    for line in lines.iter().take(LINES) {
        match line.len() {
            0..=MESSAGE => text.extend_from_slice(line),
            _ => {
                text.extend_from_slice(&line[..MESSAGE - 1]);
                text.push(b'\n');
            }
        }
    }
    if text != input {
        let shown =
            format!("the first {LINES} lines, each cut to {MESSAGE} bytes; pipe the rest yourself");
        say(&paint(DIM, &shown));
    }
    text
}

fn play(lab: &Lab, program: &Path, text: &[u8]) -> Done {
    let bench = Bench {
        program: program.to_owned(),
        peer_program: harness()?,
        words: checks::words(&lab.id),
        deadline: DEADLINE,
        orderings: Lazy::default(),
        files: std::collections::BTreeMap::new(),
        confined: None,
        blunt: None,
    };
    let mut scene = Scene::new(&bench).broken()?;
    let outcome = match lab.id.as_str() {
        "race-condition" => race(&mut scene),
        id => pipe(&mut scene, id, text),
    };
    match outcome {
        Ok(code) => Ok(code),
        Err(Stop::Fail(diagnosis)) => {
            say(&format!("\n{} {}", paint(BAD, diagnosis.code), diagnosis.seen));
            say(&paint(COMMAND, &format!("cargo lab check {}", lab.id)));
            Ok(ExitCode::Failed)
        }
        Err(Stop::NotStarted(todo)) => {
            say(&format!("\n{} {todo}", paint(OPEN, "not written yet:")));
            Ok(ExitCode::Failed)
        }
        Err(Stop::Broken(why) | Stop::NotChecked(why)) => {
            Err(Failure { code: ExitCode::Broken, error: anyhow!(why) })
        }
    }
}

/// A producer and a consumer, message by message, and whether what came out is what went in.
fn pipe(scene: &mut Scene, id: &str, text: &[u8]) -> Outcome<ExitCode> {
    let create: &[&str] = match id {
        "raw-segment" => &["create", NAME, "8192"],
        "bounded-buffer" => &["create", NAME, "3"],
        _ => &["create", NAME],
    };
    let ended = scene.run(create)?;
    say(&paint(
        DIM,
        &format!("{id} {}   {}", create.join(" ").replace(NAME, scene.name()), ended.exit.told()),
    ));
    if ended.exit != crate::process::Exit::Code(0) {
        return Ok(ExitCode::Failed);
    }
    let producer = scene.attach(&["producer", NAME])?;
    let consumer = scene.attach(&["consumer", NAME])?;
    headings(scene, producer, consumer);
    let mut came_out = Vec::new();
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        scene.send(producer, line);
        // A long line travels as several messages; each is acknowledged, and taken in turn.
        let mut sent = 0;
        while sent < line.len() {
            let _ = scene.line(producer, "puts a message in and says so")?;
            scene.send(consumer, b"\n");
            let answer = scene.line(consumer, "takes the message out and says so")?;
            let hex = answer.strip_prefix("consumed ").unwrap_or("").trim_start_matches('-');
            let message = from_hex(hex).unwrap_or_default();
            if message.is_empty() {
                break;
            }
            lane(0, &shown(String::from_utf8_lossy(&message).trim_end()));
            lane(1, &shown(String::from_utf8_lossy(&message).trim_end()));
            sent += message.len();
            came_out.extend(message);
        }
    }
    scene.close_stdin(producer);
    scene.finish(producer, "ends when its input ends")?;
    lane(0, &paint(DIM, "ends"));
    if id == "raw-segment" {
        scene.close_stdin(consumer);
    } else {
        scene.send(consumer, b"\n");
        let answer = scene.line(consumer, "says `end` when nothing more will come")?;
        lane(1, &paint(DIM, &shown(&answer)));
    }
    scene.finish(consumer, "ends at the end of the stream")?;
    let same = came_out == text;
    let verdict = if same {
        paint(GOOD, "what came out is what went in")
    } else {
        paint(BAD, "what came out differs from what went in")
    };
    say(&format!("\n{} bytes in, {} bytes out: {verdict}", text.len(), came_out.len()));
    Ok(if same { ExitCode::Passed } else { ExitCode::Failed })
}

/// Two workers that both read before either writes: the update that is lost, forced.
fn race(scene: &mut Scene) -> Outcome<ExitCode> {
    scene.run(&["create", NAME])?;
    let arguments = ["worker", NAME, "racy", "--gate"];
    let (a, b) = (scene.attach(&arguments)?, scene.attach(&arguments)?);
    headings(scene, a, b);
    let before = scene.object()?.u64(shop::COUNTER);
    for (index, worker) in [a, b].into_iter().enumerate() {
        scene.send(worker, b"\n");
        let event = scene.event(worker);
        if !matches!(event, Event::Asleep(Place::Segment { offset: shop::GO, .. })) {
            return Err(scene.explain(
                worker,
                "stops at the gate between its read and its write",
                event,
            ));
        }
        lane(index, &format!("reads counter = {before}, stands at the gate"));
    }
    for (index, worker) in [a, b].into_iter().enumerate() {
        scene.run(&["go", NAME])?;
        let line = scene.line(worker, "goes through the gate and says so")?;
        let value = scene.object()?.u64(shop::COUNTER);
        lane(index, &format!("writes counter = {value}, says `{}`", shown(&line)));
    }
    let after = scene.object()?.u64(shop::COUNTER);
    let lost = 2 - after.saturating_sub(before).min(2);
    let told = if lost > 0 {
        paint(OPEN, "an update is lost, every time")
    } else {
        paint(GOOD, "nothing is lost")
    };
    say(&format!("\n2 added, the counter went from {before} to {after}: {told}"));
    Ok(ExitCode::Passed)
}

fn headings(scene: &Scene, left: Actor, right: Actor) {
    let title = |actor| {
        let mapped = scene
            .mappings(actor)
            .first()
            .map_or(String::new(), |m| format!(" sees it at {:#x}", m.start));
        format!("{}{mapped}", scene.role(actor).trim_start_matches("your "))
    };
    say(&format!(
        "\n{} {}",
        paint(STRONG, &format!("{:<LANE$}", title(left))),
        paint(STRONG, &title(right))
    ));
}

fn lane(index: usize, text: &str) {
    say(&format!("{}{text}", " ".repeat(index * (LANE + 1))));
}
