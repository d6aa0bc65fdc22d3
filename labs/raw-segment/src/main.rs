//! The command line of the lab. It parses, calls the library and maps the result to an exit code;
//! everything that is a task is in `segment.rs` and `table.rs`.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use labkit::commands::raw_segment::Command;
use labkit::{Framing, LabError, Name, Operations, messages};
use raw_segment::segment::{Access, Segment};
use raw_segment::table::{self, Table};

/// Between two looks at a table that has no new string yet.
const POLL: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    let command = Command::read();
    labkit::run(|| match command {
        Command::Create { name, len } => table::create(&name, len),
        Command::Producer { name, step } => produce(&name, Operations::new(step)),
        Command::Consumer { name, count, step } => {
            consume(&name, count, step, Operations::new(step))
        }
        Command::Destroy { name } => Segment::destroy(&name),
    })
}

fn produce(name: &Name, mut operations: Operations) -> Result<(), LabError> {
    let table = Table::open(name, Access::ReadWrite)?;
    operations.attached()?;
    for message in messages(usize::MAX, Framing::Lines) {
        table.put(&message?)?;
        operations.produced()?;
    }
    Ok(())
}

fn consume(
    name: &Name,
    count: Option<u32>,
    step: bool,
    mut operations: Operations,
) -> Result<(), LabError> {
    let table = Table::open(name, Access::ReadOnly)?;
    operations.attached()?;
    let wanted = match count {
        Some(count) => count,
        None if step => u32::MAX,
        None => table.count()?,
    };
    for index in 0..wanted {
        if !operations.proceed()? {
            break;
        }
        while table.count()? <= index {
            thread::sleep(POLL);
        }
        operations.consumed(&table.get(index)?)?;
    }
    Ok(())
}
