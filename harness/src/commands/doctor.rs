//! `cargo lab doctor`: proves by doing that this machine can run the labs, and says what to do
//! where it cannot.

use std::path::Path;
use std::process::Command;
use std::thread::{available_parallelism, sleep};
use std::time::{Duration, Instant};

use sandbox::Tier;
use serde::Serialize;

use super::{Done, harness, say, say_json};
use crate::cleanup::{self, SHM_DIR};
use crate::exit_code::ExitCode;
use crate::exploration;
use crate::isolation::Isolation;
use crate::machine;
use crate::peer::{Peer, PeerError};
use crate::procfs::{self, Doing};
use crate::report::style::{BAD, DIM, GOOD, OPEN, paint};
use crate::toolchain::Toolchain;
use crate::verdict::Stop;

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    /// What.
    what: &'static str,
    /// How it is.
    status: Health,
    /// What was seen.
    seen: String,
    /// What to do, where something is wrong.
    fix: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Health {
    Good,
    /// Some checks cannot be decided.
    Limited,
    Bad,
}

pub(super) fn doctor(json: bool) -> Done {
    let harness = harness()?;
    let findings = [
        system(),
        toolchain(),
        linker(),
        memory(),
        cores(),
        processes(&harness),
        schedules(&harness),
        leftovers(),
        confinement(&harness),
    ];
    if json {
        say_json(&findings)?;
    } else {
        for finding in &findings {
            let mark = match finding.status {
                Health::Good => paint(GOOD, "✔"),
                Health::Limited => paint(OPEN, "-"),
                Health::Bad => paint(BAD, "✘"),
            };
            say(&format!("{mark} {:<15} {}", finding.what, finding.seen));
            if let Some(fix) = finding.fix {
                say(&format!("                  {} {fix}", paint(DIM, "what to do:")));
            }
        }
    }
    let bad = findings.iter().any(|finding| finding.status == Health::Bad);
    Ok(if bad { ExitCode::Broken } else { ExitCode::Passed })
}

fn finding(what: &'static str, result: Result<String, String>, fix: &'static str) -> Finding {
    match result {
        Ok(seen) => Finding { what, status: Health::Good, seen, fix: None },
        Err(seen) => Finding {
            what,
            status: Health::Bad,
            seen,
            fix: Some(fix).filter(|fix| !fix.is_empty()),
        },
    }
}

fn system() -> Finding {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let seen = format!("{} {}, {}", std::env::consts::OS, kernel.trim(), std::env::consts::ARCH);
    let fits = cfg!(all(
        target_os = "linux",
        target_endian = "little",
        target_pointer_width = "64",
        target_env = "gnu"
    ));
    let fix = "use 64-bit Linux with glibc; on Windows, WSL2; on macOS, a Linux virtual machine";
    finding("system", if fits { Ok(seen) } else { Err(seen) }, fix)
}

fn toolchain() -> Finding {
    let result =
        Toolchain::found().map(|found| found.version.clone()).map_err(|error| format!("{error:#}"));
    finding("Rust", result, "install Rust from https://rustup.rs, then open a new terminal")
}

fn linker() -> Finding {
    let version = Command::new("cc").arg("--version").output();
    let result =
        version.map_err(|error| format!("no C linker: cc cannot be run ({error})")).map(|output| {
            String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or("cc").to_owned()
        });
    finding("linker", result, "install gcc or clang (Debian: apt-get install build-essential)")
}

fn memory() -> Finding {
    let result = machine::can_share_memory().map_err(|error| format!("{error:#}"));
    let room =
        machine::shm_room().map_or_else(String::new, |bytes| format!(", {} MiB free", bytes >> 20));
    finding("shared memory", result.map(|()| format!("{SHM_DIR} can be written{room}")), "")
}

fn cores() -> Finding {
    let cores = available_parallelism().map_or(1, usize::from);
    finding("processors", Ok(format!("{cores} (one is enough: no verdict depends on speed)")), "")
}

/// Two processes of ours: one sleeps on a semaphore in a segment, is seen to, and is woken by the
/// other. What every lab needs of the machine, in a few milliseconds.
fn processes(harness: &Path) -> Finding {
    let fix = "something keeps processes from sharing memory or from being looked at: a container without /proc, or a very old kernel";
    let name = cleanup::fresh_name();
    let result = sleep_and_wake(harness, &name);
    cleanup::remove_name(&name);
    finding("two processes", result.map_err(|error| format!("{error:?}")), fix)
}

fn sleep_and_wake(harness: &Path, name: &str) -> Result<String, PeerError> {
    let refused = |error: std::io::Error| PeerError::Refused(error.to_string());
    let mut waker = Peer::start(harness).map_err(refused)?;
    waker.make(name, 4096, 0o600)?;
    waker.sem_init(64, 0, true)?;
    let mut sleeper = Peer::start(harness).map_err(refused)?;
    sleeper.open(name)?;
    let pid = sleeper.pid();
    std::thread::scope(|scope| {
        let asleep = scope.spawn(move || sleeper.sem_wait(64));
        let start = Instant::now();
        let in_futex = |task: &procfs::Task| matches!(task.doing, Doing::Futex { .. });
        while !procfs::tasks(pid).iter().any(in_futex) {
            if start.elapsed() > Duration::from_secs(5) {
                waker.sem_post(64)?;
                return Err(PeerError::Refused(format!(
                    "the kernel does not show in /proc/{pid}/syscall that a process sleeps"
                )));
            }
            sleep(Duration::from_millis(1));
        }
        waker.sem_post(64)?;
        asleep.join().map_err(|_| PeerError::Died("the sleeper panicked".into()))??;
        Ok("one slept on a semaphore in a segment, was seen to, and was woken by the other"
            .to_owned())
    })
}

/// Whether the checks that try every schedule can be made here.
fn schedules(harness: &Path) -> Finding {
    let (status, seen, fix) = match exploration::can_explore(harness) {
        Ok(()) => (Health::Good, "a program was run one step at a time".to_owned(), None),
        Err(Stop::NotChecked(why) | Stop::Broken(why)) => {
            let fix = "use Linux on x86-64 outside a container that refuses ptrace (Docker: --cap-add=SYS_PTRACE); until then these checks are not made";
            (Health::Limited, why, Some(fix))
        }
        Err(stop) => (Health::Limited, format!("{stop:?}"), None),
    };
    Finding { what: "schedules", status, seen, fix }
}

fn leftovers() -> Finding {
    let left = cleanup::abandoned();
    let seen = if left.is_empty() {
        "nothing of ours in /dev/shm and /tmp".to_owned()
    } else {
        let left: Vec<_> = left.iter().map(|path| path.display().to_string()).collect();
        format!("left by a killed run: {}", left.join(", "))
    };
    let status = if left.is_empty() { Health::Good } else { Health::Limited };
    let fix = (!left.is_empty()).then_some("`cargo lab clean` removes them");
    Finding { what: "leftovers", status, seen, fix }
}

fn confinement(harness: &Path) -> Finding {
    let what = "confinement";
    let isolation = match Isolation::strongest(harness, Tier::T2, &[]) {
        Ok(isolation) => isolation,
        Err(error) => {
            let fix = Some("programs of strangers cannot be judged here; your own can");
            return Finding { what, status: Health::Limited, seen: format!("{error:#}"), fix };
        }
    };
    let found = isolation.record();
    let meaning = match isolation.tier() {
        Tier::T2 => "`cargo lab grade` keeps strangers' programs in a world of their own",
        Tier::T1 => {
            "`cargo lab grade` keeps strangers' programs from files, signals and the network"
        }
        Tier::T0 => "`cargo lab grade` refuses: programs would run with your rights",
    };
    let mut seen = format!("{} ({}): {meaning}", isolation.tier(), found.features.join(", "));
    for missing in &found.missing {
        seen += &format!("; not {missing}");
    }
    let (status, fix) = match isolation.tier() {
        Tier::T2 => (Health::Good, None),
        Tier::T1 => (
            Health::Limited,
            Some(
                "allow unprivileged user namespaces (Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0), or run as root outside a container",
            ),
        ),
        Tier::T0 => {
            (Health::Limited, Some("run as root, or on a kernel with Landlock (6.12 or newer)"))
        }
    };
    Finding { what, status, seen, fix }
}
