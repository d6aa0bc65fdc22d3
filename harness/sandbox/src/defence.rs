//! The single defences, so that a test can take one away and see what then bites.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of the things that keep a hostile program in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Defence {
    /// A user who owns nothing.
    UserSplit,
    /// Processes of its own: none other can be seen or signalled, and all end with the cell.
    PidNamespace,
    /// No network device at all.
    NetworkNamespace,
    /// System V objects and message queues of its own.
    IpcNamespace,
    /// A file system of its own, with what a program needs and nothing else.
    MountNamespace,
    /// A `/dev/shm` of its own, with a size.
    PrivateShm,
    /// Which files may be opened, and whom signals may reach.
    Landlock,
    /// Which system calls may be made.
    Seccomp,
    /// Our processes cannot be looked into.
    NotDumpable,
    /// No descriptor but the three standard ones.
    ClosedDescriptors,
    /// No variable of ours in the environment.
    EmptyEnvironment,
    /// How many processes there may be.
    ProcessLimit,
    /// How much memory a process may map.
    MemoryLimit,
    /// How long a file may grow.
    FileSizeLimit,
    /// How many files a process may have open.
    OpenFilesLimit,
}

impl Defence {
    /// All of them, with their words.
    pub const ALL: [(&str, Defence); 15] = [
        ("user-split", Defence::UserSplit),
        ("pid-namespace", Defence::PidNamespace),
        ("network-namespace", Defence::NetworkNamespace),
        ("ipc-namespace", Defence::IpcNamespace),
        ("mount-namespace", Defence::MountNamespace),
        ("private-shm", Defence::PrivateShm),
        ("landlock", Defence::Landlock),
        ("seccomp", Defence::Seccomp),
        ("not-dumpable", Defence::NotDumpable),
        ("closed-descriptors", Defence::ClosedDescriptors),
        ("empty-environment", Defence::EmptyEnvironment),
        ("process-limit", Defence::ProcessLimit),
        ("memory-limit", Defence::MemoryLimit),
        ("file-size-limit", Defence::FileSizeLimit),
        ("open-files-limit", Defence::OpenFilesLimit),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        Defence::ALL.iter().find(|(_, defence)| *defence == self).map_or("", |(word, _)| word)
    }
}

impl FromStr for Defence {
    type Err = String;

    fn from_str(text: &str) -> Result<Defence, String> {
        let found = Defence::ALL.iter().find(|(word, _)| *word == text);
        found.map(|(_, defence)| *defence).ok_or_else(|| {
            let words: Vec<&str> = Defence::ALL.iter().map(|(word, _)| *word).collect();
            format!(
                "no defence is called `{}`; there are {}",
                text.escape_debug(),
                words.join(", ")
            )
        })
    }
}
