//! What the machine must have for any verdict to mean something.

use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::sys::statvfs::statvfs;

use crate::cleanup::{self, SHM_DIR};
use crate::diagnosis::{Diagnosis, fail};
use crate::peer::Peer;
use crate::procfs::{self, Doing};

/// The labs' objects stay far below this; with less room a correct program can die of SIGBUS.
const SMALLEST_ROOM: u64 = 8 << 20;

/// The same for names.
const SMALLEST_NAMES: u64 = 8;

/// What is said of a check that failed for want of room.
pub(crate) const FULL: &str = "/dev/shm is full; make it larger (Docker: --shm-size=64m) or free it (`ls -l /dev/shm`, `cargo lab clean`)";

/// Bytes that can still be stored in `/dev/shm`.
pub fn shm_room() -> Option<u64> {
    let stat = statvfs(SHM_DIR).ok()?;
    Some(stat.blocks_available() * stat.fragment_size())
}

/// Whether too little room is left for a verdict.
pub fn shm_is_full() -> bool {
    let no_more_names = statvfs(SHM_DIR)
        .is_ok_and(|stat| stat.files() > 0 && stat.files_available() < SMALLEST_NAMES);
    no_more_names || shm_room().is_some_and(|room| room < SMALLEST_ROOM)
}

/// The diagnosis of who has filled a `/dev/shm` of its own.
pub(crate) fn filled() -> Diagnosis {
    fail("fills-shared-memory")
        .expected("room in /dev/shm for whoever comes next")
        .seen("it is full, and nobody else could put anything there")
}

/// Proves that the kernel shows what a process of ours is doing: without that a sleeping program
/// cannot be told from a working one.
///
/// # Errors
///
/// What is wrong, and what to do.
pub fn can_watch_processes(harness: &Path) -> Result<()> {
    let peer = Peer::start(harness).context("no process can be started")?;
    let seen = procfs::tasks(peer.pid());
    if seen.is_empty() || seen.iter().any(|task| task.doing == Doing::Gone) {
        bail!(
            "the kernel does not show what a process does: /proc/PID/syscall cannot be read\n  \
             what to do: mount /proc without hidepid, or run outside this container"
        );
    }
    Ok(())
}

/// Proves that names can be made in `/dev/shm` and that there is room.
///
/// # Errors
///
/// What is wrong, and what to do.
pub fn can_share_memory() -> Result<()> {
    if !Path::new(SHM_DIR).is_dir() {
        bail!(
            "there is no {SHM_DIR} on this machine\n  what to do: mount a tmpfs there (`mount -t tmpfs -o mode=1777 tmpfs {SHM_DIR}`), or use Linux"
        );
    }
    let name = cleanup::fresh_name();
    let written = std::fs::write(format!("{SHM_DIR}{name}"), b"x");
    cleanup::remove_name(&name);
    if shm_is_full() {
        let room = shm_room().unwrap_or(0);
        bail!(
            "only {} KiB are free in {SHM_DIR}, and {} are needed\n  what to do: {FULL}",
            room >> 10,
            SMALLEST_ROOM >> 10
        );
    }
    if let Err(error) = written {
        bail!(
            "{SHM_DIR} cannot be written ({error})\n  what to do: give it mode 1777 (`chmod 1777 {SHM_DIR}`)"
        );
    }
    Ok(())
}
