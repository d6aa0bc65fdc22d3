//! The command line of the lab. It parses, calls the library and maps the result to an exit code;
//! everything that is a task is in `buffer.rs`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use labkit::{Framing, LabError, Name, Operations, Segment, messages};
use unbounded_buffer::buffer::{self, Consumer, Producer};
use unbounded_buffer::layout::MAX_PAYLOAD;

/// A buffer that grows, between one producer and one consumer.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an empty buffer.
    Create {
        /// Like /demo.
        name: Name,
    },
    /// Put every line of stdin into the buffer, and close it at the end.
    Producer {
        /// Like /demo.
        name: Name,
        /// Leave the buffer open at the end, for another producer to go on.
        #[arg(long)]
        keep_open: bool,
        /// Tell every finished operation in a line.
        #[arg(long)]
        step: bool,
    },
    /// Print the messages until the buffer is closed and empty.
    Consumer {
        /// Like /demo.
        name: Name,
        /// Give the memory of consumed messages back to the system.
        #[arg(long)]
        give_back: bool,
        /// Wait for a line of stdin before each message, and print messages as hex.
        #[arg(long)]
        step: bool,
    },
    /// Remove the name.
    Destroy {
        /// Like /demo.
        name: Name,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    labkit::run(|| match arguments.command {
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
