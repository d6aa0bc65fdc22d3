//! The time that programs have for what is expected of them. What the machine takes away does not
//! count: as long as one of them is ready to run and gets no processor, or waits for a disk or a lock
//! of the kernel's, nobody is late, nor while we are kept from looking.

use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::procfs::{self, State, Turn};

/// A time within which something must have happened.
pub struct Deadline {
    start: Instant,
    limit: Duration,
    programs: Vec<Pid>,
    at_start: Vec<Turn>,
    last: Vec<Turn>,
    /// When we were last asked, and how long that is ago beyond [`LATE_LOOK`], all in all.
    asked: Instant,
    unseen: Duration,
    /// When the programs were last looked at for a wait inside the kernel, and for how long one was.
    sampled: Instant,
    held_up: Duration,
}

/// Who waits asks some hundred times a second. If it takes so long, we had no processor ourselves, and
/// have not seen what happened meanwhile.
const LATE_LOOK: Duration = Duration::from_millis(250);

/// No number tells how long a program has waited inside the kernel: it is looked at this often.
const SAMPLE: Duration = Duration::from_millis(20);

/// As much of it is believed. A program can wait like that for as long as it likes: for a child that
/// it has made with `vfork`.
const HELD_UP_CAP: Duration = Duration::from_secs(120);

impl Deadline {
    /// Begins now, for what these programs do.
    pub fn new(limit: Duration, programs: Vec<Pid>) -> Deadline {
        let at_start = turns(&programs);
        let now = Instant::now();
        Deadline {
            start: now,
            limit,
            programs,
            at_start,
            last: Vec::new(),
            asked: now,
            unseen: Duration::ZERO,
            sampled: now,
            held_up: Duration::ZERO,
        }
    }

    /// Whether the programs have had that long.
    pub fn is_over(&mut self) -> bool {
        let now = Instant::now();
        self.unseen += (now - self.asked).saturating_sub(LATE_LOOK);
        self.asked = now;
        let elapsed = (now - self.start).saturating_sub(self.unseen);
        let since = (now - self.sampled).min(LATE_LOOK);
        if elapsed <= self.limit && since < SAMPLE {
            return false;
        }
        self.sampled = now;
        let turns = turns(&self.programs);
        self.sample(since, &turns);
        elapsed > self.limit && self.is_over_after(elapsed, turns)
    }

    /// Takes note of who waits inside the kernel, as it may have for this long.
    fn sample(&mut self, since: Duration, now: &[Turn]) {
        if now.iter().any(|turn| turn.state == State::HeldUp) {
            self.held_up = (self.held_up + since).min(HELD_UP_CAP);
        }
    }

    fn is_over_after(&mut self, elapsed: Duration, now: Vec<Turn>) -> bool {
        let more = |turn: &Turn| turn.starved.saturating_sub(before(turn, &self.at_start));
        let starved = now.iter().map(more).max().unwrap_or_default();
        // What a thread has waited since it last ran is in no number until it runs again.
        let waits = now.iter().any(|turn| match turn.state {
            State::Ready => !has_run(turn, &self.last),
            State::HeldUp => self.held_up < HELD_UP_CAP,
            State::Asleep => false,
        });
        self.last = now;
        !waits && elapsed > self.limit + starved + self.held_up
    }
}

fn turns(programs: &[Pid]) -> Vec<Turn> {
    programs.iter().flat_map(|&pid| procfs::turns(pid)).collect()
}

/// How long this thread had been starved at the start.
fn before(turn: &Turn, at_start: &[Turn]) -> Duration {
    let same = at_start.iter().find(|old| old.thread == turn.thread);
    same.map(|old| old.starved).unwrap_or_default()
}

/// Whether the thread is known to have had a processor since the last look.
fn has_run(turn: &Turn, last: &[Turn]) -> bool {
    last.iter().any(|old| old.thread == turn.thread && old.used != turn.used)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn turn(state: State, used: u64, starved: u64) -> Turn {
        Turn { thread: Pid::from_raw(1), state, used: seconds(used), starved: seconds(starved) }
    }

    fn of_ten_seconds() -> Deadline {
        let at_start = vec![turn(State::Ready, 1, 5)];
        Deadline { at_start, ..Deadline::new(seconds(10), Vec::new()) }
    }

    #[test]
    fn who_sleeps_is_late_and_who_was_kept_from_running_is_not() {
        assert!(of_ten_seconds().is_over_after(seconds(11), vec![turn(State::Asleep, 1, 5)]));
        assert!(!of_ten_seconds().is_over_after(seconds(11), vec![turn(State::Asleep, 1, 7)]));
        assert!(of_ten_seconds().is_over_after(seconds(13), vec![turn(State::Asleep, 1, 7)]));
    }

    #[test]
    fn who_waits_for_a_processor_is_late_only_when_it_has_run_again() {
        let mut deadline = of_ten_seconds();
        assert!(!deadline.is_over_after(seconds(30), vec![turn(State::Ready, 1, 5)]));
        assert!(!deadline.is_over_after(seconds(40), vec![turn(State::Ready, 1, 5)]));
        assert!(deadline.is_over_after(seconds(41), vec![turn(State::Ready, 2, 6)]));
    }

    #[test]
    fn who_is_held_up_in_the_kernel_is_not_late_but_cannot_stay_there_for_ever() {
        let held_up = || vec![turn(State::HeldUp, 1, 5)];
        let mut deadline = of_ten_seconds();
        assert!(!deadline.is_over_after(seconds(11), held_up()), "it still is");
        deadline.sample(seconds(8), &held_up());
        let asleep = || vec![turn(State::Asleep, 1, 5)];
        assert!(!deadline.is_over_after(seconds(17), asleep()), "it was, for eight seconds");
        assert!(deadline.is_over_after(seconds(19), asleep()), "and then had its ten");
        deadline.sample(seconds(1000), &held_up());
        assert!(deadline.is_over_after(seconds(1011), held_up()), "by its own will");
    }

    #[test]
    fn nobody_is_late_while_we_do_not_look() {
        let mut deadline = Deadline::new(seconds(1), Vec::new());
        deadline.start -= seconds(3);
        deadline.asked -= seconds(3);
        assert!(!deadline.is_over(), "the first look is late");
        deadline.start -= seconds(1);
        assert!(deadline.is_over(), "the second is not");
    }

    #[test]
    fn where_there_is_no_program_only_the_time_counts() {
        assert!(Deadline::new(Duration::ZERO, Vec::new()).is_over());
        assert!(!Deadline::new(seconds(1000), Vec::new()).is_over());
    }
}
