//! Builds a submission with cargo; nothing else calls it.
//!
//! The dependencies and `labkit` are compiled once, into a seed that holds no lab. Each kind of submission
//! builds in a tree and a target folder of its own that began as a copy of the seed, so no two
//! submissions ever share what cargo believes to be fresh.

mod seed;

use std::ffi::OsString;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Pid;

use crate::cleanup;
use crate::course::{Course, Lab};
use crate::isolation::{Answer, Compile, Isolation};
use crate::orderings::Orderings;
use crate::overlay;
use crate::procfs;
use crate::submission::{Origin, Submission};
use crate::toolchain::{self, Toolchain};
use seed::Seed;

/// The profile of every graded program, defined in the root manifest.
const PROFILE: &str = "grade";

/// How many workshops for single submissions this process has opened.
static FOLDERS: AtomicU64 = AtomicU64::new(0);

/// What came of a build.
#[derive(Debug)]
pub enum Built {
    /// The program, ready to run.
    Program(PathBuf),
    /// The compiler refused it, in its own words.
    Refused(String),
}

/// How a run of cargo ended.
struct Ran {
    well: bool,
    words: String,
}

/// A tree and a target folder to build one kind of submission in. Locked while it is held.
pub struct Workshop<'a> {
    /// How the compiler is kept in; nothing where it runs with our own rights.
    isolation: Option<&'a Isolation>,
    course_root: PathBuf,
    folder: PathBuf,
    /// A submission of somebody else's gets a workshop of its own, which goes with it.
    fleeting: bool,
    _lock: Option<Flock<fs::File>>,
}

impl<'a> Workshop<'a> {
    /// Opens the workshop for submissions of this origin, building the seed if there is none.
    /// `tell` is called before long work with what is being done.
    ///
    /// # Errors
    ///
    /// When cargo is missing, the dependencies cannot be had, or the disk says no.
    pub fn open(course: &Course, origin: &Origin, tell: impl Fn(&str)) -> Result<Workshop<'a>> {
        Workshop::open_with(course, origin, None, tell)
    }

    /// As [`Workshop::open`], for the submission of a stranger: the compiler runs in a cell.
    ///
    /// # Errors
    ///
    /// As [`Workshop::open`].
    pub fn open_with(
        course: &Course,
        origin: &Origin,
        isolation: Option<&'a Isolation>,
        tell: impl Fn(&str),
    ) -> Result<Workshop<'a>> {
        let seed = Seed::of(course, &tell)?;
        let name = match origin {
            Origin::Workspace => "workspace".to_owned(),
            Origin::Solution => "solution".to_owned(),
            Origin::Folder(_) | Origin::Change(_) => {
                let number = FOLDERS.fetch_add(1, Relaxed);
                format!("folder-{}-{number}", std::process::id())
            }
        };
        let folder = course.build_folder().join(&name);
        let fleeting = matches!(origin, Origin::Folder(_) | Origin::Change(_));
        // What is ours alone needs no lock.
        let lock = if fleeting { None } else { Some(lock(&course.build_folder(), &name, &tell)?) };
        if fleeting {
            remove_abandoned(&course.build_folder());
            cleanup::watch_folder(&folder);
        }
        seed.grow(&folder)?;
        let course_root = course.root.clone();
        Ok(Workshop { isolation, course_root, folder, fleeting, _lock: lock })
    }

    /// Builds the program of `lab` from this submission.
    ///
    /// # Errors
    ///
    /// When cargo cannot be run or its own files are at fault; a program that does not compile is
    /// no error but a result.
    pub fn build(&self, course: &Course, lab: &Lab, submission: &Submission) -> Result<Built> {
        overlay::lay(course, lab, submission, &self.tree())?;
        let mut cargo = self.cargo("build", &self.folder.join("target"));
        cargo.args(["--package", &lab.id, "--bins"]);
        let Ran { well, words } = self.run(cargo)?;
        if well {
            return Ok(Built::Program(self.folder.join("target").join(PROFILE).join(&lab.id)));
        }
        match refusal(&words, lab) {
            Some(words) => Ok(Built::Refused(self.relative(&words))),
            None => Err(cargo_failed(&words)),
        }
    }

    /// The files of the program's intermediate code, made by the compiler in its cell.
    ///
    /// # Errors
    ///
    /// When cargo cannot be run.
    pub fn intermediate(&self, lab: &Lab) -> Result<Vec<PathBuf>> {
        let target = self.folder.join("target");
        self.run(self.intermediate_code(lab, &target))?;
        Ok(llvm_files(&target, &lab.id.replace('-', "_")))
    }

    fn run(&self, mut cargo: Command) -> Result<Ran> {
        let Some(isolation) = self.isolation else {
            let output = run_cargo(&mut cargo)?;
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            return Ok(Ran { well: output.status.success(), words });
        };
        let toolchain = Toolchain::found()?;
        let compile = Compile {
            program: toolchain.cargo.clone(),
            arguments: cargo.get_args().map(OsString::from).collect(),
            environment: toolchain.environment(&self.folder.join("target")),
            folder: self.tree(),
        };
        // Cargo looks for its configuration in every folder above, and takes a refusal for a fault.
        let above = self.folder.ancestors();
        let above =
            above.flat_map(|up| ["config.toml", "config"].map(|it| up.join(".cargo").join(it)));
        let read: Vec<PathBuf> =
            toolchain.seen().into_iter().chain(above.filter(|file| file.is_file())).collect();
        match isolation.compile(compile, &read, &self.folder)? {
            Answer::Compiled { code: Some(0), .. } => Ok(Ran { well: true, words: String::new() }),
            Answer::Compiled { words, signal, .. } => {
                let killed = signal.map(|signal| format!("\ncargo was ended by signal {signal}"));
                Ok(Ran { well: false, words: words + &killed.unwrap_or_default() })
            }
            Answer::Refused(why) | Answer::Broken(why) => bail!("the compiler has no cell: {why}"),
            answer => bail!("the compiler's cell says {answer:?}"),
        }
    }

    /// The work of reading the program's memory orderings. The result is kept with the submission's
    /// hash, since it takes the compiler one more run.
    pub fn orderings(
        &self,
        lab: &Lab,
        submission: &Submission,
    ) -> impl FnOnce() -> Result<Orderings, String> + Send + use<> {
        let folder = self.folder.join("orderings");
        let (kept, hash) = (folder.join(&lab.id), submission.sha256());
        // With other flags the library would have to be built again for the next run of the program,
        // so that a workshop that lives on has a second target folder for it.
        let program_target = self.folder.join("target");
        let target = if self.fleeting { program_target.clone() } else { folder.join("target") };
        let mut cargo = self.intermediate_code(lab, &target);
        let library = lab.id.replace('-', "_");
        move || {
            if let Some(ir) = fs::read_to_string(&kept)
                .ok()
                .and_then(|text| text.strip_prefix(&hash).map(str::to_owned))
            {
                return Ok(Orderings::parse(&ir));
            }
            if !target.exists() {
                copy_folder(&program_target, &target).map_err(|error| error.to_string())?;
            }
            for old in llvm_files(&target, &library) {
                let _ = fs::remove_file(old);
            }
            let output = run_cargo(&mut cargo).map_err(|error| error.to_string())?;
            let files = llvm_files(&target, &library);
            if !output.status.success() || files.is_empty() {
                return Err("the compiler did not give its intermediate code".to_owned());
            }
            let ir: String =
                files.iter().map(|file| fs::read_to_string(file).unwrap_or_default()).collect();
            let _ = overlay::put(&kept, format!("{hash}{ir}").as_bytes());
            Ok(Orderings::parse(&ir))
        }
    }

    /// The command that emits a lab's intermediate code.
    fn intermediate_code(&self, lab: &Lab, target: &Path) -> Command {
        let mut cargo = self.cargo("rustc", target);
        cargo.args(["--package", &lab.id, "--lib", "--", "--emit=llvm-ir"]);
        // Optimised, so that addresses are constant; all in one file; and every function by itself
        // too, though it may be inlined everywhere.
        cargo.args(["-Copt-level=2", "-Cdebuginfo=0", "-Ccodegen-units=1", "-Clink-dead-code"]);
        cargo
    }

    fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    fn cargo(&self, verb: &str, target: &Path) -> Command {
        let mut cargo = cargo_in(&self.tree(), target);
        cargo.args([verb, "--quiet", "--offline", "--locked", "--profile", PROFILE]);
        cargo
    }

    /// Paths of the tree told as paths of the course.
    fn relative(&self, words: &str) -> String {
        let tree = format!("{}/", self.tree().display());
        words
            .replace(&tree, "")
            .replace(&format!("{}/", self.course_root.display()), "")
            .trim_end()
            .to_owned()
    }
}

impl Drop for Workshop<'_> {
    fn drop(&mut self) {
        if self.fleeting {
            let _ = fs::remove_dir_all(&self.folder);
            cleanup::forget_folder(&self.folder);
        }
    }
}

/// Cargo in a tree of ours, deaf to what would make two machines build two programs.
fn cargo_in(tree: &Path, target: &Path) -> Command {
    let mut cargo = Command::new(toolchain::cargo_program());
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy().into_owned();
        let steers_the_build = name.starts_with("CARGO_BUILD_")
            || name.starts_with("CARGO_PROFILE_")
            || name.starts_with("CARGO_PKG_")
            || name.starts_with("CARGO_TARGET_")
            || name.starts_with("CARGO_MANIFEST_")
            || matches!(
                name.as_str(),
                "RUSTFLAGS"
                    | "CARGO_ENCODED_RUSTFLAGS"
                    | "RUSTC_WRAPPER"
                    | "RUSTC_WORKSPACE_WRAPPER"
                    | "CARGO_INCREMENTAL"
            );
        if steers_the_build {
            cargo.env_remove(variable);
        }
    }
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    cargo.current_dir(tree).env("CARGO_TARGET_DIR", target);
    cargo.env("CARGO_TERM_COLOR", if colours { "always" } else { "never" });
    cargo
}

fn run_cargo(cargo: &mut Command) -> Result<Output> {
    cargo.output().map_err(|error| toolchain::missing("cargo", &error))
}

/// What to tell the student of a build that failed; nothing where it is not the student's doing.
fn refusal(words: &str, lab: &Lab) -> Option<String> {
    // In a word about the student's program they are the student's.
    let machine = ["No space left", "linker `cc` not found"];
    let about_the_machine =
        |block: &str| !block.contains("-->") && machine.iter().any(|text| block.contains(text));
    if words.split("\n\n").any(about_the_machine) {
        return None;
    }
    // With a position in a file it is a word about the student's program.
    if words.contains("-->") {
        return Some(words.to_owned());
    }
    let why = if words.contains("SIGXCPU") || words.contains("it took longer than") {
        "the compiler computes without end on it and was ended"
    } else if ["memory", "SIGKILL", "SIGABRT", "SIGSEGV"].iter().any(|w| words.contains(w)) {
        "the compiler needs more memory for it than any lab does, and was ended"
    } else if words.contains(&format!("could not compile `{}`", lab.id)) {
        "the compiler refuses it"
    } else {
        return None;
    };
    Some(format!("{why}\n{words}"))
}

/// Cargo itself failed, not the student's program.
fn cargo_failed(words: &str) -> anyhow::Error {
    let missing = [
        "no matching package",
        "failed to download",
        "failed to get",
        "--offline",
        "Could not resolve",
        "spurious network",
        "unable to update",
    ];
    let advice = if missing.iter().any(|text| words.contains(text)) {
        "the labs' packages are not on this machine: run `cargo fetch` once with a network"
    } else if words.contains("linker") {
        "a C linker is needed: install gcc or clang (Debian: apt-get install build-essential)"
    } else if words.contains("No space left") {
        "the disk is full: make room, then run it again"
    } else {
        "read cargo's words above; `cargo lab doctor` looks at the machine"
    };
    anyhow!("cargo cannot build the labs\n{}\n  what to do: {advice}", words.trim_end())
}

/// Held by one process at a time; the file stays, the lock goes with the process.
fn lock(folder: &Path, name: &str, tell: &impl Fn(&str)) -> Result<Flock<fs::File>> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(format!("{name}.lock"));
    let file =
        fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let told = |error| anyhow!("cannot lock {}: {error}", path.display());
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((file, Errno::EWOULDBLOCK)) => {
            tell("another `cargo lab` is at work here; waiting for it");
            Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| told(error))
        }
        Err((_, error)) => Err(told(error)),
    }
}

/// Removes workshops of single submissions whose process was killed.
fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix("folder-")?.split('-').next()?.parse().ok());
        if pid.is_some_and(|pid| procfs::start_time(Pid::from_raw(pid)).is_none()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Copies a folder with all times and modes, which cargo compares.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    to.parent().map_or(Ok(()), fs::create_dir_all)?;
    copy(from, to, &["-a"])
}

fn copy(from: &Path, to: &Path, how: &[&str]) -> Result<()> {
    let output = Command::new("cp").args(how).arg(from).arg(to).output();
    let output = output.context("cp cannot be run")?;
    if !output.status.success() {
        bail!("cannot copy {}: {}", from.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// The intermediate code of a library in a target folder.
fn llvm_files(target: &Path, library: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(target.join(PROFILE).join("deps")).into_iter().flatten().flatten();
    let ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        name.starts_with(&format!("{library}-")) && name.ends_with(".ll")
    };
    entries.map(|entry| entry.path()).filter(ours).collect()
}
