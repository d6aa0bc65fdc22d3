//! Messages on the way in: stdin cut into pieces that fit. No byte is added, changed or dropped,
//! so that what the consumer writes can be compared with what the producer read.

use std::io::{self, BufRead, Read};

/// Where one message ends and the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One message per line, its newline included; a longer line becomes several messages.
    Lines,
    /// Every message has the full length, except perhaps the last.
    Bulk,
}

/// The messages of a reader, one at a time. Ends at the end of the input.
#[derive(Debug)]
pub struct Messages<R> {
    reader: R,
    /// At least 1, or there is never a message.
    max_len: usize,
    framing: Framing,
}

impl<R: BufRead> Messages<R> {
    /// Cuts what `reader` gives into messages of at most `max_len` bytes.
    pub fn new(reader: R, max_len: usize, framing: Framing) -> Messages<R> {
        Messages { reader, max_len, framing }
    }
}

impl<R: BufRead> Iterator for Messages<R> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        let mut message = Vec::new();
        let mut piece = self.reader.by_ref().take(self.max_len as u64);
        let read = match self.framing {
            Framing::Lines => piece.read_until(b'\n', &mut message),
            Framing::Bulk => piece.read_to_end(&mut message),
        };
        match read {
            Ok(0) => None,
            Ok(_) => Some(Ok(message)),
            Err(error) => Some(Err(error)),
        }
    }
}

/// The messages on stdin, each at most `max_len` bytes long.
pub fn messages(max_len: usize, framing: Framing) -> impl Iterator<Item = io::Result<Vec<u8>>> {
    Messages::new(io::stdin().lock(), max_len, framing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(input: &str, max_len: usize, framing: Framing) -> Vec<String> {
        Messages::new(input.as_bytes(), max_len, framing)
            .map(|message| String::from_utf8(message.unwrap()).unwrap())
            .collect()
    }

    #[test]
    fn a_line_keeps_its_newline() {
        assert_eq!(cut("a\n\nb", 9, Framing::Lines), ["a\n", "\n", "b"]);
    }

    #[test]
    fn a_long_line_travels_in_pieces() {
        assert_eq!(cut("abcde\nf\n", 3, Framing::Lines), ["abc", "de\n", "f\n"]);
    }

    #[test]
    fn bulk_does_not_look_for_newlines() {
        assert_eq!(cut("ab\ncd", 4, Framing::Bulk), ["ab\nc", "d"]);
    }

    #[test]
    fn no_input_is_no_message() {
        assert!(cut("", 4, Framing::Lines).is_empty());
        assert!(cut("", 4, Framing::Bulk).is_empty());
    }
}
