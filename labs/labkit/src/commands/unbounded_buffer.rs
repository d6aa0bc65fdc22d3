//! The command line of `unbounded-buffer`.

use clap::{Parser, Subcommand};

use crate::Name;

/// A buffer that grows, between one producer and one consumer.
#[derive(Parser)]
#[command(name = "unbounded-buffer", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What the program is asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
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

impl Command {
    /// Reads the command line. One that is wrong is told on standard error, and ends the program with
    /// exit code 2.
    pub fn read() -> Command {
        Arguments::parse().command
    }
}
