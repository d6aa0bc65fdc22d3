//! How a producer or consumer talks while it works. With `--step` it tells each finished operation
//! in a line, so that a person, or a test, can stop between any two and look at the segment.

use std::io::{self, Write};

use crate::{LabError, say};

/// The conversation of one process, with or without `--step`.
#[derive(Debug)]
pub struct Operations {
    step: bool,
    /// Messages that this process has produced.
    produced: u64,
}

impl Operations {
    /// `step` is the flag `--step`.
    pub fn new(step: bool) -> Operations {
        Operations { step, produced: 0 }
    }

    /// The segment is open: `attached` with `--step`, silence without.
    pub fn attached(&self) -> Result<(), LabError> {
        if self.step { say("attached") } else { Ok(()) }
    }

    /// Whether the consumer may do its next operation. With `--step` it waits for one line of
    /// stdin first, whatever is in it; `false` when stdin has ended. Without, always `true`.
    pub fn proceed(&mut self) -> Result<bool, LabError> {
        if !self.step {
            return Ok(true);
        }
        let mut line = Vec::new();
        let read = io::BufRead::read_until(&mut io::stdin().lock(), b'\n', &mut line)?;
        Ok(read > 0)
    }

    /// One more message is in the segment: `produced N` with `--step`.
    pub fn produced(&mut self) -> Result<(), LabError> {
        self.produced += 1;
        if self.step { say(&format!("produced {}", self.produced)) } else { Ok(()) }
    }

    /// A message came out: its bytes as they are, or `consumed HEX` with `--step`.
    pub fn consumed(&mut self, message: &[u8]) -> Result<(), LabError> {
        if self.step {
            return say(&format!("consumed {}", hex(message)));
        }
        let mut out = io::stdout().lock();
        out.write_all(message)?;
        out.flush()?;
        Ok(())
    }

    /// The stream has ended: `end` with `--step`.
    pub fn end(&self) -> Result<(), LabError> {
        if self.step { say("end") } else { Ok(()) }
    }
}

/// Two lower-case digits a byte; an empty message is a dash, so that it can be seen.
fn hex(message: &[u8]) -> String {
    if message.is_empty() {
        return "-".to_owned();
    }
    message.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_message_is_a_dash() {
        assert_eq!(hex(b""), "-");
        assert_eq!(hex(b"\x00A\xff"), "0041ff");
    }
}
