//! The program `bounded-buffer`: reads the command line, calls the library, ends with an exit code.

use std::process::ExitCode;

use bounded_buffer::buffer::{self, Buffer};
use bounded_buffer::layout::{DEFAULT_SLOT, Lock, is_slot_size};
use clap::{Parser, Subcommand};
use labkit::{Framing, LabError, Name, Operations, Segment, messages};

/// A ring of slots between processes: producers sleep while it is full, consumers while it is
/// empty.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an empty buffer.
    Create {
        /// One slash and a word, like /demo.
        name: Name,
        /// The number of slots.
        capacity: u32,
        /// The size of a slot: a multiple of 16 from 16 to 1048576; 8 bytes of it hold the length.
        #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_SLOT, value_parser = slot_size)]
        slot: u32,
        /// Guard the ring with a mutex that survives its owner's death.
        #[arg(long)]
        robust: bool,
    },
    /// Put every line of stdin in as a message; close the buffer at the end of stdin.
    Producer {
        /// The buffer.
        name: Name,
        /// Leave the buffer open at the end of stdin: other producers are still at work.
        #[arg(long)]
        keep_open: bool,
        /// Fill every message to the brim and pay no heed to newlines.
        #[arg(long)]
        bulk: bool,
        /// Print `attached`, then `produced N` after each message.
        #[arg(long)]
        step: bool,
    },
    /// Write every message to stdout, until the buffer is closed and empty.
    Consumer {
        /// The buffer.
        name: Name,
        /// Print `attached`; then read a line before each message, and print `consumed HEX`.
        #[arg(long)]
        step: bool,
    },
    /// Say that no message will follow.
    Close {
        /// The buffer.
        name: Name,
    },
    /// Remove the name. Processes that are attached keep the buffer until they end.
    Destroy {
        /// The buffer.
        name: Name,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    labkit::run(|| match cli.command {
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

fn slot_size(argument: &str) -> Result<u32, String> {
    let rule = "a slot has 16 to 1048576 bytes, a multiple of 16";
    let bytes = argument.parse().map_err(|_| rule.to_owned())?;
    if is_slot_size(bytes) { Ok(bytes) } else { Err(rule.to_owned()) }
}
