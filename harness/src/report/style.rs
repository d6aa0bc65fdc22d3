//! The few colours of the terminal, always written; the stream takes them out where nobody sees
//! them (`NO_COLOR`, a pipe, a file).

use anstyle::{AnsiColor, Style};

/// It holds.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// It does not hold.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// It is not decided.
pub const OPEN: Style = AnsiColor::Yellow.on_default();
/// Less important.
pub const DIM: Style = Style::new().dimmed();
/// More important.
pub const STRONG: Style = Style::new().bold();
/// Something to type.
pub const COMMAND: Style = AnsiColor::Cyan.on_default();

/// The text in this style.
pub fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}
