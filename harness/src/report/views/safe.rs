//! Makes somebody else's text safe to show, in one place. A terminal, a browser, a spreadsheet and a
//! log that understands commands each take some characters for orders, and a student chooses what
//! their program says; so every view takes its texts from here and adds only its own escapes on top.

use std::fmt::Write;

use crate::record::{
    CheckRecord, DiagnosisRecord, Isolation, Record, StepRecord, SubmissionRecord,
};
use crate::sheet::Sheet;

/// What a page or a result may hold in bytes. Gradescope and PrairieLearn take 1 MB, Autolab's
/// workers keep 1000 KB, a step's summary may have 1 MiB; this is below all of them.
pub(super) const LIMIT: usize = 900_000;

/// How long one text may be, tried from the front until all of them together fit. The first holds
/// every honest report whole; the last still tells the beginning and the end.
const CAPS: [usize; 5] = [32_768, 8_192, 2_048, 512, 128];

/// What stands on one line in bytes: a name, a place, a title.
const LINE: usize = 300;

/// What stands in one cell of a table in bytes.
const CELL: usize = 2_000;

/// Renders the sheet, its texts made safe and as long as the limit allows.
pub(super) fn fitting(sheet: &Sheet, limit: usize, render: impl Fn(&Sheet) -> String) -> String {
    let mut rendered = String::new();
    for cap in CAPS {
        rendered = render(&self::sheet(sheet, cap));
        if rendered.len() <= limit {
            break;
        }
    }
    rendered
}

/// The sheet with every text made safe, none of them longer than the cap. What a student cannot
/// choose is treated alike, so that no field is forgotten.
pub(super) fn sheet(sheet: &Sheet, cap: usize) -> Sheet {
    Sheet {
        schema: sheet.schema.clone(),
        version: line(&sheet.version),
        grader: line(&sheet.grader),
        submission: submission(&sheet.submission),
        source: line(&sheet.source),
        outcome: sheet.outcome,
        message: sheet.message.as_deref().map(|text| told(text, cap)),
        isolation: isolation(&sheet.isolation),
        labs: sheet.labs.iter().map(|lab| record(lab, cap)).collect(),
        ..*sheet
    }
}

fn record(record: &Record, cap: usize) -> Record {
    Record {
        schema: record.schema.clone(),
        lab: line(&record.lab),
        version: line(&record.version),
        submission: submission(&record.submission),
        message: record.message.as_deref().map(|text| told(text, cap)),
        isolation: isolation(&record.isolation),
        steps: record.steps.iter().map(|one| step(one, cap)).collect(),
        ..*record
    }
}

fn submission(submission: &SubmissionRecord) -> SubmissionRecord {
    SubmissionRecord { id: line(&submission.id), sha256: line(&submission.sha256) }
}

fn isolation(isolation: &Isolation) -> Isolation {
    let lines = |texts: &[String]| texts.iter().map(|text| line(text)).collect();
    Isolation {
        tier: isolation.tier,
        features: lines(&isolation.features),
        missing: lines(&isolation.missing),
    }
}

fn step(step: &StepRecord, cap: usize) -> StepRecord {
    StepRecord {
        id: line(&step.id),
        title: line(&step.title),
        docs: line(&step.docs),
        checks: step.checks.iter().map(|one| check(one, cap)).collect(),
        ..*step
    }
}

fn check(check: &CheckRecord, cap: usize) -> CheckRecord {
    CheckRecord {
        id: line(&check.id),
        title: line(&check.title),
        diagnosis: check.diagnosis.as_ref().map(|one| diagnosis(one, cap)),
        why: check.why.as_deref().map(|text| told(text, cap)),
        remarks: check.remarks.iter().map(|text| told(text, cap)).collect(),
        ..*check
    }
}

fn diagnosis(diagnosis: &DiagnosisRecord, cap: usize) -> DiagnosisRecord {
    DiagnosisRecord {
        code: line(&diagnosis.code),
        required: told(&diagnosis.required, cap),
        expected: told(&diagnosis.expected, cap),
        seen: told(&diagnosis.seen, cap),
        place: diagnosis.place.as_deref().map(line),
        trace: diagnosis.trace.as_deref().map(|text| told(text, cap)),
        replay: diagnosis.replay.as_deref().map(line),
        likely: told(&diagnosis.likely, cap),
        docs: line(&diagnosis.docs),
    }
}

/// A text that stands on one line: nothing invisible, no line end, not long.
pub(super) fn line(text: &str) -> String {
    told(text, LINE).replace(['\n', '\t'], " ")
}

/// The text with everything invisible made visible, its head and its tail kept where it is longer
/// than the cap, with a line between that says how much is left out. Works from both ends, so that
/// a text of many megabytes costs no more than what is kept of it.
pub(super) fn told(text: &str, cap: usize) -> String {
    let (whole, read) = head(text, cap);
    if read == text.len() {
        return whole;
    }
    // The first lines usually name the fault; the end says how it went out.
    let (mut out, read) = head(text, cap / 3 * 2);
    let (tail, kept) = tail(&text[read..], cap / 3);
    let left = text.len() - read - kept;
    let _ = write!(out, "\n[… {left} bytes are left out here …]\n{tail}");
    out
}

/// As much of the beginning as fits into `room` bytes, made visible, and how many bytes of the text
/// that is.
fn head(text: &str, room: usize) -> (String, usize) {
    let mut out = String::new();
    for (at, character) in text.char_indices() {
        let before = out.len();
        push_visible(&mut out, character);
        if out.len() > room {
            out.truncate(before);
            return (out, at);
        }
    }
    (out, text.len())
}

/// As `head`, from the end.
fn tail(text: &str, room: usize) -> (String, usize) {
    let mut from = text.len();
    let mut size = 0;
    let mut shown = String::new();
    for (at, character) in text.char_indices().rev() {
        shown.clear();
        push_visible(&mut shown, character);
        size += shown.len();
        if size > room {
            break;
        }
        from = at;
    }
    let mut out = String::new();
    text[from..].chars().for_each(|character| push_visible(&mut out, character));
    (out, text.len() - from)
}

fn push_visible(out: &mut String, character: char) {
    if character == '\n' || character == '\t' || !is_invisible(character) {
        out.push(character);
    } else {
        let _ = write!(out, "\\u{{{:x}}}", character as u32);
    }
}

/// Whether a character acts instead of being seen: control characters (a terminal obeys them, XML
/// refuses them, PostgreSQL refuses the first), marks that turn the direction of reading, spaces of
/// no width, separators of lines, tags, and what Unicode says is no character at all.
pub(super) fn is_invisible(character: char) -> bool {
    let code = character as u32;
    character.is_control()
        || matches!(
            code,
            0x061c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb
        )
        || (0xe0000..=0xe007f).contains(&code)
        || (0xfdd0..=0xfdef).contains(&code)
        || code & 0xfffe == 0xfffe
}

/// Text or an attribute's value in HTML.
pub(super) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// One line of Markdown in which nothing is markup, not even an address or a name. Marks that mean
/// something only at the beginning of a line, or only after one of these, stay as they are.
pub(super) fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in line(text).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            other => {
                if "\\`*_{}[]#.!|~:@$".contains(other) {
                    out.push('\\');
                }
                out.push(other);
            }
        }
    }
    out
}

/// Text in which a GitHub runner finds no command: it takes a line that begins with `::` after its
/// spaces for one, and `##[` wherever it stands.
pub(super) fn without_commands(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let rest = line.trim_start();
        let spaces = &line[..line.len() - rest.len()];
        let line = match rest.strip_prefix("::") {
            Some(rest) => format!("{spaces}\\u{{3a}}:{rest}"),
            None => line.to_owned(),
        };
        line.replace("##[", "##\\u{5b}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The cell of a table that a spreadsheet does not take for a formula.
pub(super) fn cell(text: &str) -> String {
    let shown = told(text, CELL).replace('\n', " ");
    let formula = text.trim_start().starts_with(['=', '+', '-', '@']);
    if formula || text.starts_with(['\t', '\r']) { format!("'{shown}") } else { shown }
}

/// JSON in which everything invisible is written as an escape: it means the same, and shows nothing
/// to a terminal. Outside its strings JSON holds none of it but line ends.
pub(super) fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character != '\n' && is_invisible(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    out
}

/// A file and a line below the student's checkout, where the text names one and nothing else.
pub(super) fn place(lab: &str, text: &str) -> Option<(String, u32)> {
    let mut parts = text.split(':');
    let (path, line) = (parts.next()?, parts.next()?);
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let inside =
        !path.starts_with('/') && path.split('/').all(|part| !part.is_empty() && part != "..");
    let column = parts.all(|part| part.parse::<u32>().is_ok());
    if !inside || !path.chars().all(plain) || !column {
        return None;
    }
    let path =
        if path.starts_with("labs/") { path.to_owned() } else { format!("labs/{lab}/{path}") };
    Some((path, line.parse().ok()?))
}
