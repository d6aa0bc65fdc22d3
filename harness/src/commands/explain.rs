//! `cargo lab explain`: a diagnosis at length, from the same catalogue as the reports.

use super::{Done, say};
use crate::diagnosis::{catalogue, entry};
use crate::exit_code::{Blame, ExitCode};
use crate::report::style::{COMMAND, DIM, STRONG, paint};

pub(super) fn explain(code: Option<&str>) -> Done {
    let Some(code) = code else {
        let widest = catalogue().map(|entry| entry.code.len()).max().unwrap_or(0);
        for entry in catalogue() {
            say(&format!("{:widest$}  {}", entry.code, paint(DIM, &entry.required)));
        }
        return Ok(ExitCode::Passed);
    };
    let entry = entry(code)
        .ok_or_else(|| {
            let closest = |known: &&str| (strsim::jaro_winkler(known, code) * 1e6) as u64;
            let like = catalogue().map(|e| e.code.as_str()).max_by_key(closest).unwrap_or("");
            anyhow::anyhow!("no diagnosis has the code `{}`\n  did you mean: {like}\n  what to do: `cargo lab explain` lists them all", code.escape_debug())
        })
        .usage()?;
    say(&format!("{}\n{}\n", paint(STRONG, &entry.code), entry.required));
    say(entry.page.trim());
    say(&format!("\n{} {}", paint(DIM, "usual cause:"), entry.likely));
    say(&format!("{} {}", paint(DIM, "in the field guide:"), paint(COMMAND, &entry.docs)));
    Ok(ExitCode::Passed)
}
