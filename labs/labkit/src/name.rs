//! The name of a shared-memory object, checked once, where it enters the program.

use std::fmt;
use std::str::FromStr;

/// A name such as `/demo`: one leading slash, no other, 2 to 255 bytes.
///
/// On Linux `/demo` is the file `/dev/shm/demo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

/// What is wrong with a name is always the same, so the message is the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name is one slash and then 1 to 254 bytes without another slash, like /demo")]
pub struct NameError;

impl Name {
    /// The name as `shm_open` wants it, with its slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Name, NameError> {
        let rest = text.strip_prefix('/').ok_or(NameError)?;
        // `.` and `..` are directories, and a NUL would end the name early.
        if matches!(rest, "" | "." | "..") || rest.contains(['/', '\0']) || text.len() > 255 {
            return Err(NameError);
        }
        Ok(Name(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_slash_and_it_leads() {
        assert_eq!("/demo".parse::<Name>().unwrap().as_str(), "/demo");
        for wrong in ["", "/", "demo", "/a/b", "//", "/..", "/a\0b"] {
            assert_eq!(wrong.parse::<Name>(), Err(NameError), "{wrong:?}");
        }
    }

    #[test]
    fn a_name_has_at_most_255_bytes() {
        assert!(format!("/{}", "x".repeat(254)).parse::<Name>().is_ok());
        assert!(format!("/{}", "x".repeat(255)).parse::<Name>().is_err());
    }
}
