//! The seed: the labs' dependencies and `labkit`, compiled once, for workshops to begin from.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::{PROFILE, cargo_failed, cargo_in, copy, copy_folder, lock, run_cargo};
use crate::course::Course;
use crate::overlay;
use crate::peer::to_hex;
use crate::toolchain::Toolchain;

/// What the folders of seeds are called.
const PREFIX: &str = "seed-";

/// The file in it that is written last.
const DONE: &str = "done";

/// A seed that nobody began from for so long is of another version of the course or the compiler.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// A tree and a target folder that hold everything but the labs.
pub(super) struct Seed {
    folder: PathBuf,
}

impl Seed {
    /// The seed for these dependencies and this compiler, built if it is not there.
    pub(super) fn of(course: &Course, tell: &impl Fn(&str)) -> Result<Seed> {
        let seed = Seed { folder: course.build_folder().join(name(course)?) };
        if !seed.done().exists() {
            let _lock = lock(&course.build_folder(), "seed", tell)?;
            if !seed.done().exists() {
                remove_old(&course.build_folder());
                tell("compiling the labs' dependencies, once (about 20 s)");
                seed.build(course)?;
            }
        }
        seed.keep();
        Ok(seed)
    }

    /// Its time is that of the last use.
    fn done(&self) -> PathBuf {
        self.folder.join(DONE)
    }

    /// Notes that it is in use. Who may only read it loses nothing by that.
    fn keep(&self) {
        let _ = fs::File::open(self.done()).and_then(|file| file.set_modified(SystemTime::now()));
    }

    /// Builds it aside. If we are killed, our compiler goes on for a while, and must not write into the
    /// seed that the next one builds.
    fn build(&self, course: &Course) -> Result<()> {
        let aside = self.folder.with_extension(std::process::id().to_string());
        let _ = fs::remove_dir_all(&aside);
        let (tree, target) = (aside.join("tree"), aside.join("target"));
        overlay::lay_as_is(course, &tree)?;
        overlay::put(&tree.join("Cargo.lock"), &fs::read(course.root.join("Cargo.lock"))?)?;
        // The lock file loses the harness's own dependencies here, and is complete from then on. What a
        // lab has not compiled does not matter: only what is not a lab is kept.
        let mut words = String::new();
        let mut built = false;
        for offline in [true, false] {
            let mut cargo = cargo_in(&tree, &target);
            cargo.args(["build", "--quiet", "--keep-going", "--profile", PROFILE]);
            cargo.args(offline.then_some("--offline"));
            let output = run_cargo(&mut cargo)?;
            words = String::from_utf8_lossy(&output.stderr).into_owned();
            built = output.status.success() || words.contains("-->");
            if built {
                break;
            }
        }
        if !built {
            return Err(cargo_failed(&words));
        }
        // Once more by itself, for those of whose dependencies the others want more than it does.
        for lab in &course.labs {
            let mut cargo = cargo_in(&tree, &target);
            cargo.args(["build", "--quiet", "--offline", "--profile", PROFILE]);
            cargo.args(["--package", &lab.id]);
            run_cargo(&mut cargo)?;
        }
        let mut clean = cargo_in(&tree, &target);
        clean.args(["clean", "--quiet", "--offline", "--profile", PROFILE]);
        for lab in &course.labs {
            clean.args(["--package", &lab.id]);
        }
        let output = run_cargo(&mut clean)?;
        if !output.status.success() {
            return Err(cargo_failed(&String::from_utf8_lossy(&output.stderr)));
        }
        overlay::put(&aside.join(DONE), b"")?;
        let _ = fs::remove_dir_all(&self.folder);
        fs::rename(&aside, &self.folder)
            .with_context(|| format!("cannot move {} to its place", aside.display()))
    }

    /// Makes a workshop of this folder. One that grew from another seed is of another time.
    pub(super) fn grow(&self, workshop: &Path) -> Result<()> {
        let origin = workshop.join("seed");
        let own = self.folder.display().to_string();
        if fs::read_to_string(&origin).is_ok_and(|from| from == own) {
            return Ok(());
        }
        let _ = fs::remove_dir_all(workshop);
        copy_target(&self.folder.join("target"), &workshop.join("target"))?;
        // The sources too, with their times: `labkit` in the seed then counts as built from them.
        copy_folder(&self.folder.join("tree"), &workshop.join("tree"))?;
        overlay::put(&origin, own.as_bytes())
    }
}

/// What its folder is called: by everything that decides what is in it.
fn name(course: &Course) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(&Toolchain::found()?.version);
    for path in overlay::given_by_the_course(course)? {
        hash.update(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    Ok(format!("{PREFIX}{}", &to_hex(&hash.finalize())[..16]))
}

/// Removes the seeds that nobody has begun from for long, and those that were never done. Only who
/// holds the lock may do that.
fn remove_old(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_seed = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let used = entry.path().join(DONE).metadata().and_then(|done| done.modified());
        let stays = used.is_ok_and(|used| used.elapsed().unwrap_or_default() < KEPT);
        if is_seed && !stays {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Copies a target folder. What is compiled already is never written again, so that another name for
/// the same bytes is enough, and takes a twentieth of the time.
fn copy_target(from: &Path, to: &Path) -> Result<()> {
    let compiled = Path::new(PROFILE).join("deps");
    fs::create_dir_all(to.join(PROFILE))?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name != PROFILE) {
            copy(&path, to, &["-a"])?;
        }
    }
    for entry in fs::read_dir(from.join(PROFILE))? {
        let path = entry?.path();
        let how: &[&str] = if path.ends_with(&compiled) { &["-a", "--link"] } else { &["-a"] };
        copy(&path, &to.join(PROFILE), how)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_seed_that_nobody_begins_from_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let made = |name: &str, age: Duration| {
            let seed = Seed { folder: folder.path().join(name) };
            fs::create_dir(&seed.folder).unwrap();
            let done = fs::File::create(seed.done()).unwrap();
            done.set_modified(SystemTime::now() - age).unwrap();
            seed
        };
        let old = made("seed-1", KEPT * 2);
        let used = made("seed-2", KEPT * 2);
        let workshop = made("workspace", KEPT * 2);
        used.keep();
        remove_old(folder.path());
        let there = [old, used, workshop].map(|seed| seed.folder.exists());
        assert_eq!(there, [false, true, true]);
    }
}
