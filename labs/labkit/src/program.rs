//! What every lab's `main` does around its work: signals before, the exit code after.

use std::io::{self, Write};
use std::process::ExitCode;

use nix::errno::Errno;
use nix::libc::c_int;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::LabError;

/// Runs `main` and turns its error into a message on stderr and an exit code.
///
/// SIGUSR1 gets a handler that does nothing, and is installed without `SA_RESTART`: a system call
/// that is interrupted by it returns `EINTR`. SIGXFSZ is ignored, so that a limit on file size is
/// an error which `ftruncate` returns and not the death of the process.
pub fn run(main: impl FnOnce() -> Result<(), LabError>) -> ExitCode {
    let result = handle_signals().map_err(LabError::from).and_then(|()| main());
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Prints one line on stdout and flushes it, so that whoever reads the pipe has it now.
pub fn say(line: &str) -> Result<(), LabError> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

fn handle_signals() -> Result<(), Errno> {
    let wake = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler is a plain function that touches nothing, so it may run at any moment; it
    // lives as long as the program.
    unsafe { sigaction(Signal::SIGUSR1, &wake) }?;
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler runs at all.
    unsafe { sigaction(Signal::SIGXFSZ, &ignore) }?;
    Ok(())
}

extern "C" fn nothing(_: c_int) {}
