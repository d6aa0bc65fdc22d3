//! The grader's own partner of a student's program: a disposable process that maps the segment.
//!
//! It is a process of its own because the segment is the student's: whoever maps it can be killed
//! by a truncation or held by a lock for ever. The deciding process only sends it one command a
//! line and reads one answer a line. The formats of the labs are spoken in the modules below, from
//! the labs' documents alone: no code is shared with `labkit`.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

use crate::cleanup;
use crate::verdict::Stop;

pub mod log;
pub mod ring;
pub mod shop;
pub mod table;
mod worker;

pub use worker::main as worker_main;

/// How long the peer waits for a semaphore or a lock that a correct partner gives back at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// The first bytes of every segment: where the fields of the common prefix are.
pub mod prefix {
    /// u64: `SHMLAB`, the lab's digit, a zero byte.
    pub const MAGIC: u64 = 0;
    /// u32: 1.
    pub const VERSION: u64 = 8;
    /// u32: building, ready or closed; stored last.
    pub const STATE: u64 = 12;
    /// u64: the object's length when it was created.
    pub const TOTAL_LEN: u64 = 16;
    /// u32: the creator's process id.
    pub const CREATOR: u64 = 24;
    /// The prefix ends here.
    pub const END: u64 = 64;

    /// The creator is still at work.
    pub const BUILDING: u32 = 0;
    /// The segment may be used.
    pub const READY: u32 = 1;
    /// Nothing more will come.
    pub const CLOSED: u32 = 2;

    /// The magic number of the lab with this digit.
    pub fn magic(digit: u8) -> u64 {
        u64::from_le_bytes([b'S', b'H', b'M', b'L', b'A', b'B', b'0' + digit, 0])
    }
}

/// Why the peer could not do what it was asked.
#[derive(Debug)]
pub enum PeerError {
    /// The peer died, as a rule because the student's program shortened the object under it.
    Died(String),
    /// It waited in vain, or the system refused: its own words.
    Refused(String),
}

/// A peer process that has one object open and mapped.
pub struct Peer {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// The result of asking the peer.
pub type Asked<T = ()> = Result<T, PeerError>;

impl Peer {
    /// Starts `program`, this very program, as a peer.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn start(program: &Path) -> std::io::Result<Peer> {
        let mut command = Command::new(program);
        command.arg("__peer").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        cleanup::tell_helper(&mut command);
        let mut child = command.process_group(0).spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        cleanup::watch_group(Pid::from_raw(child.id() as i32));
        let missing = || std::io::Error::other("the peer has no pipe");
        Ok(Peer {
            stdin: stdin.ok_or_else(missing)?,
            stdout: BufReader::new(stdout.ok_or_else(missing)?),
            child,
        })
    }

    /// The peer's process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Kills the peer with -9, wherever it is: a partner that dies at the worst moment.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        cleanup::forget_group(self.pid());
    }

    /// Makes the object `name` exclusively with this mode, `len` bytes long, and maps it.
    pub fn make(&mut self, name: &str, len: u64, mode: u32) -> Asked {
        self.ask(&format!("make {name} {len} {mode}")).map(drop)
    }

    /// Opens and maps an existing object.
    pub fn open(&mut self, name: &str) -> Asked {
        self.ask(&format!("open {name}")).map(drop)
    }

    /// Gives the object another length and maps all of it.
    pub fn resize(&mut self, len: u64) -> Asked {
        self.ask(&format!("resize {len}")).map(drop)
    }

    /// Maps the object's present length; returns it.
    pub fn remap(&mut self) -> Asked<u64> {
        self.number("remap")
    }

    /// Loads a 32-bit word.
    pub fn get32(&mut self, offset: u64) -> Asked<u32> {
        Ok(self.number(&format!("get32 {offset}"))? as u32)
    }

    /// Loads a 64-bit word.
    pub fn get64(&mut self, offset: u64) -> Asked<u64> {
        self.number(&format!("get64 {offset}"))
    }

    /// Stores a 32-bit word.
    pub fn put32(&mut self, offset: u64, value: u32) -> Asked {
        self.ask(&format!("put32 {offset} {value}")).map(drop)
    }

    /// Stores a 64-bit word.
    pub fn put64(&mut self, offset: u64, value: u64) -> Asked {
        self.ask(&format!("put64 {offset} {value}")).map(drop)
    }

    /// Copies bytes into the segment.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Asked {
        self.ask(&format!("write {offset} {}", to_hex(bytes))).map(drop)
    }

    /// Copies bytes out of the segment.
    pub fn read(&mut self, offset: u64, count: u64) -> Asked<Vec<u8>> {
        let answer = self.ask(&format!("read {offset} {count}"))?;
        from_hex(&answer).ok_or_else(|| PeerError::Died("no hex in its answer".into()))
    }

    /// Stores the same byte `count` times.
    pub fn fill(&mut self, offset: u64, count: u64, byte: u8) -> Asked {
        self.ask(&format!("fill {offset} {count} {byte}")).map(drop)
    }

    /// Stores the same byte behind the end of the object, up to the end of its last page.
    pub fn fill_rest(&mut self, byte: u8) -> Asked {
        self.ask(&format!("fill-rest {byte}")).map(drop)
    }

    /// The bytes behind the end of the object, up to the end of its last page.
    pub fn rest(&mut self) -> Asked<Vec<u8>> {
        let answer = self.ask("rest")?;
        from_hex(&answer).ok_or_else(|| PeerError::Died("no hex in its answer".into()))
    }

    /// Initialises a semaphore with this value, shared between processes or not.
    pub fn sem_init(&mut self, offset: u64, value: u32, shared: bool) -> Asked {
        self.ask(&format!("sem-init {offset} {value} {}", u8::from(shared))).map(drop)
    }

    /// The semaphore's present value.
    pub fn sem_value(&mut self, offset: u64) -> Asked<i32> {
        Ok(self.number(&format!("sem-value {offset}"))? as i32)
    }

    /// Takes a permit, waiting a long time for it.
    pub fn sem_wait(&mut self, offset: u64) -> Asked {
        self.ask(&format!("sem-wait {offset} {}", PATIENCE.as_millis())).map(drop)
    }

    /// Has it wait for a permit, for as long as it lives, and with its first breath stop the process
    /// that gave it: where that one gives way to us, it stands still behind its post. Returns at once;
    /// [`Peer::stopped_the_poster`] tells whether it is done, and until then it takes no other command.
    pub fn sem_wait_and_stop(&mut self, offset: u64, poster: Pid) {
        self.say(&format!("sem-wait-and-stop {offset} {poster}"));
    }

    /// Whether the wait of [`Peer::sem_wait_and_stop`] is over.
    pub fn has_answered(&self) -> bool {
        let mut answer = [PollFd::new(self.stdout.get_ref().as_fd(), PollFlags::POLLIN)];
        poll(&mut answer, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// How [`Peer::sem_wait_and_stop`] ended: an error if the peer has died or was refused.
    pub fn stopped_the_poster(&mut self) -> Asked<()> {
        self.answer().map(drop)
    }

    /// Takes a permit if there is one.
    pub fn sem_try(&mut self, offset: u64) -> Asked<bool> {
        Ok(self.number(&format!("sem-try {offset}"))? == 1)
    }

    /// Gives a permit back.
    pub fn sem_post(&mut self, offset: u64) -> Asked {
        self.ask(&format!("sem-post {offset}")).map(drop)
    }

    /// Initialises a robust mutex shared between processes.
    pub fn mutex_init(&mut self, offset: u64) -> Asked {
        self.ask(&format!("mutex-init {offset}")).map(drop)
    }

    /// Takes the robust mutex, waiting a long time for it. True: its last owner died holding it,
    /// and it has been marked consistent.
    pub fn mutex_lock(&mut self, offset: u64) -> Asked<bool> {
        Ok(self.number(&format!("mutex-lock {offset} {}", PATIENCE.as_millis()))? == 1)
    }

    /// Gives the robust mutex back.
    pub fn mutex_unlock(&mut self, offset: u64) -> Asked {
        self.ask(&format!("mutex-unlock {offset}")).map(drop)
    }

    fn number(&mut self, command: &str) -> Asked<u64> {
        let answer = self.ask(command)?;
        answer
            .parse::<i64>()
            .map(|number| number as u64)
            .or_else(|_| answer.parse::<u64>())
            .map_err(|_| PeerError::Died(format!("no number in its answer `{answer}`")))
    }

    fn ask(&mut self, command: &str) -> Asked<String> {
        self.say(command);
        self.answer()
    }

    /// Sends a command. A peer that cannot be reached any more has no answer either.
    fn say(&mut self, command: &str) {
        let _ = writeln!(self.stdin, "{command}").and_then(|()| self.stdin.flush());
    }

    fn answer(&mut self) -> Asked<String> {
        let mut answer = String::new();
        let read = self.stdout.read_line(&mut answer);
        let answer = answer.trim_end();
        match answer.split_once(' ').unwrap_or((answer, "")) {
            ("ok", rest) => Ok(rest.to_owned()),
            ("no", rest) => Err(PeerError::Refused(rest.to_owned())),
            _ => Err(PeerError::Died(match (read, self.child.wait()) {
                (_, Ok(status)) => status.to_string(),
                (Err(error), _) | (_, Err(error)) => error.to_string(),
            })),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A peer that dies or is refused outside a check's own expectation: the check cannot go on.
impl From<PeerError> for Stop {
    fn from(error: PeerError) -> Stop {
        use crate::diagnosis::fail;
        match error {
            PeerError::Died(how) => fail("pulls-the-rug")
                .expected("a partner that maps the object goes on working")
                .seen(format!("the grader's own process, which maps the object, ended: {how}"))
                .into(),
            PeerError::Refused(why) => fail("peer-cannot-go-on")
                .expected("the grader's own process can do its part")
                .seen(format!("it cannot: {why}"))
                .into(),
        }
    }
}

/// Lower-case hex, two digits a byte.
pub fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes behind hex digits; nothing if they are not.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
