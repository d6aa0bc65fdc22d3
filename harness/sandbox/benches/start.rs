//! What confinement costs: a program started bare, confined, and in a cell of its own, in one run.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use sandbox::{Cell, Confinement, Limits, Policy, Purpose, Tier};

const ROUNDS: u32 = 200;

fn main() {
    let word = std::env::args().nth(1).unwrap_or_default();
    match word.as_str() {
        "bare" => run(None),
        "cell" => {
            cell().enter().expect("this machine has namespaces");
            run(Some(&confinement()));
        }
        _ => measure(),
    }
}

fn measure() {
    let own = std::env::current_exe().expect("a program knows itself");
    let spawned = |word: &'static str| {
        let own = own.clone();
        move || {
            let status = Command::new(&own).arg(word).status().expect("it starts");
            assert!(status.success(), "{word}: {status}");
        }
    };
    let confined = confinement();
    let bare = time("a program, bare", || run(None));
    let inside = time("a program, confined", || run(Some(&confined)));
    let parent = time("a program and its parent, bare", spawned("bare"));
    let cell = time("a program and its parent, in a cell of their own", spawned("cell"));
    println!("confining costs {:.2} ms, a cell {:.2} ms", inside - bare, cell - parent);
}

/// Mean time of a round in milliseconds.
fn time(what: &str, round: impl Fn()) -> f64 {
    round();
    let start = Instant::now();
    (0..ROUNDS).for_each(|_| round());
    let each = start.elapsed().as_secs_f64() * 1000.0 / f64::from(ROUNDS);
    println!("{each:7.2} ms  {what}");
    each
}

fn run(confinement: Option<&Arc<Confinement>>) {
    let mut command = Command::new("/bin/true");
    if let Some(confinement) = confinement.cloned() {
        // SAFETY: entering makes system calls and nothing else, on what the closure owns.
        unsafe { command.pre_exec(move || confinement.enter()) };
    }
    let status = command.status().expect("it starts");
    assert!(status.success(), "{status}");
}

fn confinement() -> Arc<Confinement> {
    let policy = Policy {
        purpose: Purpose::Program,
        limits: Limits { open_files: Some(64), ..Limits::NONE },
        read: Vec::new(),
        write: Vec::new(),
        share: vec!["/dev/shm".into()],
        see_processes: false,
        without: Vec::new(),
    };
    Arc::new(Confinement::new(&policy).expect("the filters can be made"))
}

fn cell() -> Cell {
    Cell {
        tier: Tier::T2,
        user: None,
        shm_bytes: 32 << 20,
        shm_files: 256,
        tmp_bytes: 16 << 20,
        read: Vec::new(),
        write: Vec::new(),
        without: Vec::new(),
    }
}
