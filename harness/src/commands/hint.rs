//! `cargo lab hint`: the next rung of a step's ladder of hints.

use super::{Done, say};
use crate::cli::Hint;
use crate::course::Course;
use crate::exit_code::{Blame, ExitCode};
use crate::progress::Progress;
use crate::report::style::{COMMAND, DIM, STRONG, paint};

pub(super) fn hint(course: &Course, arguments: &Hint) -> Done {
    let mut progress = Progress::read(course);
    let lab = match &arguments.lab {
        Some(id) => course.lab(id).usage()?,
        None => progress
            .next_lab(course)
            .or(course.labs.last())
            .ok_or_else(|| anyhow::anyhow!("the course has no lab"))
            .broken()?,
    };
    let entry = progress.lab_mut(lab);
    let step = match (&arguments.step, entry.next_step.as_deref().and_then(|id| lab.step(id))) {
        (Some(id), _) => lab.known_step(id).usage()?,
        (None, Some(step)) => step,
        (None, None) => {
            lab.steps.first().ok_or_else(|| anyhow::anyhow!("the lab has no step")).broken()?
        }
    };
    let count = step.hints.len();
    let shown = entry.hints.entry(step.id.clone()).or_default();
    *shown = if arguments.all { count } else { (*shown + 1).min(count) };
    let (first, last) = if arguments.all { (1, count) } else { (*shown, *shown) };
    say(&format!("{}, step {}: {}", lab.id, paint(STRONG, &step.id), step.title));
    for number in first..=last {
        if let Some(text) = step.hints.get(number - 1) {
            say(&format!("\n  hint {number} of {count}: {text}"));
        }
    }
    let more = if last < count {
        format!("{} shows the next one", paint(COMMAND, "cargo lab hint"))
    } else {
        "that was the last one".to_owned()
    };
    say(&format!("\n  {}; read {}", paint(DIM, &more), step.docs));
    // A hint on a read-only disk is still a hint; it will be shown again.
    let _ = progress.write(course);
    Ok(ExitCode::Passed)
}
