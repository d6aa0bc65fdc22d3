//! A run told: a column for each process, time going down; the lines of the source, the names of
//! the fields, and what was fatal about it.

use std::fmt;

use crate::Exit;
use crate::schedule::letter;

/// A named piece of the segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name: `slots[2].len`.
    pub name: String,
    /// Where it begins in the segment.
    pub offset: usize,
    /// How many bytes it has.
    pub size: usize,
    /// Its type.
    pub kind: String,
}

/// What a run is told with.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// The fields of the segment.
    pub fields: Vec<Field>,
    /// How many processes there are.
    pub processes: usize,
}

/// A run told row by row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// How many columns there are.
    pub processes: usize,
    /// What happened, in order: one row for each event of the run.
    pub rows: Vec<Row>,
    /// What is to be said of the run as a whole.
    pub remarks: Vec<String>,
}

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The number of the decision.
    pub step: usize,
    /// Whose column.
    pub process: usize,
    /// What it did.
    pub text: String,
    /// The file, without folders, and the line of the program's own source; the line is 0 where
    /// none is known.
    pub file: String,
    /// The line.
    pub line: u32,
    /// The library function that the program had called.
    pub call: String,
    /// What is special about it.
    pub note: String,
    /// Of no interest to a reader: what the program's runtime does on its own, and the steps of a
    /// library function that the last of its rows tells as a whole.
    pub hidden: bool,
}

impl Names {
    /// `head`, `data[2]+4` or `+512`: what lies at an offset.
    pub fn field(&self, offset: usize, size: usize) -> String {
        let holds = |field: &&Field| (field.offset..field.offset + field.size).contains(&offset);
        match self.fields.iter().find(holds) {
            Some(field) if field.offset == offset && (size <= field.size || field.size <= 8) => {
                field.name.clone()
            }
            Some(field) => format!("{}+{}", field.name, offset - field.offset),
            None => format!("+{offset}"),
        }
    }

    /// As [`Names::field`], if there is anything to name.
    pub fn span(&self, span: Option<(usize, usize)>) -> String {
        span.map_or_else(|| "something of its own".to_owned(), |(at, len)| self.field(at, len))
    }

    /// The name of the whole that an offset is a part of: `mutex` for every byte of a semaphore.
    fn whole(&self, offset: usize) -> String {
        let name = self.field(offset, 1);
        match name.rsplit_once('+') {
            Some((whole, _)) if !whole.is_empty() => whole.to_owned(),
            _ => name,
        }
    }
}

impl Row {
    /// What it did and where: `reads counter = 0  [counter.rs:15]`.
    pub fn told(&self) -> String {
        let place = match (self.call.as_str(), self.line) {
            ("", 0) => return self.text.clone(),
            (call, 0) => call.to_owned(),
            ("", line) => format!("{}:{line}", self.file),
            (call, line) => format!("{call}, {}:{line}", self.file),
        };
        format!("{}  [{place}]", self.text)
    }
}

/// The widest a column gets.
const WIDEST: usize = 60;

/// What is repeated more often is counted and not shown.
const SHOWN_REPEATS: usize = 3;

/// The longest loop whose rounds are counted.
const LONGEST_LOOP: usize = 6;

/// How many rows at the beginning repeat, and how often they are there: `(1, 1)` if they do not repeat
/// more often than is shown.
fn repetition(rows: &[&Row]) -> (usize, usize) {
    let same = |one: &Row, other: &Row| {
        (one.process, &one.text, &one.note, one.line)
            == (other.process, &other.text, &other.note, other.line)
    };
    for period in 1..=LONGEST_LOOP.min(rows.len()) {
        let repeats = (period..rows.len()).take_while(|&at| same(rows[at], rows[at - period]));
        let times = 1 + repeats.count() / period;
        if times > SHOWN_REPEATS {
            return (period, times);
        }
    }
    (1, 1)
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<&Row> = self.rows.iter().filter(|row| !row.hidden).collect();
        let width = |process| {
            let cells = shown.iter().filter(|row| row.process == process);
            let widest = cells.map(|row| row.told().chars().count()).max().unwrap_or(0);
            widest.clamp(12, WIDEST)
        };
        let widths: Vec<usize> = (0..self.processes).map(width).collect();
        let line = |f: &mut fmt::Formatter<'_>, step: &str, at: usize, text: &str, note: &str| {
            let mut line = format!("{step:>4} ");
            for (column, width) in widths.iter().enumerate() {
                let cell = if column == at { text } else { "" };
                line += &format!("| {cell:<width$} ");
            }
            if !note.is_empty() {
                line += &format!("<-- {note}");
            }
            writeln!(f, "{}", line.trim_end())
        };
        let mut heading = "step ".to_owned();
        for (column, width) in widths.iter().enumerate() {
            heading += &format!("| {:<width$} ", letter(column));
        }
        writeln!(f, "{}", heading.trim_end())?;
        let mut before = None;
        let mut at = 0;
        while at < shown.len() {
            let (period, times) = repetition(&shown[at..]);
            let told = period * if times > SHOWN_REPEATS { SHOWN_REPEATS } else { times };
            for row in &shown[at..at + told] {
                if before.is_some_and(|before| before != row.process) {
                    line(f, "", usize::MAX, "", "")?;
                }
                line(f, &row.step.to_string(), row.process, &row.told(), &row.note)?;
                before = Some(row.process);
            }
            if times > SHOWN_REPEATS {
                let more = format!("… {} times more", times - SHOWN_REPEATS);
                line(f, "", shown[at].process, &more, "")?;
            }
            at += period * times;
        }
        for remark in &self.remarks {
            writeln!(f, "{remark}")?;
        }
        Ok(())
    }
}

impl Timeline {
    /// The timeline as JSON, for a page that shows it: `{"processes": 2, "rows": [{"step": 0,
    /// "process": 0, "text": "…", "file": "…", "line": 4, "call": "", "note": "", "hidden":
    /// false}, …], "remarks": ["…"]}`.
    pub fn to_json(&self) -> String {
        let rows: Vec<String> = self
            .rows
            .iter()
            .map(|row| {
                format!(
                    "{{\"step\":{},\"process\":{},\"text\":{},\"file\":{},\"line\":{},\"call\":{},\"note\":{},\"hidden\":{}}}",
                    row.step,
                    row.process,
                    quoted(&row.text),
                    quoted(&row.file),
                    row.line,
                    quoted(&row.call),
                    quoted(&row.note),
                    row.hidden
                )
            })
            .collect();
        let remarks: Vec<String> = self.remarks.iter().map(|remark| quoted(remark)).collect();
        format!(
            "{{\"processes\":{},\"rows\":[{}],\"remarks\":[{}]}}",
            self.processes,
            rows.join(","),
            remarks.join(",")
        )
    }
}

/// A string of JSON. What could end a script in a page is escaped too.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            '\n' => quoted += "\\n",
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\x1f' => {
                quoted += &format!("\\u{:04x}", u32::from(character));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// How a process ended, as a row.
fn ended(exit: Exit) -> String {
    match exit {
        Exit::Code(0) => "ends".to_owned(),
        Exit::Code(code) => format!("ends with exit code {code}"),
        Exit::Signal(signal) => format!("dies of signal {signal}"),
        Exit::Endless => "computes without end".to_owned(),
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod folded;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod told;

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let field = |name: &str, offset, size| Field {
            name: name.to_owned(),
            offset,
            size,
            kind: String::new(),
        };
        let fields = vec![field("magic", 0, 8), field("mutex", 8, 32), field("slots[0]", 40, 8)];
        Names { fields, processes: 2 }
    }

    #[test]
    fn an_offset_is_named_by_its_field() {
        assert_eq!(names().field(0, 8), "magic");
        assert_eq!(names().field(12, 4), "mutex+4");
        assert_eq!(names().field(100, 8), "+100");
        assert_eq!(names().whole(12), "mutex");
        assert_eq!(names().whole(100), "+100");
    }

    #[test]
    fn each_process_has_a_column_and_repetition_is_counted() {
        let row = |step, process, text: &str| Row {
            step,
            process,
            text: text.to_owned(),
            file: "a.rs".to_owned(),
            line: 7,
            ..Row::default()
        };
        let mut rows = vec![row(0, 0, "reads x = 0"), row(1, 1, "writes x: 0 -> 1")];
        rows.extend((2..9).map(|step| row(step, 0, "reads x = 1")));
        rows[1].note = "look".to_owned();
        let round = |step| [row(step, 1, "reads y = 0"), row(step + 1, 1, "gives way")];
        rows.extend((10..50).step_by(2).flat_map(round));
        let timeline = Timeline { processes: 2, rows, remarks: vec!["so.".to_owned()] };
        let text = timeline.to_string();
        assert!(text.contains("… 4 times more"), "{text}");
        assert!(text.contains("… 17 times more") && text.lines().count() < 20, "{text}");
        assert!(text.contains("<-- look") && text.ends_with("so.\n"), "{text}");
    }

    #[test]
    fn json_is_safe_in_a_page() {
        let remarks = vec!["</script>\"\\\n\u{1}".to_owned()];
        let timeline = Timeline { processes: 1, rows: Vec::new(), remarks };
        let expected = r#"{"processes":1,"rows":[],"remarks":["\u003c/script\u003e\"\\\n\u0001"]}"#;
        assert_eq!(timeline.to_json(), expected);
    }
}
