//! The program `bounded-buffer`: reads the command line, calls the library, ends with an exit code.

use std::process::ExitCode;

use bounded_buffer::buffer::{self, Buffer};
use bounded_buffer::layout::Lock;
use labkit::commands::bounded_buffer::Command;
use labkit::{Framing, LabError, Name, Operations, Segment, messages};

fn main() -> ExitCode {
    let command = Command::read();
    labkit::run(|| match command {
        Command::Create { name, capacity, slot, robust } => {
            let lock = if robust { Lock::Robust } else { Lock::Semaphore };
            buffer::create(&name, capacity, slot, lock)
        }
        Command::Producer { name, keep_open, bulk, step } => {
            let framing = if bulk { Framing::Bulk } else { Framing::Lines };
            produce(&name, framing, keep_open, Operations::new(step))
        }
        Command::Consumer { name, step } => consume(&name, Operations::new(step)),
        Command::Close { name } => Buffer::open(&name)?.close(),
        Command::Destroy { name } => Segment::destroy(&name),
    })
}

fn produce(
    name: &Name,
    framing: Framing,
    keep_open: bool,
    mut operations: Operations,
) -> Result<(), LabError> {
    let buffer = Buffer::open(name)?;
    if buffer.is_closed() {
        return Err(LabError::Closed);
    }
    operations.attached()?;
    for message in messages(buffer.payload_max(), framing) {
        buffer.push(&message?)?;
        operations.produced()?;
    }
    if keep_open { Ok(()) } else { buffer.close() }
}

fn consume(name: &Name, mut operations: Operations) -> Result<(), LabError> {
    let buffer = Buffer::open(name)?;
    operations.attached()?;
    while operations.proceed()? {
        match buffer.pop()? {
            Some(message) => operations.consumed(&message)?,
            None => return operations.end(),
        }
    }
    Ok(())
}
