//! The tracer's own process: one request on standard input, one answer on standard output.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use interleave::{Budget, Lab, Memory, Player, Report, Search, Unsupported, Verdict, explore};

use super::pieces::{self, Left, Piece};
use super::{Answer, Explored, Fault, Model, Request, Way};
use interleave::timeline::Timeline;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::stat::{Mode, umask};
use nix::unistd::Pid;
use sandbox::Confinement;

use crate::cleanup::{self, SHM_DIR};
use crate::object::Object;
use crate::peer::{Asked, Peer};
use crate::verdict::Outcome;

/// Between the code of a diagnosis and its text, in what a piece says of a run.
const BETWEEN: char = '\u{1f}';

/// Answers one request.
pub fn main() {
    cleanup::close_ourselves();
    // The mode that is asked for is the one that is seen.
    umask(Mode::empty());
    let answer = match serde_json::from_reader::<_, Request>(std::io::stdin().lock()) {
        Ok(request) => {
            sit(request.seat);
            let answer = run(&request, None);
            // Who asked may be gone by now, and then nobody else removes it.
            let _ = absent(&path_of(&request.name));
            answer
        }
        Err(error) => Answer::Broken(error.to_string()),
    };
    let text = serde_json::to_string(&answer).unwrap_or_default();
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Keeps to one processor: tracer and traced take turns, and a turn is quickest where both are. It is
/// no mistake if it may not.
fn sit(seat: usize) {
    let Ok(allowed) = sched_getaffinity(Pid::from_raw(0)) else { return };
    let allowed: Vec<usize> =
        (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false)).collect();
    let mut own = CpuSet::new();
    if let Some(&cpu) = allowed.get(seat % allowed.len().max(1))
        && own.set(cpu).is_ok()
    {
        let _ = sched_setaffinity(Pid::from_raw(0), &own);
    }
}

/// Runs the piece once, and asks the player who goes next at every step. In this very process:
/// nothing is decided here.
///
/// # Errors
///
/// As [`Request::ask`].
pub fn play(request: &Request, player: &mut dyn Player) -> Outcome<Explored> {
    run(request, Some(player)).outcome()
}

fn run(request: &Request, player: Option<&mut dyn Player>) -> Answer {
    let Some(piece) = pieces::find(&request.lab, &request.piece) else {
        return Answer::Broken(format!("{} has no piece `{}`", request.lab, request.piece));
    };
    let search = match (player, &request.way) {
        (Some(player), _) => Search::Play(player),
        (None, Way::Bounded(preemptions)) => Search::Bounded { preemptions: *preemptions },
        (None, Way::Pct(seed)) => Search::Pct { depth: 3, seed: *seed },
        (None, Way::Walk(seed)) => Search::Walk { seed: *seed },
        (None, Way::Deaths(victim)) => Search::Crash { victim: *victim },
        (None, Way::Replay(text)) => match text.parse() {
            Ok(schedule) => Search::Replay(schedule),
            Err(error) => return Answer::Broken(format!("`{text}` is no schedule: {error}")),
        },
    };
    match explored(request, piece, search) {
        // Nobody is accused of taking long: it may be right, and only too large for this.
        Ok(Ok(report)) if report.verdict == Verdict::TooLong => {
            Answer::Unsupported("a run takes more steps than are tried here".to_owned())
        }
        // Who uses the object in a way that nobody can follow has not been tried. (The piece of no
        // lab is there to see whether anything can.)
        Ok(Ok(Report { verdict: Verdict::Pass, coverage, .. }))
            if !request.lab.is_empty() && !coverage.unseen.is_empty() =>
        {
            let letter = interleave::letter(coverage.unseen[0]);
            Answer::Unsupported(format!("no access of process {letter} to the segment was seen"))
        }
        Ok(Ok(report)) => Answer::Explored(Box::new(told(&report, request))),
        Ok(Err(why)) => Answer::Unsupported(why.to_string()),
        Err(why) => Answer::Broken(why),
    }
}

/// Explores; an error is one of our own.
fn explored(
    request: &Request,
    piece: &Piece,
    search: Search<'_>,
) -> Result<Result<Report, Unsupported>, String> {
    // The segment as a peer makes it, byte for byte the same before every run.
    let bytes = match piece.segment() {
        Some(create) => Some(made(request, create)?),
        None => None,
    };
    let prepare = |path: &Path| match &bytes {
        Some(bytes) => fs::write(path, bytes),
        // The programs make it themselves.
        None => absent(path),
    };
    let victim = match (&search, piece.way()) {
        (Search::Crash { victim }, _) => Some(*victim),
        (Search::Replay(_), Way::Deaths(victim)) => Some(victim),
        _ => None,
    };
    let confinement = match &request.policy {
        Some(policy) => Some(Arc::new(Confinement::new(policy)?)),
        None => None,
    };
    let enter = || confinement.as_ref().map_or(Ok(()), |confinement| confinement.enter());
    let check = |ending: &interleave::Ending| {
        let left = Left { ending, request, victim, confinement: confinement.clone() };
        piece.judge(&left).map_err(|(code, seen)| format!("{code}{BETWEEN}{seen}"))
    };
    let programs = piece.programs(&request.program, &request.name);
    let mut lab = Lab::new(request.name.clone(), programs, &prepare, &check).confined(&enter);
    for &(structure, offset) in piece.layout().structures {
        lab = lab.layout(structure, offset);
    }
    for &(field, offset, len) in piece.layout().named {
        lab = lab.named(field, offset, len);
    }
    if bytes.is_none() {
        lab = lab.without_fork_server();
    }
    let memory = match request.model {
        Model::Sc => Memory::Sc,
        Model::Tso => Memory::Tso,
        Model::Weak => Memory::Weak,
    };
    let budget = Budget { schedules: request.schedules, ..Budget::default() };
    Ok(explore(&lab, search, memory, budget))
}

/// The bytes of a segment that a peer has just made.
fn made(request: &Request, create: fn(&mut Peer, &str) -> Asked) -> Result<Vec<u8>, String> {
    let told = |error: &dyn std::fmt::Debug| format!("the segment cannot be made: {error:?}");
    let mut peer = Peer::start(&request.harness).map_err(|error| told(&error))?;
    create(&mut peer, &request.name).map_err(|error| told(&error))?;
    let object = Object::open(&request.name).map_err(|error| told(&error))?;
    let bytes = object.map(|object| object.bytes()).unwrap_or_default();
    drop(peer);
    absent(&path_of(&request.name)).map_err(|error| told(&error))?;
    Ok(bytes)
}

fn path_of(name: &str) -> PathBuf {
    Path::new(SHM_DIR).join(name.trim_start_matches('/'))
}

fn absent(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn told(report: &Report, request: &Request) -> Explored {
    let fault = match &report.verdict {
        Verdict::Pass | Verdict::Stopped if !report.races.is_empty() => Some(Fault::Race),
        Verdict::Pass | Verdict::Stopped | Verdict::TooLong => None,
        Verdict::Wrong(_) => Some(Fault::Wrong),
        Verdict::Deadlock(_) => Some(Fault::Deadlock),
        Verdict::Livelock(_) => Some(Fault::NoEnd),
        Verdict::Failed { .. } => Some(Fault::Dies),
    };
    let words = match fault {
        Some(Fault::Race) => "the result is right, but nothing orders two accesses".to_owned(),
        Some(Fault::Deadlock) => format!("a deadlock: {}", waiting(&report.timeline)),
        Some(Fault::NoEnd) if !report.timeline.remarks.is_empty() => {
            format!("nobody gets on: {}", waiting(&report.timeline))
        }
        _ => report.verdict.to_string(),
    };
    let (code, words) = match words.split_once(BETWEEN) {
        Some((code, words)) => (Some(code.to_owned()), words.to_owned()),
        None => (None, words),
    };
    Explored {
        piece: request.piece.clone(),
        fault,
        code,
        told: words,
        schedule: report.schedule.as_ref().map(ToString::to_string),
        timeline: report.timeline.to_string(),
        rows: serde_json::from_str(&report.timeline.to_json()).unwrap_or_default(),
        coverage: coverage(report, request),
        schedules: report.coverage.schedules,
        complete: report.coverage.complete,
        hash: format!("{:016x}", report.hash),
    }
}

/// Who waits for what, and with which lock in hand: `A sleeps on empty (sem_wait, semaphore.rs:51)
/// while it holds mutex`.
fn waiting(timeline: &Timeline) -> String {
    let told = timeline.remarks.iter().map(|remark| {
        let who = remark.chars().next().and_then(|letter| {
            (0..timeline.processes).find(|&process| interleave::letter(process) == letter)
        });
        match who.and_then(|process| held(timeline, process)) {
            Some(lock) => format!("{remark} while it holds {lock}"),
            None => remark.clone(),
        }
    });
    told.collect::<Vec<_>>().join(", ")
}

/// The lock that this process has taken and not given back, as far as the run tells.
fn held(timeline: &Timeline, process: usize) -> Option<&'static str> {
    ["mutex", "robust"].into_iter().find(|lock| {
        let own = timeline.rows.iter().filter(|row| row.process == process && !row.hidden);
        let balance = own.map(|row| {
            let is = |call: &str| row.call.starts_with(call) || row.text.starts_with(call);
            let named = row.text.contains(lock);
            let done = !row.text.contains("goes to sleep");
            match (named && done, is("sem_wait") || is("pthread_mutex_lock")) {
                // One line for the whole call, or the one step of it that takes the lock.
                (true, true) if row.text.starts_with("atomically") || row.text.contains('(') => 1,
                (true, false) if is("sem_post") || is("pthread_mutex_unlock") => -1,
                _ => 0,
            }
        });
        balance.sum::<i32>() > 0
    })
}

/// What was tried: `all 212 schedules with at most 2 interruptions, sequentially consistent`.
fn coverage(report: &Report, request: &Request) -> String {
    let count = report.coverage.schedules;
    let found = report.verdict.is_bad();
    let tried = match (&request.way, report.coverage.complete) {
        (Way::Bounded(bound), false) if found => {
            format!("found after {count} schedules with at most {}", interruptions(*bound))
        }
        (Way::Bounded(bound), true) => {
            format!("all {count} schedules with at most {}", interruptions(*bound))
        }
        (Way::Bounded(bound), false) => {
            format!(
                "{count} schedules with at most {}, and not all there are",
                interruptions(*bound)
            )
        }
        (Way::Pct(seed), _) => format!("{count} schedules by random priorities, seed {seed}"),
        (Way::Walk(seed), _) => format!("{count} schedules by chance, seed {seed}"),
        (Way::Deaths(victim), _) => {
            let deaths = report.coverage.crash_points.len();
            format!("{} killed at each of {deaths} points", interleave::letter(*victim))
        }
        (Way::Replay(_), _) => "one schedule".to_owned(),
    };
    let model = match request.model {
        Model::Sc => "sequentially consistent",
        Model::Tso => "with store buffers as on x86",
        Model::Weak => "with memory as weak as the source's orderings allow",
    };
    let rough = match report.coverage.imprecise {
        0 => "",
        _ => "; some instructions could not be split, so some schedules were not seen",
    };
    format!("{tried}, {model}{rough}")
}

fn interruptions(count: usize) -> String {
    if count == 1 { "one interruption".to_owned() } else { format!("{count} interruptions") }
}
