//! The report of the terminal, for all labs of a sheet, without colours: what a student is sent, and
//! what a log may hold.

use std::fmt::Write;

use super::{Context, cases, safe};
use crate::record::ResultKind;
use crate::report::text::{Detail, report};
use crate::sheet::Sheet;

/// The report of a whole sheet.
pub(super) fn render(sheet: &Sheet, context: &Context) -> String {
    safe::fitting(sheet, safe::LIMIT, |sheet| told(sheet, context))
}

/// The report of a sheet whose texts are safe already.
pub(super) fn told(sheet: &Sheet, context: &Context) -> String {
    let mut out = format!("{}\n", sheet.submission.id);
    if let Some(message) = &sheet.message {
        let _ = writeln!(out, "{}: {message}", cases::outcome(sheet.outcome));
    }
    for lab in &sheet.labs {
        let again = format!("cargo lab check {}", lab.lab);
        let text = report(lab, context.title(&lab.lab), &again, Detail { verbose: false });
        let _ = write!(out, "\n{}", anstream::adapter::strip_str(&text));
    }
    let isolation = &sheet.isolation;
    let _ = writeln!(out, "\ntotal: {}", cases::total(sheet));
    let _ = write!(out, "confinement: {}", cases::tier(isolation.tier));
    if sheet.outcome == ResultKind::Broken && !isolation.missing.is_empty() {
        let _ = write!(out, " (missing: {})", isolation.missing.join("; "));
    }
    out.push('\n');
    // A log of GitHub's takes some lines for commands, and nobody knows where this text is printed.
    safe::without_commands(&out)
}
