//! `cargo lab reset`: a lab's files as they were handed out. What was there is kept.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};

use super::{Done, say};
use crate::course::{Course, Lab};
use crate::exit_code::{Blame, ExitCode};
use crate::progress::write_whole;
use crate::submission::Submission;

pub(super) fn reset(course: &Course, id: &str, yes: bool) -> Done {
    let lab = course.lab(id).usage()?;
    let starter = starter(course, lab).usage()?;
    if !yes && !confirmed(lab).usage()? {
        say("nothing was changed");
        return Ok(ExitCode::Passed);
    }
    let folder = course.lab_folder(lab);
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let backup = PathBuf::from(format!(".lab/backup/{}-{seconds}", lab.id));
    for (path, bytes) in &starter.files {
        let current = folder.join(path);
        if let Ok(yours) = fs::read(&current)
            && yours != *bytes
        {
            write_whole(&course.root.join(&backup).join(path), &yours).broken()?;
            say(&format!(
                "labs/{}/{}: yours is now {}",
                lab.id,
                path.display(),
                backup.join(path).display()
            ));
        }
        write_whole(&current, bytes).broken()?;
    }
    say(&format!("{} is as it was handed out", lab.id));
    Ok(ExitCode::Passed)
}

/// The lab's files as the course hands them out.
pub(super) fn starter(course: &Course, lab: &Lab) -> Result<Submission> {
    let folder = course.root.join("harness/starters").join(&lab.id);
    let mut files = BTreeMap::new();
    for path in &lab.student_files {
        let bytes = fs::read(folder.join(path)).with_context(|| {
            format!("the starter of {} is not in this copy of the course ({})\n  what to do: clone the course again", lab.id, folder.join(path).display())
        })?;
        files.insert(path.clone(), bytes);
    }
    Ok(Submission { id: "starter".to_owned(), files })
}

fn confirmed(lab: &Lab) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(anyhow!("there is no terminal to ask on\n  what to do: say --yes"));
    }
    print!(
        "put the files of {} back as they were handed out? yours are kept in .lab/backup [y/N] ",
        lab.id
    );
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
