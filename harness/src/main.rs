//! The program behind `cargo lab`: parses, calls, and maps the result to an exit code.

use std::process::ExitCode;

use clap::Parser;
use harness::cli::Cli;
use harness::{cleanup, commands};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Ctrl-C, and a polite request to end, leave nothing behind.
    let handler = ctrlc::set_handler(|| {
        cleanup::everything();
        std::process::exit(130);
    });
    if let Err(error) = handler {
        eprintln!("cannot watch for Ctrl-C: {error}");
    }
    match commands::run(cli) {
        Ok(code) => code.into(),
        Err(failure) => {
            anstream::eprintln!("{}", commands::told(&failure));
            failure.code.into()
        }
    }
}
