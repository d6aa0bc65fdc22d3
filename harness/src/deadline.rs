//! The time that programs have for what is expected of them. What the machine takes away does not
//! count: as long as one of them is ready to run and gets no processor, or waits for a disk or a lock
//! of the kernel's, nobody is late, nor while we are kept from looking. What a program gives away
//! counts: it may yield its processor again and again, but not for ever.

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
    /// When we were last asked, and for how long beyond [`LATE_LOOK`], all in all, the programs ran and
    /// we did not look.
    asked: Instant,
    unseen: Duration,
    /// When the programs were last looked at, for how long one had waited for a processor by then, and
    /// one inside the kernel.
    sampled: Instant,
    starved: Duration,
    held_up: Duration,
}

/// Who waits asks some hundred times a second. If it takes so long, we had no processor ourselves, and
/// have not seen what happened meanwhile.
const LATE_LOOK: Duration = Duration::from_millis(250);

/// Who never sleeps, and has had a turn on a processor for each of these, has had its time, if it ended
/// the turns itself: who sleeps so long after each gets no more, with all processors to himself.
const NAP: Duration = Duration::from_millis(1);

/// A turn that is shorter than this, in the mean of so many, was not taken away.
const SHORT_TURN: Duration = Duration::from_micros(20);

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
            starved: Duration::ZERO,
            held_up: Duration::ZERO,
        }
    }

    /// Whether one of the programs, when last looked at, had given its time away: it never sleeps, and
    /// leaves the processor all the same, again and again.
    pub fn was_given_away(&self) -> bool {
        let elapsed = self.sampled - self.start;
        self.last.iter().any(|turn| self.gives_away(elapsed, &self.had(turn)))
    }

    /// Whether the programs have had that long.
    pub fn is_over(&mut self) -> bool {
        let now = Instant::now();
        let late = (now - self.asked).saturating_sub(LATE_LOOK);
        self.asked = now;
        let elapsed = now - self.start;
        let since = now - self.sampled;
        if elapsed <= self.limit + self.unseen && since < SAMPLE {
            return false;
        }
        self.sampled = now;
        let turns = turns(&self.programs);
        let starved = self.starved(elapsed, &turns);
        self.sample(since - late, late, starved, &turns);
        elapsed > self.limit && self.is_over_after(elapsed, starved, turns)
    }

    /// For how long one of the programs was kept from running.
    fn starved(&self, elapsed: Duration, now: &[Turn]) -> Duration {
        let had = now.iter().map(|turn| self.had(turn));
        let kept = had.filter(|had| !self.gives_away(elapsed, had)).map(|had| had.starved);
        kept.max().unwrap_or_default()
    }

    /// What this thread has had since the start.
    fn had(&self, turn: &Turn) -> Turn {
        match self.at_start.iter().find(|old| old.thread == turn.thread) {
            None => *turn,
            Some(old) => Turn {
                used: turn.used.saturating_sub(old.used),
                starved: turn.starved.saturating_sub(old.starved),
                turns: turn.turns.saturating_sub(old.turns),
                ..*turn
            },
        }
    }

    /// Whether a thread that has had this has had its time, and given it away.
    fn gives_away(&self, elapsed: Duration, had: &Turn) -> bool {
        let turns = u32::try_from(had.turns).unwrap_or(u32::MAX);
        let slept = elapsed.saturating_sub(had.used + had.starved);
        slept < elapsed / 20 && NAP * turns > self.limit && had.used < SHORT_TURN * turns
    }

    /// Takes note of what the machine took away in a time of which we saw so much, and did not see so
    /// much.
    fn sample(&mut self, seen: Duration, unseen: Duration, starved: Duration, now: &[Turn]) {
        if now.iter().any(|turn| turn.state == State::HeldUp) {
            self.held_up = (self.held_up + seen).min(HELD_UP_CAP);
        }
        // Who had no processor meanwhile is not late for that already.
        self.unseen += unseen.saturating_sub(starved.saturating_sub(self.starved));
        self.starved = self.starved.max(starved);
    }

    fn is_over_after(&mut self, elapsed: Duration, starved: Duration, now: Vec<Turn>) -> bool {
        // What a thread has waited since it last ran is in no number until it runs again.
        let waits = now.iter().any(|turn| match turn.state {
            State::Ready => !has_run(turn, &self.last),
            State::HeldUp => self.held_up < HELD_UP_CAP,
            State::Asleep => false,
        });
        self.last = now;
        !waits && elapsed > self.limit + starved + self.unseen + self.held_up
    }
}

fn turns(programs: &[Pid]) -> Vec<Turn> {
    programs.iter().flat_map(|&pid| procfs::turns(pid)).collect()
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
        let (used, starved) = (seconds(used), seconds(starved));
        Turn { thread: Pid::from_raw(1), state, used, starved, turns: 100 }
    }

    fn of_ten_seconds() -> Deadline {
        let at_start = vec![turn(State::Ready, 1, 5)];
        Deadline { at_start, ..Deadline::new(seconds(10), Vec::new()) }
    }

    fn is_over(deadline: &mut Deadline, elapsed: u64, now: Turn) -> bool {
        let (elapsed, now) = (seconds(elapsed), vec![now]);
        let starved = deadline.starved(elapsed, &now);
        deadline.is_over_after(elapsed, starved, now)
    }

    #[test]
    fn who_sleeps_is_late_and_who_was_kept_from_running_is_not() {
        assert!(is_over(&mut of_ten_seconds(), 11, turn(State::Asleep, 1, 5)));
        assert!(!is_over(&mut of_ten_seconds(), 11, turn(State::Asleep, 1, 7)));
        assert!(is_over(&mut of_ten_seconds(), 13, turn(State::Asleep, 1, 7)));
    }

    #[test]
    fn who_waits_for_a_processor_is_late_only_when_it_has_run_again() {
        let mut deadline = of_ten_seconds();
        assert!(!is_over(&mut deadline, 30, turn(State::Ready, 1, 5)));
        assert!(!is_over(&mut deadline, 40, turn(State::Ready, 1, 5)));
        assert!(is_over(&mut deadline, 41, turn(State::Ready, 2, 6)));
    }

    #[test]
    fn who_gives_its_processor_away_has_had_its_time() {
        let had = |used: u64, starved: u64, turns: u64| Turn {
            used: Duration::from_millis(1000 + used),
            starved: seconds(5 + starved),
            turns: 100 + turns,
            ..turn(State::Asleep, 0, 0)
        };
        assert!(is_over(&mut of_ten_seconds(), 12, had(100, 12, 10_001)));
        assert!(!is_over(&mut of_ten_seconds(), 12, had(100, 12, 9_999)), "it has not had enough");
        assert!(!is_over(&mut of_ten_seconds(), 12, had(1000, 11, 10_001)), "it was pushed aside");
        assert!(!is_over(&mut of_ten_seconds(), 12, had(100, 6, 10_001)), "it sleeps in between");

        let given_away = |had: Turn| {
            let mut deadline = of_ten_seconds();
            deadline.sampled = deadline.start + seconds(12);
            is_over(&mut deadline, 12, had);
            deadline.was_given_away()
        };
        assert!(given_away(had(100, 12, 10_001)));
        assert!(!given_away(had(1000, 11, 10_001)), "it was pushed aside");
    }

    #[test]
    fn who_is_held_up_in_the_kernel_is_not_late_but_cannot_stay_there_for_ever() {
        let (held_up, asleep) = (turn(State::HeldUp, 1, 5), turn(State::Asleep, 1, 5));
        let none = Duration::ZERO;
        let mut deadline = of_ten_seconds();
        assert!(!is_over(&mut deadline, 11, held_up), "it still is");
        deadline.sample(seconds(8), none, none, &[held_up]);
        assert!(!is_over(&mut deadline, 17, asleep), "it was, for eight seconds");
        assert!(is_over(&mut deadline, 19, asleep), "and then had its ten");
        deadline.sample(seconds(1000), none, none, &[held_up]);
        assert!(is_over(&mut deadline, 1011, held_up), "by its own will");
    }

    #[test]
    fn nobody_is_late_while_we_do_not_look() {
        let mut deadline = Deadline::new(seconds(1), Vec::new());
        deadline.start -= seconds(3);
        deadline.asked -= seconds(3);
        deadline.sampled -= seconds(3);
        assert!(!deadline.is_over(), "the first look is late");
        deadline.start -= seconds(1);
        assert!(deadline.is_over(), "the second is not");
    }

    #[test]
    fn who_was_kept_from_running_while_we_did_not_look_is_excused_once() {
        let mut deadline = of_ten_seconds();
        let mut unseen_after = |unseen, starved| {
            deadline.sample(seconds(0), seconds(unseen), seconds(starved), &[]);
            deadline.unseen
        };
        assert_eq!(unseen_after(8, 6), seconds(2), "it waited for six of the eight");
        assert_eq!(unseen_after(3, 13), seconds(2), "and for all three");
        assert_eq!(unseen_after(3, 13), seconds(5), "and then for none");
    }

    #[test]
    fn where_there_is_no_program_only_the_time_counts() {
        assert!(Deadline::new(Duration::ZERO, Vec::new()).is_over());
        assert!(!Deadline::new(seconds(1000), Vec::new()).is_over());
    }
}
