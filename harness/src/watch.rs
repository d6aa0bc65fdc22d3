//! Waits for the next definite thing a program does, and tells what it means when it is the wrong
//! one.
//!
//! Where a program is expected to block, its state decides: it sleeps in a futex wait that only
//! somebody else can end. Where an event is expected, only a long deadline decides, except that a
//! stage on which everybody sleeps for ever needs no deadline: nothing can change there any more.

use std::ops::RangeInclusive;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::diagnosis::fail;
use crate::process::Exit;
use crate::procfs::{self, Doing, Task};
use crate::scene::{Actor, Scene, shown};
use crate::verdict::Stop;

/// Processor time without an event after which a program that should work is said to spin: no operation
/// of the labs computes nearly as long.
const SPIN_WORKING: Duration = Duration::from_secs(3);
/// As much of it is enough where a program should block.
const SPIN_WAITING: Duration = Duration::from_millis(300);
/// Between two looks: short at first, because most events come within a millisecond, and an eighth of
/// the time waited so far when it takes longer. A look costs a tenth of a millisecond of a processor.
const LOOK: RangeInclusive<Duration> = Duration::from_micros(300)..=Duration::from_millis(2);

/// What a program does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It prints a line.
    Line(String),
    /// It ends.
    Ended(Exit),
    /// It sleeps until somebody else wakes it, and so does everybody else on the stage.
    Asleep(Place),
    /// It waits for standard input, although there was some to work on.
    WantsInput,
    /// It sleeps a little, looks, sleeps again.
    Polls,
    /// It uses the processor and gets nowhere.
    Spins,
    /// It prints more than anybody would read.
    Floods,
    /// None of these until the deadline.
    Silent,
}

/// The word a program sleeps on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At this offset of the scene's object.
    Segment {
        /// Offset in bytes.
        offset: u64,
        /// Whether only a thread of the same process could wake it.
        private: bool,
    },
    /// Outside the segment, where no other process can reach it.
    Elsewhere,
}

/// What the check is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Line,
    End,
    Block,
}

/// One look at the whole stage.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    doing: Vec<Doing>,
    /// How often all tasks of the stage together have gone to sleep: equal in two looks, nothing
    /// ran between them.
    sleeps: u64,
}

impl Scene<'_> {
    /// Waits for the next definite event of one program.
    pub(crate) fn watch(&mut self, actor: Actor, wanted: Wanted) -> Event {
        let pid = self.pid(actor);
        let start = Instant::now();
        let mut deadline = self.deadline();
        let sleeps_at_start = procfs::sleeps(&procfs::tasks(pid));
        let cpu = procfs::cpu_time(pid);
        let mut last_look = None;
        let mut naps = 0;
        loop {
            if let Some(event) = self.happened(actor, wanted) {
                return event;
            }
            if self.processes[actor.0].flooded() {
                return Event::Floods;
            }
            let look = self.look();
            if let Some(event) = still(&look, last_look.as_ref(), || self.place(actor))
                // Somebody may have woken between our look and our asking for the place.
                && self.look() == look
            {
                // The line may have been printed between our reading and our look.
                return self.happened(actor, wanted).unwrap_or(event);
            }
            let used = procfs::cpu_time(pid).saturating_sub(cpu);
            let spins = if wanted == Wanted::Block {
                let tasks = procfs::tasks(pid);
                let sleeps = procfs::sleeps(&tasks).saturating_sub(sleeps_at_start);
                naps += u32::from(tasks.iter().any(Task::naps));
                if naps > 20 && sleeps > 5 {
                    return self.happened(actor, wanted).unwrap_or(Event::Polls);
                }
                spins(used, sleeps)
            } else {
                used > SPIN_WORKING
            };
            if spins {
                return self.happened(actor, wanted).unwrap_or(Event::Spins);
            }
            if deadline.is_over()
                && let Some(event) = self.at_deadline(actor)
            {
                return self.happened(actor, wanted).unwrap_or(event);
            }
            last_look = Some(look);
            sleep((start.elapsed() / 8).clamp(*LOOK.start(), *LOOK.end()));
        }
    }

    /// Turns an event that should not have been into the reason the check stops.
    pub(crate) fn explain(&mut self, actor: Actor, doing: &str, event: Event) -> Stop {
        let role = self.role(actor);
        let expected = format!("{role} {doing}");
        let process = &mut self.processes[actor.0];
        let errors = process.errors();
        let (code, seen) = match event {
            Event::Ended(Exit::Code(101)) => match Panic::parse(&errors) {
                Some(panic) if panic.message.starts_with("not yet implemented: step") => {
                    let text = panic.message.trim_start_matches("not yet implemented: ");
                    return Stop::NotStarted(
                        text.chars().filter(|c| !c.is_control()).take(240).collect(),
                    );
                }
                Some(panic) => {
                    let seen = format!("{role} panics: {}", shown(&panic.message));
                    return fail("panics").expected(expected).seen(seen).at(panic.place).into();
                }
                None => ("ends-early", format!("{role} exits with 101 (a panic)")),
            },
            Event::Ended(exit @ Exit::Signal(7)) => ("dies-of-sigbus", told(&role, exit, &errors)),
            Event::Ended(exit @ Exit::Signal(11)) => {
                ("dies-of-sigsegv", told(&role, exit, &errors))
            }
            Event::Ended(exit @ Exit::Signal(24)) => {
                ("computes-too-long", told(&role, exit, &errors))
            }
            Event::Ended(exit @ Exit::Signal(6)) if errors.contains("memory allocation of") => {
                ("runs-out-of-memory", told(&role, exit, &errors))
            }
            Event::Ended(exit @ Exit::Signal(_)) => {
                ("dies-of-a-signal", told(&role, exit, &errors))
            }
            Event::Ended(exit @ Exit::Code(_)) => ("ends-early", told(&role, exit, &errors)),
            Event::Asleep(place) => ("sleeps-for-ever", self.who_waits(actor, place)),
            Event::WantsInput => {
                ("answers-nothing", format!("{role} waits for more input and has not answered"))
            }
            Event::Polls | Event::Silent => (
                "never-answers",
                format!("{role} does not, for {} s", self.bench.deadline.as_secs()),
            ),
            Event::Floods => ("prints-too-much", format!("{role} prints without end")),
            Event::Spins => ("spins", format!("{role} uses the processor and gets nowhere")),
            Event::Line(line) => ("unexpected-line", format!("{role} prints `{}`", shown(&line))),
        };
        fail(code).expected(expected).seen(seen).into()
    }

    /// Who sleeps on what, told in one clause a process: the whole of a deadlock.
    pub fn who_waits(&mut self, actor: Actor, place: Place) -> String {
        let mut text = format!("{} sleeps on {}", self.role(actor), self.place_name(place));
        let others: Vec<Actor> = (0..self.processes.len()).map(Actor).collect();
        for other in others.into_iter().filter(|&other| other != actor) {
            if let Some(place) = self.place(other)
                && self.processes[other.0].exit().is_none()
            {
                let role = self.role(other);
                text += &format!(", {role} on {}", self.place_name(place));
            }
        }
        text + ", and nobody is left to wake it"
    }

    /// The word a place is, by the name it has in the lab's document.
    pub fn place_name(&self, place: Place) -> String {
        let (offset, private) = match place {
            Place::Elsewhere => return "a word outside the segment".to_owned(),
            Place::Segment { offset, private } => (offset, private),
        };
        let words = self.bench.words;
        let name = match words.iter().rev().find(|(start, _)| *start <= offset) {
            Some((start, name)) if *start == offset => format!("`{name}`"),
            Some((start, name)) => format!("`{name}` + {}", offset - start),
            None => format!("the word at offset {offset}"),
        };
        if private { format!("{name}, in a wait private to its process") } else { name }
    }

    /// A line or an end that is there to be seen.
    fn happened(&mut self, actor: Actor, wanted: Wanted) -> Option<Event> {
        let process = &mut self.processes[actor.0];
        let exit = process.exit();
        if wanted == Wanted::End {
            process.output();
        } else if let Some(line) = process.take_line() {
            return Some(Event::Line(line));
        }
        exit.map(Event::Ended)
    }

    /// Looks at every living program of the stage, the watched one first where it matters.
    fn look(&mut self) -> Look {
        let mut look = Look { doing: Vec::new(), sleeps: 0 };
        for process in &mut self.processes {
            // A partner that fills its pipe would sleep on us; so every pipe is emptied.
            process.output();
            if process.exit().is_none() {
                let tasks = procfs::tasks(process.pid());
                look.sleeps += procfs::sleeps(&tasks);
                let no_more_input = process.input_has_ended();
                look.doing.extend(tasks.iter().map(|task| match task.doing {
                    // It is about to be told the end. A program that another thread of ours starts
                    // holds the pipe for a moment, between its fork and its exec.
                    Doing::Reading { descriptor: 0 } if no_more_input => Doing::Running,
                    doing => doing,
                }));
            }
        }
        look
    }

    /// The word on which the program sleeps in an untimed futex wait. Of several threads the one
    /// that sleeps in the segment counts: the others are the program's own affair, and a program of
    /// which one thread waits for input and another for that thread waits for input.
    fn place(&self, actor: Actor) -> Option<Place> {
        self.place_of(actor, &procfs::tasks(self.pid(actor)))
    }

    fn place_of(&self, actor: Actor, tasks: &[Task]) -> Option<Place> {
        let mappings = self.mappings(actor);
        let places: Vec<Place> = tasks
            .iter()
            .filter_map(|task| match task.doing {
                Doing::Futex { address, timed: false, private, .. } => Some((address, private)),
                _ => None,
            })
            .map(|(address, private)| {
                let inside = mappings.iter().find(|m| (m.start..m.end).contains(&address));
                inside.map_or(Place::Elsewhere, |m| Place::Segment {
                    offset: address - m.start + m.offset,
                    private,
                })
            })
            .collect();
        let reads = tasks.iter().any(|task| task.doing == Doing::Reading { descriptor: 0 });
        let segment = places.iter().find(|place| matches!(place, Place::Segment { .. }));
        segment.or(if reads { None } else { places.first() }).copied()
    }

    /// What the program has come to, once it is seen at rest: one that a timer wakes again and
    /// again may be awake at any one look, and what it sleeps on is seen at the next.
    fn at_deadline(&self, actor: Actor) -> Option<Event> {
        let tasks = procfs::tasks(self.pid(actor));
        let awake = tasks.iter().any(|task| task.doing == Doing::Running);
        let event = || self.place_of(actor, &tasks).map_or(Event::Silent, Event::Asleep);
        (!awake).then(event)
    }
}

/// Whether a program that should block spins: it has used so much of a processor, and gone to sleep so
/// often meanwhile. Who naps needs some as well, much if we come late, but not 5 ms for each nap. Who
/// spins sleeps as well, for a lock of the kernel's: as often as who naps, where others hold it often.
pub(crate) fn spins(used: Duration, sleeps: u64) -> bool {
    let naps = Duration::from_millis(sleeps.saturating_mul(5));
    used > naps.clamp(SPIN_WAITING, SPIN_WORKING)
}

/// Nothing moves on the stage: everybody sleeps until somebody else wakes them, in two looks with
/// nothing in between.
fn still(look: &Look, last: Option<&Look>, place: impl FnOnce() -> Option<Place>) -> Option<Event> {
    if last != Some(look) || look.doing.is_empty() || !look.doing.iter().all(Doing::lasts_for_ever)
    {
        return None;
    }
    Some(place().map_or(Event::WantsInput, Event::Asleep))
}

/// `your producer exits with 13 (wrong format), and says: …`.
fn told(role: &str, exit: Exit, errors: &str) -> String {
    let mut text = format!("{role} {}", exit.told());
    if let Some(last) = errors.lines().last() {
        text += &format!(", and says `{}`", shown(last));
    }
    text
}

/// What Rust prints of a panic.
struct Panic {
    message: String,
    place: Option<String>,
}

impl Panic {
    fn parse(errors: &str) -> Option<Panic> {
        let mut lines = errors.lines().skip_while(|line| !line.contains("panicked at "));
        let head = lines.next()?;
        let place = head.split_once("panicked at ")?.1.trim_end_matches(':');
        // `labs/raw-segment/src/segment.rs:41:9` is told as `src/segment.rs:41`.
        let place = place.rsplit_once(':').map_or(place, |(before, _)| before);
        let place = place.find("src/").map(|at| place[at..].to_owned());
        Some(Panic { message: lines.next().unwrap_or("").to_owned(), place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASLEEP: Doing = Doing::Futex { address: 8, timed: false, private: false, wakes: false };

    #[test]
    fn a_stage_is_still_only_when_two_looks_agree_and_nobody_can_wake_up_alone() {
        let place = || Some(Place::Elsewhere);
        let look = Look { doing: vec![ASLEEP], sleeps: 3 };
        assert_eq!(still(&look, None, place), None);
        assert_eq!(still(&look, Some(&look), place), Some(Event::Asleep(Place::Elsewhere)));
        let moved = Look { sleeps: 4, ..look.clone() };
        assert_eq!(still(&moved, Some(&look), place), None);
        let timed = Doing::Futex { address: 8, timed: true, private: false, wakes: false };
        let look = Look { doing: vec![ASLEEP, timed], sleeps: 3 };
        assert_eq!(still(&look, Some(&look), place), None);
    }

    #[test]
    fn who_spins_is_told_from_who_naps_however_often_a_lock_of_the_kernels_makes_it_sleep() {
        let ms = Duration::from_millis;
        assert!(spins(ms(301), 0) && !spins(ms(299), 0));
        assert!(!spins(ms(900), 200), "it naps, and we come late");
        assert!(spins(ms(3001), 7000));
    }

    #[test]
    fn a_panic_is_read_with_its_place() {
        let errors = "thread 'main' (7) panicked at labs/x/src/table.rs:9:5:\nnot yet implemented: step a: b\nnote";
        let panic = Panic::parse(errors).unwrap();
        assert_eq!(panic.message, "not yet implemented: step a: b");
        assert_eq!(panic.place.as_deref(), Some("src/table.rs:9"));
    }
}
