//! The command line of `race-condition`.

use clap::{Parser, Subcommand, ValueEnum};

use crate::Name;

/// A shop that several processes serve at once.
#[derive(Parser)]
#[command(name = "race-condition", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What the program is asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a shop.
    Create {
        /// One slash and a word, like /shop.
        name: Name,
        /// How many pieces there are to sell.
        #[arg(long, value_name = "N", default_value_t = 0)]
        stock: u64,
    },
    /// Do one operation for every line of stdin, then print `done N`.
    Worker {
        /// The shop.
        name: Name,
        /// Which operation.
        mode: Mode,
        /// The shard of this worker, 0 to 15, in the mode `shard`.
        #[arg(long, value_name = "I", default_value_t = 0)]
        shard: usize,
        /// Stop at the gate in the middle of an operation until somebody says `go`.
        #[arg(long)]
        gate: bool,
        /// Print `attached`, then a line after each operation.
        #[arg(long)]
        step: bool,
    },
    /// Print every word of the shop.
    Total {
        /// The shop.
        name: Name,
    },
    /// Let one worker through the gate, now or when it comes.
    Go {
        /// The shop.
        name: Name,
    },
    /// Remove the name. Processes that are attached keep the shop until they end.
    Destroy {
        /// The shop.
        name: Name,
    },
}

/// Which operation a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Add one to the counter, unprotected.
    Racy,
    /// Add one to the counter under the lock.
    Mutex,
    /// Add one to the counter in one indivisible step.
    Atomic,
    /// Sell one piece.
    Sell,
    /// Add one to the shard of this worker.
    Shard,
    /// Write the number on the line into both words of the record, unprotected.
    WriteRacy,
    /// Read both words of the record, unprotected.
    ReadRacy,
    /// Write the number on the line into both words of the record under the lock.
    Write,
    /// Read both words of the record under the lock.
    Read,
}

impl Command {
    /// Reads the command line. One that is wrong is told on standard error, and ends the program with
    /// exit code 2.
    pub fn read() -> Command {
        Arguments::parse().command
    }
}
