//! The field guide to errors, `docs/errors.md`: the whole catalogue of diagnoses as one page.

use std::fmt::Write;

use crate::diagnosis::catalogue;

/// The page in Markdown: a section a code, sorted by code.
pub fn field_guide() -> String {
    let mut page = "# Field guide to errors\n\n\
        Every cause of failure that the grader can name, by its code: what is required, what happened, how\n\
        to see it for yourself, how to think of it. `cargo lab explain CODE` shows one of them in the\n\
        terminal.\n"
        .to_owned();
    for entry in catalogue() {
        let _ = write!(
            page,
            "\n## {}\n\n**{}**\n\n{}\n\nUsual cause: {}.\n",
            entry.code,
            entry.required,
            entry.page.trim(),
            entry.likely
        );
    }
    page
}
