//! The program behind `cargo lab`: parses, calls, and maps the result to an exit code.

use std::process::ExitCode;

use clap::Parser;
use harness::cli::{Cli, Command};
use harness::{cleanup, commands};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Before there is a second thread, and with nobody's Ctrl-C to watch for.
    match cli.command {
        Some(Command::Cell) => {
            harness::isolation::inside_main();
            return ExitCode::SUCCESS;
        }
        Some(Command::Peer) => {
            harness::peer::worker_main();
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    // A panic of ours is told in a line, and ends with the exit code for our faults.
    std::panic::set_hook(Box::new(|panic| {
        anstream::eprintln!("the grader failed, not you: {panic}");
    }));
    // Ctrl-C, and a polite request to end, leave nothing behind.
    let handler = ctrlc::set_handler(|| {
        cleanup::everything();
        std::process::exit(130);
    });
    if let Err(error) = handler {
        eprintln!("cannot watch for Ctrl-C: {error}");
    }
    match std::panic::catch_unwind(|| commands::run(cli)) {
        Err(_) => harness::exit_code::ExitCode::Broken.into(),
        Ok(Ok(code)) => code.into(),
        Ok(Err(failure)) => {
            anstream::eprintln!("{}", commands::told(&failure));
            failure.code.into()
        }
    }
}
