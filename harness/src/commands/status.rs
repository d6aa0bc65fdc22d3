//! `cargo lab`: where you are and what comes next.

use super::{Done, say};
use crate::course::{Course, Lab};
use crate::exit_code::{Blame, ExitCode};
use crate::progress::{LabProgress, Progress};
use crate::report::style::{COMMAND, DIM, GOOD, OPEN, STRONG, paint};
use crate::submission::{Origin, Submission};

pub(super) fn status(course: &Course) -> Done {
    let progress = Progress::read(course);
    say(&format!(
        "{}  four labs, two processes, one piece of memory\n",
        paint(STRONG, "Shared Memory Labs")
    ));
    for lab in &course.labs {
        say(&line(lab, &progress.lab(lab)));
    }
    let Some(lab) = progress.next_lab(course) else {
        say(&format!(
            "\nYou have passed all labs. Try {} on them, or read {}.",
            paint(COMMAND, "cargo lab run bounded-buffer"),
            paint(COMMAND, "docs/")
        ));
        return Ok(ExitCode::Passed);
    };
    let entry = progress.lab(lab);
    let submission = Submission::collect(course, lab, &Origin::Workspace).usage()?;
    let untouched =
        super::reset::starter(course, lab).is_ok_and(|starter| submission.is_untouched(&starter));
    let files: Vec<String> =
        lab.student_files.iter().map(|f| format!("labs/{}/{}", lab.id, f.display())).collect();
    let next = entry.next_step.as_deref().and_then(|id| lab.step(id)).or(lab.steps.first());
    say("");
    if untouched {
        say(&format!(
            "Next: {}. Read {}, then write in {}.",
            paint(STRONG, &lab.title),
            paint(COMMAND, &format!("labs/{}/README.md", lab.id)),
            files.join(" and ")
        ));
    } else if entry.sha256 != submission.sha256() {
        say(&format!(
            "Next: {}. It has changed since it was last checked.",
            paint(STRONG, &lab.title)
        ));
    } else if let Some(step) = next {
        say(&format!(
            "Next: {}, step {}: {}. Read {}.",
            paint(STRONG, &lab.title),
            paint(STRONG, &step.id),
            step.title,
            step.docs
        ));
    }
    say(&format!(
        "  {}   build it, run it, say why it fails",
        paint(COMMAND, &format!("cargo lab check {}", lab.id))
    ));
    say(&format!(
        "  {}    a nudge, then more",
        paint(COMMAND, &format!("cargo lab hint {}", lab.id))
    ));
    say(&format!(
        "  {}     watch its processes at work",
        paint(COMMAND, &format!("cargo lab run {}", lab.id))
    ));
    if progress.labs_seen() == 0 {
        say(&format!(
            "  {}   prove that this machine can do it",
            paint(COMMAND, "cargo lab check --solution")
        ));
    }
    Ok(ExitCode::Passed)
}

fn line(lab: &Lab, entry: &LabProgress) -> String {
    let total: u32 = lab.steps.iter().filter(|step| !step.bonus).map(|step| step.points).sum();
    let bonus = if entry.bonus > 0 { format!(" +{}", entry.bonus) } else { String::new() };
    let points = format!("{:>3}/{total}{bonus}", entry.points);
    let mark = match (entry.passed, entry.sha256.is_empty()) {
        (true, _) => paint(GOOD, "✔"),
        (false, true) => paint(DIM, "○"),
        (false, false) => paint(OPEN, "…"),
    };
    format!("  {mark} {} {:<17} {points:<11} {}", lab.order, lab.id, paint(DIM, &lab.summary))
}
