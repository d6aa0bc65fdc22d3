//! The canary: a secret, a result and a System V object outside every sandbox, which a submission that
//! breaks out would read or change.

use std::fs;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::fcntl::{Flock, FlockArg};

/// Where the submissions of the corpus look for it; see the corpus's README.
const CANARY: &str = "/var/tmp/shmlab-canary";
/// What no submission may tell.
pub(crate) const SECRET: &str = "the canary sings";

/// The canary, alone on the machine as long as this is held: tests of another copy of the course, at
/// the same time, would take its changes for a break-out.
pub(crate) struct Canary {
    _alone: (MutexGuard<'static, ()>, Flock<fs::File>),
    secret: fs::File,
    /// A System V object, by its number.
    object: i32,
}

impl Canary {
    pub(crate) fn new() -> Canary {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = fs::File::create(format!("{CANARY}.lock")).unwrap();
        let lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error).unwrap();
        let alone = (alone, lock);
        let _ = fs::remove_dir_all(CANARY);
        fs::create_dir_all(CANARY).unwrap();
        fs::set_permissions(CANARY, fs::Permissions::from_mode(0o777)).unwrap();
        let path = Path::new(CANARY);
        fs::write(path.join("secret"), SECRET).unwrap();
        fs::write(path.join("results.json"), "{\"points\":0}").unwrap();
        let all = fs::Permissions::from_mode(0o666);
        fs::set_permissions(path.join("results.json"), all).unwrap();
        // SAFETY: shmget takes numbers; nothing is mapped.
        let object = unsafe { nix::libc::shmget(nix::libc::IPC_PRIVATE, 4096, 0o600) };
        assert!(object >= 0, "{}", std::io::Error::last_os_error());
        Canary { _alone: alone, secret: fs::File::open(path.join("secret")).unwrap(), object }
    }

    /// The number of an open descriptor of the secret, as long as the canary lives.
    pub(crate) fn secret(&self) -> RawFd {
        self.secret.as_raw_fd()
    }

    /// What has changed.
    pub(crate) fn touched(&self) -> Vec<String> {
        let path = Path::new(CANARY);
        let mut found = Vec::new();
        for entry in fs::read_dir(path).unwrap() {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            if name != "secret" && name != "results.json" {
                found.push(format!("{CANARY}/{name} is new"));
            }
        }
        for (name, content) in [("secret", SECRET), ("results.json", "{\"points\":0}")] {
            let plain = path.join(name).symlink_metadata().is_ok_and(|meta| meta.is_file());
            if !plain || fs::read_to_string(path.join(name)).ok().as_deref() != Some(content) {
                found.push(format!("{CANARY}/{name} has changed"));
            }
        }
        found
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(CANARY);
        // SAFETY: IPC_RMID takes no third argument, so that a null is what it asks for.
        unsafe { nix::libc::shmctl(self.object, nix::libc::IPC_RMID, std::ptr::null_mut()) };
    }
}
