//! Turns the events of a run into rows.

use std::collections::HashMap;

use super::folded::fold;
use super::{Names, Row, Timeline, ended};
use crate::dwarf::Symbols;
use crate::event::{Action, Event, Run};
use crate::happens_before::Race;
use crate::request::{Site, Word};
use crate::schedule::letter;
use crate::{Verdict, Waits};

impl Timeline {
    /// Tells a run that was recorded with call stacks.
    pub(crate) fn of(
        run: &Run,
        names: &Names,
        symbols: &mut Symbols,
        races: &[Race],
        verdict: &Verdict,
    ) -> Timeline {
        let mut rows = Vec::new();
        // Functions inside a library have no names; what was called from the same line has.
        let mut last_calls: HashMap<usize, (String, u32, String)> = HashMap::new();
        for (number, event) in run.events.iter().enumerate() {
            let (file, line, mut call) = whereabouts(&event.site, symbols);
            if call.is_empty()
                && !is_own(&event.site, symbols)
                && let Some(last) = last_calls.get(&event.process)
                && (last.0.as_str(), last.1) == (file.as_str(), line)
            {
                call.clone_from(&last.2);
            }
            last_calls.insert(event.process, (file.clone(), line, call.clone()));
            let of_nowhere = matches!(
                event.action,
                Action::Ended(_) | Action::Killed | Action::Woken | Action::Spin { .. }
            ) && !matches!(event.action, Action::Ended(exit) if exit != crate::Exit::Code(0));
            let mut row = Row {
                step: event.step,
                process: event.process,
                text: text(event, names),
                note: note(run, number),
                hidden: matches!(event.action, Action::Fence | Action::Object { .. }),
                ..Row::default()
            };
            if !of_nowhere {
                (row.file, row.line, row.call) = (file, line, call);
            }
            rows.push(row);
        }
        let mut remarks = Vec::new();
        match verdict {
            Verdict::Deadlock(waits) | Verdict::Livelock(waits) => {
                remarks.extend(waits.iter().map(|wait| waiting(wait, run, &rows, names)));
            }
            _ => {}
        }
        for race in races {
            let (first, second) = (&rows[race.first], &rows[race.second]);
            remarks.push(format!(
                "data race on {}: nothing orders `{}` of {} and `{}` of {}",
                names.field(race.offset, 1),
                first.told(),
                letter(first.process),
                second.told(),
                letter(second.process),
            ));
        }
        fold(&mut rows, run, names);
        Timeline { processes: names.processes, rows, remarks }
    }
}

fn text(event: &Event, names: &Names) -> String {
    let field = names.span(event.span);
    match &event.action {
        Action::Read { value, .. } => format!("reads {field} = {value}"),
        Action::Write { before, after } => format!("writes {field}: {before} -> {after}"),
        Action::Buffer { value } => format!("writes {field} = {value} (into its store buffer)"),
        Action::Drain { after, stored, .. } => {
            format!("{field} = {after} of step {stored} becomes visible")
        }
        Action::Update { before, after } if before == after => {
            format!("atomically: {field} stays {before}")
        }
        Action::Update { before, after } => format!("atomically: {field} {before} -> {after}"),
        Action::Sleep { value, word } => match word {
            Word::Shared(_) => format!("goes to sleep: {field} is {value}"),
            Word::Private { .. } => {
                "goes to sleep on memory of its own, where no other process can wake it".to_owned()
            }
        },
        Action::NoSleep { expected, found } => {
            format!("does not sleep: {field} is {found}, not {expected}")
        }
        Action::Woken => "wakes up".to_owned(),
        Action::TimedOut => "has slept as long as it wanted".to_owned(),
        Action::Wake { woken: 0 } => format!("wakes nobody on {field}"),
        Action::Wake { woken } => format!("wakes {woken} on {field}"),
        Action::Yield => "gives way".to_owned(),
        Action::Call { name, writes: true } => format!("{name}: the system writes into {field}"),
        Action::Call { name, writes: false } => format!("{name}: the system reads {field}"),
        Action::Object { name, .. } => format!("calls {name}"),
        Action::Fence => "fence".to_owned(),
        Action::Spin { value } => format!("(looks again and again; {field} stays {value})"),
        Action::Ended(exit) => ended(*exit),
        Action::Killed => "IS KILLED".to_owned(),
    }
}

/// What is fatal, or at least strange, about an event.
fn note(run: &Run, number: usize) -> String {
    let event = &run.events[number];
    match &event.action {
        Action::Read { old: Some(Some(step)), .. } => format!(
            "an old value, stored at step {step}: nothing orders this read behind the newer store"
        ),
        Action::Read { old: Some(None), .. } => {
            "the value from the start: nothing orders this read behind the newer store".to_owned()
        }
        Action::Write { .. } => lost(run, number, number),
        Action::Drain { stored, .. } => {
            let made = |other: &Event| other.step == *stored && other.process == event.process;
            run.events
                .iter()
                .position(made)
                .map_or_else(String::new, |made| lost(run, made, number))
        }
        _ => String::new(),
    }
}

/// What the process had not seen when it made the store `made`, and destroys by its becoming visible
/// in the event `number`.
fn lost(run: &Run, made: usize, number: usize) -> String {
    let event = &run.events[number];
    let own = |other: &Event| other.process == event.process && other.span == event.span;
    let last = |what: fn(&Action) -> bool| {
        run.events[..made].iter().rposition(|other| own(other) && what(&other.action))
    };
    let read = last(|action| matches!(action, Action::Read { .. }));
    let stored = last(|action| matches!(action, Action::Write { .. } | Action::Buffer { .. }));
    let Some(read) = read.filter(|&read| stored.is_none_or(|stored| stored < read)) else {
        return String::new();
    };
    let changes = |action: &Action| match action {
        Action::Write { before, after }
        | Action::Update { before, after }
        | Action::Drain { before, after, .. } => before != after,
        _ => false,
    };
    let destroyed = run.events[read + 1..number].iter().rev().find(|other| {
        other.process != event.process && other.span == event.span && changes(&other.action)
    });
    destroyed.map_or_else(String::new, |other| {
        format!(
            "made from what it read at step {}: {}'s store of step {} is lost",
            run.events[read].step,
            letter(other.process),
            match other.action {
                Action::Drain { stored, .. } => stored,
                _ => other.step,
            }
        )
    })
}

/// The program's own line that an event comes from, and the library function it was in.
fn whereabouts(site: &Site, symbols: &mut Symbols) -> (String, u32, String) {
    let own = symbols.frames(site.place);
    if let Some(line) = &own.user {
        return (short(&line.file), line.line, String::new());
    }
    let mut call = own.symbol.clone().unwrap_or_default();
    for caller in &site.callers {
        // One back: what follows the call may be another line.
        let at = crate::request::Place { offset: caller.offset - 1, ..*caller };
        let frames = symbols.frames(at);
        if let Some(name) = symbols.callee(*caller) {
            call = name;
        }
        if let Some(line) = &frames.user {
            // A function of the standard library is no news.
            let public = !call.starts_with('_') && !call.contains("::");
            let call = if public { call } else { String::new() };
            return (short(&line.file), line.line, call);
        }
    }
    (String::new(), 0, String::new())
}

/// Whether the event is of the program's own code.
fn is_own(site: &Site, symbols: &mut Symbols) -> bool {
    symbols.frames(site.place).user.is_some()
}

fn short(file: &str) -> String {
    file.rsplit('/').next().unwrap_or(file).to_owned()
}

/// `A sleeps on mutex (sem_wait, main.rs:10)`.
fn waiting(wait: &Waits, run: &Run, rows: &[Row], names: &Names) -> String {
    let who = letter(wait.process);
    let last = run.events.iter().enumerate().rev().find(|(_, event)| {
        event.process == wait.process
            && match event.action {
                Action::Sleep { .. } => wait.asleep,
                Action::Read { .. } | Action::Update { .. } => !wait.asleep,
                _ => false,
            }
    });
    let place = last.map_or_else(String::new, |(at, _)| {
        let row = &rows[at];
        match (row.call.as_str(), row.line) {
            (_, 0) => String::new(),
            ("", line) => format!(" ({}:{line})", row.file),
            (call, line) => format!(" ({call}, {}:{line})", row.file),
        }
    });
    let mut fields: Vec<String> = wait.offsets.iter().map(|&at| names.whole(at)).collect();
    fields.dedup();
    match (wait.asleep, fields.as_slice()) {
        (true, []) => format!("{who} sleeps where no other process can wake it{place}"),
        (true, fields) => format!("{who} sleeps on {}{place}", fields.join(", ")),
        (false, fields) => format!("{who} looks again and again at {}{place}", fields.join(", ")),
    }
}
