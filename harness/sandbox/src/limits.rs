//! How much of everything a program may use.

use std::io;

use nix::libc;

use serde::{Deserialize, Serialize};

/// The limits of one program, inherited by what it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processes and threads of its user together.
    pub processes: Option<u64>,
    /// Bytes it may have mapped, shared memory included.
    pub address_space: Option<u64>,
    /// Bytes it may have of memory of its own.
    pub data: Option<u64>,
    /// Bytes of one file, an object in `/dev/shm` included.
    pub file_size: Option<u64>,
    /// Descriptors it may have open.
    pub open_files: Option<u64>,
    /// Processor seconds of one process.
    pub cpu_seconds: Option<u64>,
}

impl Limits {
    /// Nothing is limited.
    pub const NONE: Limits = Limits {
        processes: None,
        address_space: None,
        data: None,
        file_size: None,
        open_files: None,
        cpu_seconds: None,
    };

    /// Sets them. Makes system calls and nothing else, so it may run between fork and exec. Called
    /// before anything is given up, since some machines let only the privileged raise a limit: ours
    /// are only ever lowered.
    pub(crate) fn enter(&self) -> io::Result<()> {
        set(libc::RLIMIT_CORE, Some(0))?;
        set(libc::RLIMIT_MEMLOCK, Some(64 << 10))?;
        set(libc::RLIMIT_NPROC, self.processes)?;
        set(libc::RLIMIT_AS, self.address_space)?;
        set(libc::RLIMIT_DATA, self.data)?;
        set(libc::RLIMIT_FSIZE, self.file_size)?;
        set(libc::RLIMIT_NOFILE, self.open_files)?;
        set(libc::RLIMIT_CPU, self.cpu_seconds)
    }
}

fn set(resource: libc::__rlimit_resource_t, most: Option<u64>) -> io::Result<()> {
    let Some(most) = most else { return Ok(()) };
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one `rlimit` to our stack.
    let mut done = unsafe { libc::getrlimit(resource, &raw mut now) };
    if done == 0 {
        let most = most.min(now.rlim_max);
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: the kernel reads one `rlimit` from our stack.
        done = unsafe { libc::setrlimit(resource, &raw const limit) };
    }
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
