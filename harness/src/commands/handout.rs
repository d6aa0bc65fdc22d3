//! `cargo lab handout`: writes the students' tree.

use std::path::Path;

use super::{Done, say};
use crate::course::Course;
use crate::exit_code::{Blame, ExitCode};
use crate::handout;

pub(super) fn handout(course: &Course, folder: &Path) -> Done {
    let count = handout::write(course, folder).usage()?;
    say(&format!("wrote {count} files to {}", folder.display()));
    say("no solution is in it, no submission of the corpus, and no page for those who teach");
    say(&format!("next: cd {} && cargo test", folder.display()));
    Ok(ExitCode::Passed)
}
