//! A schedule as a short string: where it differs from letting each process run until it blocks.
//!
//! | part | means |
//! |---|---|
//! | `4A` | at step 4, process A runs |
//! | `12a!` | at step 12, the oldest store in A's store buffer becomes visible |
//! | `8~1` | the load at step 8 sees a value one older than the newest it could see |
//! | `3xA` | before step 3, process A is killed |
//! | `-` | nothing: nobody is ever interrupted |
//!
//! The parts are joined by dots: `1B.4A`. A store buffer is named by its owner's letter in lower
//! case. Step numbers count the decisions of one binary: after a change of the program a schedule is
//! no more than a hint.

use std::fmt;
use std::str::FromStr;

use crate::engine::{Moment, Strategy, default_pick};
use crate::event::Run;

/// The most processes there can be.
pub const MOST_PROCESSES: usize = 8;

/// Where a run differs from the one in which nobody is interrupted.
///
/// ```
/// use interleave::Schedule;
///
/// let schedule: Schedule = "1B.4A.8~1".parse()?;
/// assert_eq!(schedule.to_string(), "1B.4A.8~1");
/// assert!("1B.x".parse::<Schedule>().is_err());
/// # Ok::<(), interleave::BadSchedule>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Schedule {
    /// In the order of steps.
    pub(crate) deviations: Vec<(usize, Deviation)>,
}

/// One difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Deviation {
    /// This process is killed.
    Kill(usize),
    /// This process runs.
    Run(usize),
    /// The oldest store of this process becomes visible.
    Drain(usize),
    /// A load sees a value so many older than the newest.
    Old(usize),
}

impl Schedule {
    /// The schedule that leads to a run which has happened.
    pub(crate) fn of(run: &Run, processes: usize, kills: &[(usize, usize)]) -> Schedule {
        let mut deviations: Vec<(usize, Deviation)> =
            kills.iter().map(|&(step, process)| (step, Deviation::Kill(process))).collect();
        for (step, choice) in run.choices.iter().enumerate() {
            let enabled: Vec<usize> = choice.alternatives().collect();
            let moment = Moment {
                step,
                current: choice.current,
                yielded: choice.yielded,
                enabled: &enabled,
                processes,
                next: &[],
                state: choice.state,
            };
            if default_pick(&moment) != choice.chosen {
                deviations.push((step, Deviation::of(choice.chosen, processes)));
            }
            if choice.old.0 > 0 {
                deviations.push((step, Deviation::Old(choice.old.0)));
            }
        }
        deviations.sort();
        Schedule { deviations }
    }

    /// This schedule and one difference more.
    pub(crate) fn with(&self, step: usize, deviation: Deviation) -> Schedule {
        let mut more = self.clone();
        more.deviations.push((step, deviation));
        more
    }

    /// Whether nobody is interrupted.
    pub fn is_empty(&self) -> bool {
        self.deviations.is_empty()
    }

    /// The last step at which it says anything.
    pub(crate) fn last(&self) -> Option<usize> {
        self.deviations.last().map(|&(step, _)| step)
    }

    /// Who is killed when.
    pub(crate) fn kills(&self) -> Vec<(usize, usize)> {
        let kill = |&(step, deviation): &(usize, Deviation)| match deviation {
            Deviation::Kill(process) => Some((step, process)),
            _ => None,
        };
        self.deviations.iter().filter_map(kill).collect()
    }

    /// The strategy that follows it.
    pub(crate) fn follower(&self) -> Follower<'_> {
        Follower(self)
    }
}

impl Deviation {
    /// The difference it makes that this entity runs.
    pub(crate) fn of(entity: usize, processes: usize) -> Deviation {
        if entity < processes {
            Deviation::Run(entity)
        } else {
            Deviation::Drain(entity - processes)
        }
    }
}

/// Does what a schedule says.
pub(crate) struct Follower<'a>(&'a Schedule);

impl Strategy for Follower<'_> {
    fn pick(&mut self, moment: &Moment<'_>) -> Option<usize> {
        let told = self.0.deviations.iter().filter(|(step, _)| *step == moment.step);
        for &(_, deviation) in told {
            let entity = match deviation {
                Deviation::Run(process) => process,
                Deviation::Drain(process) => moment.processes + process,
                Deviation::Old(_) | Deviation::Kill(_) => continue,
            };
            if moment.enabled.contains(&entity) {
                return Some(entity);
            }
        }
        Some(default_pick(moment))
    }

    fn old(&mut self, step: usize, most: usize) -> usize {
        let told = self.0.deviations.iter().find_map(|&(at, deviation)| match deviation {
            Deviation::Old(count) if at == step => Some(count),
            _ => None,
        });
        told.unwrap_or(0).min(most)
    }

    fn kill(&mut self, step: usize) -> Option<usize> {
        self.0.kills().into_iter().find(|&(at, _)| at == step).map(|(_, process)| process)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.deviations.is_empty() {
            return f.write_str("-");
        }
        for (at, &(step, deviation)) in self.deviations.iter().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            match deviation {
                Deviation::Run(process) => write!(f, "{step}{}", letter(process))?,
                Deviation::Drain(process) => {
                    write!(f, "{step}{}!", letter(process).to_ascii_lowercase())?;
                }
                Deviation::Old(count) => write!(f, "{step}~{count}")?,
                Deviation::Kill(process) => write!(f, "{step}x{}", letter(process))?,
            }
        }
        Ok(())
    }
}

/// The letter of a process: A for the first.
pub fn letter(process: usize) -> char {
    char::from(b'A' + process.min(25) as u8)
}

/// A string that is no schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSchedule {
    part: String,
}

impl fmt::Display for BadSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no part of a schedule; parts look like 4A, 12a!, 8~1, 3xA", self.part)
    }
}

impl std::error::Error for BadSchedule {}

impl FromStr for Schedule {
    type Err = BadSchedule;

    fn from_str(text: &str) -> Result<Schedule, BadSchedule> {
        if text == "-" {
            return Ok(Schedule::default());
        }
        let mut deviations =
            text.split('.').map(parse_part).collect::<Result<Vec<_>, BadSchedule>>()?;
        deviations.sort();
        Ok(Schedule { deviations })
    }
}

fn parse_part(part: &str) -> Result<(usize, Deviation), BadSchedule> {
    let bad = || BadSchedule { part: part.to_owned() };
    let digits = part.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let step = part[..digits].parse().map_err(|_| bad())?;
    let process = |letter: u8, first: u8| {
        let number = usize::from(letter.wrapping_sub(first));
        (number < MOST_PROCESSES).then_some(number)
    };
    let deviation = match &part.as_bytes()[digits..] {
        [b'~', rest @ ..] if !rest.is_empty() => {
            part[digits + 1..].parse().ok().map(Deviation::Old)
        }
        [b'x', letter] => process(*letter, b'A').map(Deviation::Kill),
        [letter, b'!'] => process(*letter, b'a').map(Deviation::Drain),
        [letter] => process(*letter, b'A').map(Deviation::Run),
        _ => None,
    };
    Ok((step, deviation.ok_or_else(bad)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_survives_being_written_and_read() {
        for text in ["-", "0B", "1B.4A", "12a!.13b!", "8~1", "3xA.3B", "1B.4A.8~12.100h!"] {
            assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in ["", "B", "1", "1B.", "1b", "1B!", "1~", "1~x", "x1A", "1I", "1x", "-1B", "ä"]
        {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }
}
