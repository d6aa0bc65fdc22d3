//! The small scenes whose every schedule is run: few processes, few messages.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use interleave::{Ending, Exit, letter};
use nix::unistd::Pid;
use sandbox::Confinement;

use super::{Request, Way};
use crate::cleanup;
use crate::deadline::Deadline;
use crate::peer::{Asked, Peer};
use crate::process::confine;

mod bounded_buffer;
mod race_condition;
mod raw_segment;
mod unbounded_buffer;

/// How long a process that takes over may need.
const PATIENCE: Duration = Duration::from_secs(20);

/// Stands for the segment's name among the words of a program.
const NAME: &str = "{name}";

/// One scene.
pub struct Piece {
    /// The lab it is of.
    pub lab: &'static str,
    /// Its word on the command line.
    pub id: &'static str,
    /// What is played, as a clause.
    pub title: &'static str,
    /// Makes the segment; nothing where the programs make it themselves.
    segment: Option<fn(&mut Peer, &str) -> Asked>,
    /// The words and the input of each process; the first is A.
    programs: &'static [(&'static [&'static str], &'static str)],
    /// What is tried.
    tried: Tried,
    /// Judges what a run has left when every process has ended.
    judge: fn(&Left<'_>) -> Judged,
    /// What lies in the segment.
    layout: &'static Layout,
    /// Whether the program is wrong on purpose, so that some schedule must show it.
    pub wrong_on_purpose: bool,
}

/// What lies in a lab's segment, by the names a learner knows.
pub(super) struct Layout {
    /// Structures of the source, with their offsets.
    pub(super) structures: &'static [(&'static str, usize)],
    /// What is behind them: name, offset and length.
    pub(super) named: &'static [(&'static str, usize, usize)],
}

/// What is tried on a piece.
#[derive(Clone, Copy)]
enum Tried {
    /// All schedules with at most so many interruptions.
    Interruptions(usize),
    /// The death of this process before each of its steps.
    Deaths(usize),
}

/// What a run has left, and with what to go on from there.
pub(super) struct Left<'a> {
    /// What the processes and the segment came to.
    pub(super) ending: &'a Ending,
    /// What was asked for.
    pub(super) request: &'a Request,
    /// Who was killed.
    pub(super) victim: Option<usize>,
    /// What the student's programs give up before they run.
    pub(super) confinement: Option<Arc<Confinement>>,
}

/// Nothing, or the code of a diagnosis and what was seen, as a clause.
pub(super) type Judged = Result<(), (&'static str, String)>;

impl Piece {
    /// The search it is made for.
    pub fn way(&self) -> Way {
        match self.tried {
            Tried::Interruptions(most) => Way::Bounded(most),
            Tried::Deaths(victim) => Way::Deaths(victim),
        }
    }

    pub(super) fn segment(&self) -> Option<fn(&mut Peer, &str) -> Asked> {
        self.segment
    }

    pub(super) fn programs(&self, program: &Path, name: &str) -> Vec<interleave::Program> {
        let started = |(words, input): &(&[&str], &str)| {
            let mut started = interleave::Program::new(program).input(*input);
            for &word in *words {
                started = started.argument(if word == NAME { name } else { word });
            }
            // The mark by which they are found if we are interrupted.
            started.variable(cleanup::MARKER, name).variable("RUST_BACKTRACE", "0")
        };
        self.programs.iter().map(started).collect()
    }

    pub(super) fn layout(&self) -> &'static Layout {
        self.layout
    }

    pub(super) fn judge(&self, left: &Left<'_>) -> Judged {
        (self.judge)(left)
    }
}

/// What proves that schedules can be controlled at all.
const PROBE: &[Piece] = &[Piece {
    lab: "",
    id: "",
    title: "a program that does nothing",
    segment: None,
    programs: &[(&[], "")],
    tried: Tried::Interruptions(0),
    judge: |left| left.all_end_well(),
    layout: &Layout { structures: &[], named: &[] },
    wrong_on_purpose: false,
}];

/// The piece of this lab with this id.
pub fn find(lab: &str, id: &str) -> Option<&'static Piece> {
    of(lab).iter().find(|piece| piece.id == id)
}

/// The pieces of a lab, in the order of its steps.
pub fn of(lab: &str) -> &'static [Piece] {
    match lab {
        "raw-segment" => raw_segment::PIECES,
        "unbounded-buffer" => unbounded_buffer::PIECES,
        "bounded-buffer" => bounded_buffer::PIECES,
        "race-condition" => race_condition::PIECES,
        "" => PROBE,
        _ => &[],
    }
}

impl Left<'_> {
    /// Every process that was not killed ends with 0.
    fn all_end_well(&self) -> Judged {
        for (index, exit) in self.ending.exits.iter().enumerate() {
            let fine = matches!(exit, Some(Exit::Code(0))) || self.victim == Some(index);
            let told = || format!("{} does not end with 0", letter(index));
            require(fine, "dies-under-a-schedule", told)?;
        }
        Ok(())
    }

    /// What a process has written to standard output.
    fn output(&self, process: usize) -> &[u8] {
        self.ending.outputs.get(process).map_or(&[], Vec::as_slice)
    }

    /// All bytes of the segment; nothing if nobody has its name.
    fn bytes(&self) -> &[u8] {
        self.ending.bytes.as_deref().unwrap_or(&[])
    }

    /// The little-endian word of eight bytes at `offset`; 0 where the segment has none.
    fn word(&self, offset: u64) -> u64 {
        word(self.bytes(), offset)
    }

    /// The little-endian word of four bytes at `offset`; 0 where the segment has none.
    fn half(&self, offset: u64) -> u32 {
        half(self.bytes(), offset)
    }

    /// What the segment holds by now, after somebody has taken over.
    fn bytes_now(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap_or_default()
    }

    /// The bits that say who may open the segment; nothing if nobody has its name.
    fn mode(&self) -> Option<u32> {
        std::fs::metadata(self.path()).ok().map(|about| about.permissions().mode() & 0o7777)
    }

    fn path(&self) -> PathBuf {
        Path::new(cleanup::SHM_DIR).join(self.request.name.trim_start_matches('/'))
    }

    /// A producer that goes on where the one that was killed has stopped ends with 0.
    fn a_producer_takes_over(&self, options: &[&str], input: &[u8]) -> Judged {
        let words = [&["producer", &self.request.name], options].concat();
        match self.run_once_more(&words, input) {
            Some(0) => Ok(()),
            Some(code) => {
                Err(("cannot-take-over", format!("the producer that takes over ends with {code}")))
            }
            None => {
                Err(("cannot-take-over", "the producer that takes over does not end".to_owned()))
            }
        }
    }

    /// Runs the program once more, freely, on what is left. Returns its exit code; none when it does
    /// not end.
    fn run_once_more(&self, words: &[&str], input: &[u8]) -> Option<i32> {
        let mut command = Command::new(&self.request.program);
        command
            .args(words)
            .env_clear()
            .env(cleanup::MARKER, &self.request.name)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        confine(&mut command, self.confinement.clone());
        let mut child = command.spawn().ok()?;
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(input);
        }
        let mut deadline = Deadline::new(PATIENCE, vec![Pid::from_raw(child.id() as i32)]);
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return status.code(),
                Ok(None) if !deadline.is_over() => sleep(Duration::from_millis(1)),
                _ => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return None;
                }
            }
        }
    }
}

/// The little-endian word of eight bytes at `offset`; 0 where there is none.
fn word(bytes: &[u8], offset: u64) -> u64 {
    let bytes = bytes.get(offset as usize..offset as usize + 8);
    bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// The little-endian word of four bytes at `offset`; 0 where there is none.
fn half(bytes: &[u8], offset: u64) -> u32 {
    let bytes = bytes.get(offset as usize..offset as usize + 4);
    bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn require(holds: bool, code: &'static str, seen: impl FnOnce() -> String) -> Judged {
    if holds { Ok(()) } else { Err((code, seen())) }
}

fn listed(messages: &[Vec<u8>]) -> String {
    let all: Vec<String> = messages.iter().map(|bytes| format!("`{}`", shown(bytes))).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}
