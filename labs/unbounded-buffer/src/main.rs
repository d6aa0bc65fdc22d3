//! The command line of the lab. It parses, calls the library and maps the result to an exit code;
//! everything that is a task is in `buffer.rs`.

use std::process::ExitCode;

use labkit::commands::unbounded_buffer::Command;
use labkit::{Framing, LabError, Name, Operations, Segment, messages};
use unbounded_buffer::buffer::{self, Consumer, Producer};
use unbounded_buffer::layout::MAX_PAYLOAD;

fn main() -> ExitCode {
    let command = Command::read();
    labkit::run(|| match command {
        Command::Create { name } => buffer::create(&name),
        Command::Producer { name, keep_open, step } => {
            produce(&name, keep_open, Operations::new(step))
        }
        Command::Consumer { name, give_back, step } => {
            consume(&name, give_back, Operations::new(step))
        }
        Command::Destroy { name } => Segment::destroy(&name),
    })
}

fn produce(name: &Name, keep_open: bool, mut operations: Operations) -> Result<(), LabError> {
    let mut producer = Producer::attach(name)?;
    if producer.is_closed() {
        return Err(LabError::Closed);
    }
    operations.attached()?;
    for message in messages(MAX_PAYLOAD, Framing::Lines) {
        producer.push(&message?)?;
        operations.produced()?;
    }
    if !keep_open {
        producer.close();
    }
    Ok(())
}

fn consume(name: &Name, give_back: bool, mut operations: Operations) -> Result<(), LabError> {
    let mut consumer = Consumer::attach(name)?;
    operations.attached()?;
    while operations.proceed()? {
        let Some(message) = consumer.pop()? else {
            return operations.end();
        };
        if give_back {
            consumer.give_back()?;
        }
        operations.consumed(&message)?;
    }
    Ok(())
}
