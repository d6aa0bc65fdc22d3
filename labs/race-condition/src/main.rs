//! The program `race-condition`: reads the command line, calls the library, ends with an exit code.

use std::io::BufRead;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Acquire;

use labkit::commands::race_condition::{Command, Mode};
use labkit::{LabError, Segment, say};
use race_condition::counter;
use race_condition::gate::{Controlled, Gate, Open};
use race_condition::layout::Shop;
use race_condition::shop::{self, Attached};

/// What an operation has done.
enum Done {
    Counted,
    Sold,
    Refused,
    Wrote(u64),
    Read(u64, u64),
}

fn main() -> ExitCode {
    let command = Command::read();
    labkit::run(|| match command {
        Command::Create { name, stock } => shop::create(&name, stock),
        Command::Worker { name, mode, shard, gate, step } => {
            let attached = Attached::open(&name)?;
            let shop = attached.shop()?;
            if gate {
                work(shop, mode, shard, &Controlled(shop), step)
            } else {
                work(shop, mode, shard, &Open, step)
            }
        }
        Command::Total { name } => total(Attached::open(&name)?.shop()?),
        Command::Go { name } => Attached::open(&name)?.shop()?.go.post(),
        Command::Destroy { name } => Segment::destroy(&name),
    })
}

fn work(
    shop: &Shop,
    mode: Mode,
    shard: usize,
    gate: &dyn Gate,
    step: bool,
) -> Result<(), LabError> {
    if step {
        say("attached")?;
    }
    let mut took_effect: u64 = 0;
    for line in std::io::stdin().lock().lines() {
        let done = operate(shop, mode, shard, gate, &line?)?;
        if !matches!(done, Done::Refused) {
            took_effect += 1;
        }
        tell(&done, step)?;
    }
    if step { Ok(()) } else { say(&format!("done {took_effect}")) }
}

fn operate(
    shop: &Shop,
    mode: Mode,
    shard: usize,
    gate: &dyn Gate,
    line: &str,
) -> Result<Done, LabError> {
    match mode {
        Mode::Racy => counter::add_racy(shop, gate).map(|()| Done::Counted),
        Mode::Mutex => counter::add_mutex(shop, gate).map(|()| Done::Counted),
        Mode::Atomic => {
            counter::add_atomic(shop);
            Ok(Done::Counted)
        }
        Mode::Shard => counter::add_shard(shop, shard).map(|()| Done::Counted),
        Mode::Sell => {
            let sold = counter::sell(shop, gate)?;
            Ok(if sold { Done::Sold } else { Done::Refused })
        }
        Mode::WriteRacy => {
            let value = number(line)?;
            counter::write_racy(shop, value, gate).map(|()| Done::Wrote(value))
        }
        Mode::Write => {
            let value = number(line)?;
            counter::write_mutex(shop, value, gate).map(|()| Done::Wrote(value))
        }
        Mode::ReadRacy => counter::read_racy(shop, gate).map(|(l, r)| Done::Read(l, r)),
        Mode::Read => counter::read_mutex(shop, gate).map(|(l, r)| Done::Read(l, r)),
    }
}

/// What was read is told in any case: it is what the worker was started for.
fn tell(done: &Done, step: bool) -> Result<(), LabError> {
    match done {
        Done::Read(left, right) => say(&format!("read {left} {right}")),
        _ if !step => Ok(()),
        Done::Counted => say("done"),
        Done::Sold => say("sold"),
        Done::Refused => say("refused"),
        Done::Wrote(value) => say(&format!("wrote {value}")),
    }
}

fn total(shop: &Shop) -> Result<(), LabError> {
    // Acquire: somebody who waited until the workers were done sees what they did.
    say(&format!("counter {}", shop.counter.load(Acquire)))?;
    say(&format!("stock {}", shop.stock.load(Acquire)))?;
    say(&format!("sold {}", shop.sold.load(Acquire)))?;
    say(&format!("shards {}", counter::total(shop)))?;
    say(&format!("record {} {}", shop.left.load(Acquire), shop.right.load(Acquire)))
}

fn number(line: &str) -> Result<u64, LabError> {
    line.trim().parse().map_err(|_| LabError::OutOfRange)
}
