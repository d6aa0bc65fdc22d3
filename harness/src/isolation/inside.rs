//! What runs in a cell: enters it, does the one piece of work it was started for, and answers on
//! standard output.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use sandbox::{Confinement, Defence, Policy, Tier};

use super::task::{Answer, Compile, Judge, Request, Task, Unpack};
use super::unpack;
use crate::bench::{Bench, Confined, DEADLINE, Lazy};
use crate::check::{self, Extent, Told};
use crate::checks;
use crate::cleanup;
use crate::orderings::Orderings;
use crate::process::{self, Process, Start};
use crate::procfs;

/// This program, wherever it lies on the machine outside.
const OURSELVES: &str = "/proc/self/exe";

/// Most bytes kept of what a compiler says; a reader wants the beginning.
const MOST_WORDS: u64 = 64 << 10;

/// Does one piece of work. Called before there is a second thread.
pub fn main() {
    let request: Request = match serde_json::from_reader(std::io::stdin().lock()) {
        Ok(request) => request,
        Err(error) => return answer(&Answer::Broken(error.to_string())),
    };
    if let Err(refused) = request.cell.enter() {
        return answer(&Answer::Refused(refused.to_string()));
    }
    cleanup::live_in_a_cell();
    let done = match request.task {
        Task::Prove => prove(&request.policy),
        Task::Unpack(unpack) => unpacked(&unpack, &request.policy),
        Task::Compile(compile) => run_compiler(&compile, &request.policy),
        Task::Judge(task) => judge(*task, request.policy, request.cell.tier),
    };
    answer(&done.unwrap_or_else(Answer::Broken));
}

fn answer(answer: &Answer) {
    let line = serde_json::to_string(answer).unwrap_or_default();
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// Runs a program under the policy, watches it, and lets it write what it may.
fn prove(policy: &Policy) -> Result<Answer, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let confinement = Arc::new(Confinement::new(policy)?);
    let landlock = confinement.landlock();
    let name = cleanup::fresh_name();
    let path = format!("{}{name}", cleanup::SHM_DIR);
    // It makes an object and then waits for input, so that there is something to be seen.
    let script = "echo made > \"$1\" && read line";
    let start = Start {
        arguments: &["-c", script, "sh", &path],
        confinement: Some(confinement),
        ..Start::default()
    };
    let mut process =
        Process::start(Path::new("/bin/sh"), Path::new("/"), start).map_err(|e| told(&e))?;
    let begin = std::time::Instant::now();
    let seen = loop {
        let waits = |task: &procfs::Task| matches!(task.doing, procfs::Doing::Reading { .. });
        let wrote = std::fs::read(&path).is_ok_and(|bytes| bytes == b"made\n");
        if wrote && procfs::tasks(process.pid()).iter().any(waits) {
            break Ok(());
        }
        if process.exit().is_some() || begin.elapsed() > DEADLINE {
            let words = process.errors();
            break Err(format!("a confined program cannot be run and watched: {words}"));
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    process.kill();
    cleanup::remove_name(&name);
    seen.map(|()| Answer::Proved { landlock })
}

/// Unpacks in this very process, which is confined for it: an archive is a program for its reader.
fn unpacked(task: &Unpack, policy: &Policy) -> Result<Answer, String> {
    Confinement::new(policy)?.enter().map_err(|error| error.to_string())?;
    // If it cannot be opened, that is not its own doing.
    let file = File::open(&task.archive).map_err(|error| format!("the archive: {error}"))?;
    Ok(Answer::Unpacked(unpack::unpack(file, &task.archive, &task.into)))
}

fn run_compiler(compile: &Compile, policy: &Policy) -> Result<Answer, String> {
    let confinement = Arc::new(Confinement::new(policy)?);
    let mut command = Command::new(&compile.program);
    if !policy.without.contains(&Defence::EmptyEnvironment) {
        command.env_clear();
    }
    command
        .args(&compile.arguments)
        .envs(compile.environment.iter().map(|(key, value)| (key, value)))
        .current_dir(&compile.folder)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    process::confine(&mut command, Some(confinement));
    let mut child = command.spawn().map_err(|error| {
        format!("{} cannot be run in a cell: {error}", compile.program.display())
    })?;
    let mut words = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.by_ref().take(MOST_WORDS).read_to_end(&mut words);
        let _ = std::io::copy(&mut stderr, &mut std::io::sink());
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    Ok(Answer::Compiled {
        code: status.code(),
        signal: status.signal(),
        words: String::from_utf8_lossy(&words).into_owned(),
    })
}

fn judge(task: Judge, policy: Policy, tier: Tier) -> Result<Answer, String> {
    let confinement = Arc::new(Confinement::new(&policy)?);
    if confinement.landlock() == 0 && tier > Tier::T0 {
        cleanup::close_our_helpers();
    }
    let intermediate = task.intermediate;
    let orderings = if intermediate.is_empty() {
        Lazy::default()
    } else {
        Lazy::new(move || read_orderings(&intermediate))
    };
    orderings.begin();
    let files: BTreeMap<PathBuf, Vec<u8>> =
        task.files.into_iter().map(|(path, text)| (path, text.into_bytes())).collect();
    let bench = Bench {
        program: task.program,
        peer_program: PathBuf::from(OURSELVES),
        words: checks::words(&task.lab.id),
        deadline: DEADLINE,
        orderings,
        files,
        confined: Some(Confined { policy, confinement }),
        blunt: None,
    };
    let extent = task.step.as_deref().map_or(Extent::Whole, Extent::Step);
    check::judge(&task.lab, &bench, extent, |told| match told {
        Told::Check(step, check) => {
            answer(&Answer::Checking(step.id.clone(), check.title.to_owned()));
        }
        Told::Step(step) => answer(&Answer::Step(Box::new(step.clone()))),
    });
    Ok(Answer::Judged)
}

fn read_orderings(files: &[PathBuf]) -> Result<Orderings, String> {
    let mut text = String::new();
    for path in files {
        text += &std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    }
    Ok(Orderings::parse(&text))
}
