//! Makes one row of what a library function does, if nobody came in between: `sem_wait(empty)`
//! instead of its loads and exchanges.

use super::{Names, Row};
use crate::event::{Action, Run};

/// Hides the rows of whole calls, except the last of each, which tells the call.
pub(super) fn fold(rows: &mut [Row], run: &Run, names: &Names) {
    let mut at = 0;
    while at < rows.len() {
        let call = Call::from(rows, run, at);
        at = call.last() + 1;
        if call.rows.len() > 1 && call.is_whole(rows, run) {
            call.tell(rows, run, names);
        }
    }
}

/// The rows of one call, as far as they follow each other.
struct Call {
    rows: Vec<usize>,
}

impl Call {
    /// The call that the row `first` begins.
    fn from(rows: &[Row], run: &Run, first: usize) -> Call {
        let mut call = Call { rows: vec![first] };
        let begin = &run.events[first].site.place;
        for at in first + 1..rows.len() {
            if is_of_another_time(rows, run, at, first) {
                continue;
            }
            // Where it began, the next call begins.
            let again = run.events[at].site.place == *begin;
            if rows[first].call.is_empty() || again || !is_same_call(&rows[first], &rows[at]) {
                break;
            }
            call.rows.push(at);
        }
        call
    }

    fn last(&self) -> usize {
        self.rows[self.rows.len() - 1]
    }

    /// Whether it neither goes on from an earlier part nor in a later one. A sleep may divide it:
    /// both parts tell of themselves.
    fn is_whole(&self, rows: &[Row], run: &Run) -> bool {
        let first = self.rows[0];
        let of_it = |at: &usize| rows[*at].process == rows[first].process;
        let begins_anew = (0..first).rev().find(of_it).is_none_or(|before| {
            before + 1 == first
                || !is_same_call(&rows[before], &rows[first])
                || matches!(run.events[before].action, Action::Sleep { .. })
        });
        let last = self.last();
        let ends = (last + 1..rows.len()).find(of_it).is_none_or(|after| {
            after == last + 1
                || !is_same_call(&rows[after], &rows[first])
                || matches!(run.events[last].action, Action::Sleep { .. })
        });
        begins_anew && ends
    }

    fn tell(&self, rows: &mut [Row], run: &Run, names: &Names) {
        let told = &rows[self.rows[0]];
        let object = run.events[self.rows[0]].span.map_or(String::new(), |(at, _)| names.whole(at));
        let mut text = format!("{}({object})", told.call);
        let mut note = String::new();
        for &at in &self.rows {
            match run.events[at].action {
                Action::Sleep { .. } => text += ": goes to sleep",
                Action::Wake { woken } if woken > 0 => text += &format!(": wakes {woken}"),
                _ => {}
            }
            note = if rows[at].note.is_empty() { note } else { rows[at].note.clone() };
            rows[at].hidden = true;
        }
        let row = &mut rows[self.last()];
        (row.text, row.note, row.hidden) = (text, note, false);
        row.call.clear();
    }
}

fn is_same_call(one: &Row, other: &Row) -> bool {
    (one.process, &one.call, &one.file, one.line)
        == (other.process, &other.call, &other.file, other.line)
}

/// Whether the row only tells that an earlier store of the same process is seen now, or nothing that
/// is shown.
fn is_of_another_time(rows: &[Row], run: &Run, at: usize, first: usize) -> bool {
    let own = rows[at].process == rows[first].process;
    own && (rows[at].hidden || matches!(run.events[at].action, Action::Drain { .. }))
}
