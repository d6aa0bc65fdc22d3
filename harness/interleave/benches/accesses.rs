//! How long a traced access and a schedule take, beside the plain way to do it: let the access
//! fault, open the mapping, single-step, close it again.
//!
//! `cargo bench -p interleave`

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod plain;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() {
    bench::run();
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() {}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod bench {
    use std::path::Path;
    use std::time::Duration;

    use interleave::{Budget, Ending, Lab, Memory, Program, Report, Search, explore};

    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;

    use super::plain;

    /// The best of so many runs: what the machine can do, whatever else it does.
    const ROUNDS: usize = 5;

    pub(super) fn run() {
        if let Err(why) = explore_counters(1, Search::Replay("-".parse().unwrap()), 1, true) {
            println!("not measured: {why}");
            return;
        }
        let steps = 20_000_usize;
        let one = |rounds| {
            best(|| {
                let search = Search::Walk { seed: 1 };
                explore_counters(rounds, search, 1, true).unwrap();
            })
        };
        let accesses = one(steps / 4).saturating_sub(one(1));
        // Four runs each: scout, search, the fork's masters, and the one that is told. The first
        // and the last take the same steps as the search.
        let each = accesses / (3 * steps as u32);
        println!("traced access           {}", told(each));
        println!("fault, mprotect, step   {}", told(plain::access(2000)));
        for (what, forked) in [("fork server", true), ("exec", false)] {
            let time = |schedules| {
                best(|| {
                    let search = Search::Walk { seed: 1 };
                    explore_counters(2, search, schedules, forked).unwrap();
                })
            };
            let count = if forked { 400 } else { 60 };
            let each = time(count).saturating_sub(time(1)) / (count as u32 - 1);
            println!("schedule, {what:<12}  {}", told(each));
        }
    }

    fn told(each: Duration) -> String {
        let seconds = each.as_secs_f64();
        format!("{:9.1} us   {:9.0} a second", seconds * 1e6, 1.0 / seconds)
    }

    fn best(mut work: impl FnMut()) -> Duration {
        let time = |_| {
            let start = processor_time();
            work();
            processor_time() - start
        };
        (0..ROUNDS).map(time).min().unwrap_or_default()
    }

    /// Of us and of all processes we have waited for. Everything runs on one processor and nothing
    /// waits, so on an idle machine it is the time on the clock; on a busy one it is the same.
    pub(super) fn processor_time() -> Duration {
        let of = |who| {
            let usage = getrusage(who).expect("who is one of the two");
            let seconds = usage.user_time() + usage.system_time();
            Duration::from_micros(seconds.num_microseconds() as u64)
        };
        of(UsageWho::RUSAGE_SELF) + of(UsageWho::RUSAGE_CHILDREN)
    }

    /// Two processes that each read and write a counter so many times.
    fn explore_counters(
        rounds: usize,
        search: Search<'_>,
        schedules: usize,
        fork_server: bool,
    ) -> Result<Report, interleave::Unsupported> {
        let name = format!("/interleave-bench-{}", std::process::id());
        let prepare = |path: &Path| std::fs::write(path, [0; 4096]);
        let check = |_: &Ending| Ok(());
        let worker = Program::new(env!("CARGO_BIN_EXE_interleave-workers"))
            .argument(&name)
            .argument("counter")
            .argument(rounds.to_string());
        let mut lab = Lab::new(&name, [worker.clone(), worker], &prepare, &check);
        lab.fork_server = fork_server;
        let budget = Budget { schedules, steps: 1_000_000 };
        let report = explore(&lab, search, Memory::Sc, budget);
        let _ = std::fs::remove_file(format!("/dev/shm{name}"));
        report
    }
}
