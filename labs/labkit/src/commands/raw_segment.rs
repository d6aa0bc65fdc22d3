//! The command line of `raw-segment`.

use clap::{Parser, Subcommand};

use crate::Name;

/// A table of strings in shared memory.
#[derive(Parser)]
#[command(name = "raw-segment", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What the program is asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an empty table in a new object of LEN bytes.
    Create {
        /// Like /demo.
        name: Name,
        /// Length of the object in bytes, at least 640.
        len: usize,
    },
    /// Put every line of stdin into the table, its newline included.
    Producer {
        /// Like /demo.
        name: Name,
        /// Tell every finished operation in a line.
        #[arg(long)]
        step: bool,
    },
    /// Print the strings of the table.
    Consumer {
        /// Like /demo.
        name: Name,
        /// Wait until this many strings were printed.
        #[arg(long, value_parser = clap::value_parser!(u32).range(..=64))]
        count: Option<u32>,
        /// Wait for a line of stdin before each string, and print strings as hex.
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
