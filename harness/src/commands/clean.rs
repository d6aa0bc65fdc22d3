//! `cargo lab clean`: removes what a killed run left behind, and only what is ours.

use std::fs;

use serde::Serialize;

use super::{Done, say, say_json};
use crate::cleanup;
use crate::course::Course;
use crate::exit_code::{Blame, ExitCode};

#[derive(Default, Serialize)]
struct Cleaned {
    /// Objects, files and folders that were removed.
    removed: Vec<String>,
    /// Those that could not be removed, with the reason.
    kept: Vec<String>,
    /// Whether the build folder was removed.
    build: bool,
}

pub(super) fn clean(course: &Course, build: bool, json: bool) -> Done {
    let mut cleaned = Cleaned::default();
    for path in cleanup::abandoned() {
        let name = path.display().to_string();
        match cleanup::remove(&path) {
            Ok(()) => cleaned.removed.push(name),
            Err(error) => cleaned.kept.push(format!("{name}: {error}")),
        }
    }
    let folder = course.build_folder();
    if build && folder.exists() {
        fs::remove_dir_all(&folder).broken()?;
        cleaned.build = true;
    }
    if json {
        say_json(&cleaned)?;
    } else {
        for name in &cleaned.removed {
            say(&format!("removed {name}"));
        }
        for name in &cleaned.kept {
            say(&format!("cannot remove {name}"));
        }
        if cleaned.build {
            say("removed target/lab");
        }
        if cleaned.removed.is_empty() && cleaned.kept.is_empty() && !cleaned.build {
            say("nothing of ours was left behind");
        }
    }
    Ok(if cleaned.kept.is_empty() { ExitCode::Passed } else { ExitCode::Broken })
}
