//! The command line of `bounded-buffer`.

use clap::{Parser, Subcommand};

use crate::Name;

/// Bytes of a slot unless told: one cache line.
const DEFAULT_SLOT: u32 = 64;

/// A ring of slots between processes: producers sleep while it is full, consumers while it is
/// empty.
#[derive(Parser)]
#[command(name = "bounded-buffer", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What the program is asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
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

impl Command {
    /// Reads the command line. One that is wrong is told on standard error, and ends the program with
    /// exit code 2.
    pub fn read() -> Command {
        Arguments::parse().command
    }
}

fn slot_size(argument: &str) -> Result<u32, String> {
    let rule = "a slot has 16 to 1048576 bytes, a multiple of 16";
    let bytes = argument.parse().map_err(|_| rule.to_owned())?;
    let fits = |bytes: &u32| (16..=1 << 20).contains(bytes) && bytes.is_multiple_of(16);
    Some(bytes).filter(fits).ok_or_else(|| rule.to_owned())
}
