//! The same again is the same again: seeds, schedules, other users, and nothing is left behind.

use std::os::unix::process::CommandExt;
use std::process::Command;

use interleave::{Budget, Lab, Memory, Move, Player, Search, Verdict, explore};

use crate::bugs::{counter, peterson, ring};
use crate::correct::{spinlock, two_semaphores};
use crate::labs::build::{GRADE, program};
use crate::labs::{RACY, WORKERS};
use crate::stage::{Scenario, Stage, semaphores};

fn hash_of(scenario: &Scenario, seed: u64, memory: Memory) -> u64 {
    scenario.explore(Search::Walk { seed }, memory, 1).unwrap().hash
}

#[test]
fn a_seed_has_one_hash() {
    let acqrel = peterson(&["peterson 0 acqrel", "peterson 1 acqrel"]);
    let cases = [
        (counter().exec(), Memory::Sc),
        (two_semaphores(), Memory::Sc),
        (acqrel, Memory::Tso),
        (spinlock(), Memory::Weak),
    ];
    for (scenario, memory) in cases {
        let first = hash_of(&scenario, 3, memory);
        for _ in 0..19 {
            assert_eq!(hash_of(&scenario, 3, memory), first, "{:?}", scenario.commands);
        }
    }
}

#[test]
fn a_fork_and_a_fresh_process_do_the_same() {
    for scenario in [counter(), ring(), two_semaphores()] {
        let hash = hash_of(&scenario, 5, Memory::Sc);
        assert_eq!(hash_of(&scenario.exec(), 5, Memory::Sc), hash, "{:?}", scenario.commands);
    }
}

#[test]
fn a_schedule_that_was_found_replays() {
    for (search, memory) in [
        (Search::Bounded { preemptions: 2 }, Memory::Sc),
        (Search::Pct { depth: 3, seed: 1 }, Memory::Sc),
        (Search::Walk { seed: 1 }, Memory::Tso),
    ] {
        let found = counter().explore(search, memory, 200).unwrap();
        assert!(found.verdict.is_bad());
        let schedule = found.schedule.unwrap();
        let again: interleave::Schedule = schedule.to_string().parse().unwrap();
        let replayed = counter().exec().explore(Search::Replay(again), memory, 1).unwrap();
        assert_eq!((replayed.verdict, replayed.hash), (found.verdict, found.hash), "{schedule}");
    }
}

#[test]
fn a_player_makes_the_schedule() {
    struct Alternating(usize);
    impl Player for Alternating {
        fn choose(&mut self, step: usize, moves: &[Move]) -> Option<usize> {
            self.0 += 1;
            assert!(step > 0 || moves[0].told == "reads counter", "{moves:?}");
            Some(step % moves.len())
        }
    }
    let mut player = Alternating(0);
    let report = counter().explore(Search::Play(&mut player), Memory::Sc, 1).unwrap();
    assert!(matches!(report.verdict, Verdict::Wrong(_)));
    assert!(player.0 >= 8);
}

/// As an ordinary user without any privilege. Started by root, this runs itself again as nobody.
#[test]
fn no_privilege_is_needed() {
    const NOBODY: u32 = 65534;
    if nix::unistd::geteuid().is_root() {
        let folder = std::env::temp_dir().join(format!("interleave-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let copy = |from: &std::path::Path, name: &str| {
            let to = folder.join(name);
            std::fs::copy(from, &to).unwrap();
            to
        };
        let tests = copy(&std::env::current_exe().unwrap(), "tests");
        let workers = copy(&crate::stage::worker(), "interleave-workers");
        copy(&program("race-condition", GRADE), "race-condition");
        let again = Command::new(tests)
            .args(["--exact", "repeat::no_privilege_is_needed", "--nocapture"])
            .env("INTERLEAVE_WORKERS", workers)
            .env("INTERLEAVE_LABS", &folder)
            .current_dir(&folder)
            .gid(NOBODY)
            .uid(NOBODY)
            .output()
            .unwrap();
        let _ = std::fs::remove_dir_all(&folder);
        let told = String::from_utf8_lossy(&again.stderr);
        assert!(again.status.success(), "{told}");
        return;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
    let report = counter().bounded(2, Memory::Sc, 30);
    assert!(matches!(report.verdict, Verdict::Wrong(_)));
    for scene in [WORKERS, RACY] {
        let hash = || scene.explore(Search::Walk { seed: 5 }, Memory::Tso, 1).unwrap().hash;
        let first = hash();
        assert!((1..20).all(|_| hash() == first));
    }
}

/// The explorer itself, killed in the middle: run again by `killed_at_any_moment_it_leaves_nothing`.
#[test]
fn explores_until_it_is_killed() {
    if std::env::var_os("INTERLEAVE_VICTIM").is_some() {
        println!("started");
        loop {
            let _ = spinlock().explore(Search::Walk { seed: 1 }, Memory::Sc, 100_000);
        }
    }
}

#[test]
fn killed_at_any_moment_it_leaves_nothing() {
    use std::io::{BufRead, BufReader};
    for moment in 0..8 {
        let marker = format!("interleave-victim-{}-{moment}", std::process::id());
        let folder = std::env::temp_dir().join(&marker);
        std::fs::create_dir_all(&folder).unwrap();
        let workers = folder.join("interleave-workers");
        std::fs::copy(crate::stage::worker(), &workers).unwrap();
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "repeat::explores_until_it_is_killed", "--nocapture"])
            .env("INTERLEAVE_VICTIM", "1")
            .env("INTERLEAVE_WORKERS", &workers)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = victim.id();
        let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.contains("started")));
        // Any moment will do; these are just different ones.
        std::thread::sleep(std::time::Duration::from_millis(10 * moment));
        victim.kill().unwrap();
        victim.wait().unwrap();
        // The kernel kills them with their tracer, but they need a moment to go.
        let (mut left, mut names) = (0, 0);
        for _ in 0..1000 {
            left = running(&workers);
            names = names_of(pid);
            if left + names == 0 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let _ = std::fs::remove_dir_all(&folder);
        assert_eq!(left, 0);
        assert_eq!(names, 0);
    }
}

/// How many processes run this program.
fn running(program: &std::path::Path) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let links = processes.filter_map(|entry| std::fs::read_link(entry.path().join("exe")).ok());
    links.filter(|link| link == program).count()
}

/// How many names in `/dev/shm` this process has made.
fn names_of(pid: u32) -> usize {
    let begins = format!("interleave-{pid}-");
    let names = std::fs::read_dir("/dev/shm").unwrap().flatten().map(|entry| entry.file_name());
    names.filter(|name| name.to_string_lossy().starts_with(&begins)).count()
}

#[test]
fn budgets_count_schedules_and_steps() {
    let scenario = two_semaphores();
    for (search, most) in [
        (Search::Bounded { preemptions: 2 }, 7),
        (Search::Walk { seed: 1 }, 9),
        (Search::Pct { depth: 3, seed: 1 }, 5),
        (Search::Crash { victim: 0 }, 3),
    ] {
        let report = scenario.explore(search, Memory::Sc, most);
        let coverage = report.unwrap().coverage;
        assert_eq!((coverage.schedules, coverage.complete), (most, false), "{coverage:?}");
    }
    let stage = Stage::new(&semaphores());
    let prepare = |path: &std::path::Path| stage.prepare(path);
    let lab = Lab::new(&stage.name, [stage.worker("semaphores ab 2")], &prepare, &|_| Ok(()));
    let search = || Search::Bounded { preemptions: 0 };
    let longest = explore(&lab, search(), Memory::Sc, Budget::default()).unwrap().coverage.longest;
    for (steps, verdict) in [(longest, Verdict::TooLong), (longest + 1, Verdict::Pass)] {
        let budget = Budget { schedules: 1, steps };
        assert_eq!(explore(&lab, search(), Memory::Sc, budget).unwrap().verdict, verdict);
    }
}
