//! How much confinement there is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How much confinement there is; a later one is more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tier {
    /// Limits only: right for one's own work, wrong for strangers'.
    #[default]
    T0,
    /// A user or at least signals and files of its own, refused system calls, limits: what a plain
    /// container allows.
    T1,
    /// Namespaces of its own and all of the above.
    T2,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl FromStr for Tier {
    type Err = String;

    fn from_str(text: &str) -> Result<Tier, String> {
        match text {
            "T0" | "t0" | "0" => Ok(Tier::T0),
            "T1" | "t1" | "1" => Ok(Tier::T1),
            "T2" | "t2" | "2" => Ok(Tier::T2),
            _ => Err(format!("`{}` is none of T0, T1 and T2", text.escape_debug())),
        }
    }
}
