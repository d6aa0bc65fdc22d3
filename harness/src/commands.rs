//! What each command does; one file a command. Printing happens here and nowhere below.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::CommandFactory;
use serde::Serialize;

use crate::cli::{Cli, Command, Whose};
use crate::course::Course;
use crate::exit_code::{Blame, ExitCode, Failure};
use crate::report::style::{BAD, paint};
use crate::submission::Origin;

mod check;
mod clean;
mod collect;
mod doctor;
mod explain;
mod grade;
mod handout;
mod hint;
mod list;
mod new;
mod pack;
mod reset;
mod run;
mod solution;
mod status;
mod trace;
mod verify;

/// What a command ends in.
type Done = Result<ExitCode, Failure>;

/// Runs one command.
///
/// # Errors
///
/// With the exit code, and what to tell the user.
pub fn run(cli: Cli) -> Done {
    match cli.command {
        // They were done before there was a second thread.
        Some(Command::Cell | Command::Peer) => Ok(ExitCode::Usage),
        Some(Command::Explore) => {
            crate::exploration::tracer_main();
            Ok(ExitCode::Passed)
        }
        Some(Command::Completions { shell }) => {
            // The shell sees the word `lab` behind `cargo`; the completions are cargo-lab's own.
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "cargo-lab",
                &mut std::io::stdout(),
            );
            Ok(ExitCode::Passed)
        }
        Some(Command::Explain { code }) => explain::explain(code.as_deref()),
        None => status::status(&course()?),
        Some(Command::Check(arguments)) => check::check(&course()?, &arguments),
        Some(Command::Collect(arguments)) => collect::collect(&course()?, &arguments),
        Some(Command::Handout { dir }) => handout::handout(&course()?, &dir),
        Some(Command::Pack(arguments)) => pack::pack(&course()?, &arguments),
        Some(Command::Grade(arguments)) => grade::grade(&course()?, &arguments),
        Some(Command::Run(arguments)) => run::run(&course()?, &arguments),
        Some(Command::Verify(arguments)) => verify::verify(&course()?, &arguments),
        Some(Command::Trace(arguments)) => trace::trace(&course()?, &arguments),
        Some(Command::Replay(arguments)) => trace::replay(&course()?, &arguments),
        Some(Command::Hint(arguments)) => hint::hint(&course()?, &arguments),
        Some(Command::List { json }) => list::list(&course()?, json),
        Some(Command::Reset { lab, yes }) => reset::reset(&course()?, &lab, yes),
        Some(Command::Solution { lab, give_up }) => solution::solution(&course()?, &lab, give_up),
        Some(Command::Clean { build, json }) => clean::clean(&course()?, build, json),
        Some(Command::New { id }) => new::new(&course()?, &id),
        Some(Command::Doctor { json }) => doctor::doctor(json),
    }
}

/// A failure as it is told: what, where, why, what to do.
pub fn told(failure: &Failure) -> String {
    let who = if failure.code == ExitCode::Broken { "the grader failed, not you" } else { "error" };
    format!("{}: {:#}", paint(BAD, who), failure.error)
}

/// The course around the current folder.
fn course() -> Result<Course, Failure> {
    let here = std::env::current_dir().broken()?;
    Course::find(&here).usage()
}

/// This very program, which also plays the peer.
fn harness() -> Result<PathBuf, Failure> {
    std::env::current_exe().broken()
}

/// Whose files are meant.
fn origin(whose: &Whose) -> Origin {
    match (&whose.submission, whose.solution) {
        (Some(folder), _) => Origin::Folder(folder.clone()),
        (None, true) => Origin::Solution,
        (None, false) => Origin::Workspace,
    }
}

/// Prints on standard output. A reader that has gone away, as in `| head`, is no error.
fn say(text: &str) {
    let _ = writeln!(anstream::stdout(), "{text}");
}

fn say_json(value: &impl Serialize) -> Result<(), Failure> {
    say(&serde_json::to_string_pretty(value).broken()?);
    Ok(())
}

/// One line on the terminal that tells what is being done, overwritten by the next and gone at the
/// end. Says nothing where standard error is no terminal.
struct Ticker {
    on: bool,
}

impl Ticker {
    fn new() -> Ticker {
        Ticker { on: std::io::stderr().is_terminal() }
    }

    fn tell(&self, text: &str) {
        if self.on {
            let short: String = text.chars().take(78).collect();
            let _ = write!(anstream::stderr(), "\r\x1b[2K{short}");
            let _ = std::io::stderr().flush();
        }
    }

    /// As `tell`, for work so long that a log wants to know of it too.
    fn announce(&self, text: &str) {
        if self.on { self.tell(text) } else { anstream::eprintln!("{text}") }
    }

    fn clear(&self) {
        if self.on {
            let _ = write!(anstream::stderr(), "\r\x1b[2K");
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.clear();
    }
}
