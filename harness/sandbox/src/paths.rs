//! What of the machine's files a program needs to run.

use std::path::{Path, PathBuf};

/// Where programs and libraries are. Links among them (`/lib` on most systems) are followed.
const SYSTEM: [&str; 5] = ["/usr", "/lib", "/lib64", "/bin", "/sbin"];

/// What the loader and the compiler driver look up.
const LOOKED_UP: [&str; 3] = ["/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"];

/// Devices without a state.
pub(crate) const DEVICES: [&str; 5] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/random"];

/// Folders and files of the system that this machine has.
pub(crate) fn of_the_system() -> Vec<PathBuf> {
    let all = SYSTEM.iter().chain(&LOOKED_UP);
    all.map(Path::new).filter(|path| path.exists()).map(Path::to_owned).collect()
}
