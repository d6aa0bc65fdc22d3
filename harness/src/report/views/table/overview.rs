//! The page for the instructor: how many got how far, how the points lie, which steps are missed most
//! and by which cause, which is what to teach next; then every submission.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::{Column, Row};
use crate::record::{DiagnosisRecord, ResultKind, Status};
use crate::report::views::{page, safe};

/// How many causes are told; the rest are too rare to teach from.
const CAUSES: usize = 15;

pub(super) fn page(rows: &[Row], columns: &[Column]) -> String {
    let mut body = "<h1>Results</h1>\n".to_owned();
    outcomes(&mut body, rows);
    distribution(&mut body, rows);
    steps(&mut body, rows, columns);
    causes(&mut body, rows);
    submissions(&mut body, rows, columns);
    page::page("Results", &body)
}

fn outcomes(body: &mut String, rows: &[Row]) {
    let _ = writeln!(body, "<p class=\"points\">{} submissions</p>\n<dl>", rows.len());
    let count = |outcome| {
        let is = |row: &&Row| row.sheet.as_ref().map(|sheet| sheet.outcome) == outcome;
        rows.iter().filter(is).count()
    };
    let all = [
        ("graded", Some(ResultKind::Graded)),
        ("build failed", Some(ResultKind::BuildFailed)),
        ("not a submission", Some(ResultKind::InvalidSubmission)),
        ("the grader failed", Some(ResultKind::Broken)),
        ("nothing handed in", None),
    ];
    for (label, outcome) in all {
        let _ = writeln!(body, "<dt>{label}</dt><dd>{}</dd>", count(outcome));
    }
    body.push_str("</dl>\n");
}

/// Tenths of the points there are, without the bonus; all of them has a line of its own.
fn distribution(body: &mut String, rows: &[Row]) {
    let mut tenths = [0_usize; 11];
    for sheet in rows.iter().filter_map(Row::counted).filter(|sheet| sheet.max_points > 0) {
        let tenth = sheet.points.min(sheet.max_points) * 10 / sheet.max_points;
        tenths[tenth as usize] += 1;
    }
    let most = tenths.iter().copied().max().unwrap_or(0).max(1);
    body.push_str("<h2>Points</h2>\n<table>\n");
    body.push_str(
        "<tr><th>share</th><th class=\"number\">submissions</th><th class=\"chart\"></th></tr>\n",
    );
    for (tenth, count) in tenths.iter().enumerate().rev() {
        let share = match tenth {
            10 => "all".to_owned(),
            _ => format!("{} to {} %", tenth * 10, tenth * 10 + 9),
        };
        let width = count * 100 / most;
        let bar = if *count == 0 {
            String::new()
        } else {
            format!("<span class=\"bar\" style=\"width:{width}%\"></span>")
        };
        let _ = writeln!(
            body,
            "<tr><td>{share}</td><td class=\"number\">{count}</td><td>{bar}</td></tr>"
        );
    }
    body.push_str("</table>\n");
}

/// What became of one step in a class.
#[derive(Default)]
struct Missed {
    failed: usize,
    not_started: usize,
    skipped: usize,
    judged: usize,
}

impl Missed {
    fn all(&self) -> usize {
        self.failed + self.not_started + self.skipped
    }
}

fn steps(body: &mut String, rows: &[Row], columns: &[Column]) {
    // The labs in the order of the columns, the steps in that of the lab.
    let mut found: Vec<(&str, &str, &str, Missed)> = Vec::new();
    for column in columns {
        for record in rows.iter().filter_map(|row| row.lab(&column.lab)) {
            for step in &record.steps {
                let known = found.iter().position(|f| f.0 == record.lab && f.1 == step.id);
                let at = known.unwrap_or_else(|| {
                    found.push((&record.lab, &step.id, &step.title, Missed::default()));
                    found.len() - 1
                });
                let missed = &mut found[at].3;
                match step.status {
                    Status::Passed => {}
                    Status::Failed => missed.failed += 1,
                    Status::NotStarted => missed.not_started += 1,
                    Status::Skipped => missed.skipped += 1,
                    Status::NotChecked | Status::Broken => continue,
                }
                missed.judged += 1;
            }
        }
    }
    found.retain(|(.., missed)| missed.all() > 0);
    found.sort_by_key(|(.., missed)| std::cmp::Reverse(missed.all()));
    body.push_str("<h2>Steps that are missed</h2>\n");
    if found.is_empty() {
        body.push_str("<p>None.</p>\n");
        return;
    }
    body.push_str(
        "<div class=\"wide\"><table>\n<tr><th>lab</th><th>step</th>\
         <th class=\"number\">missed</th><th class=\"number\">failed</th>\
         <th class=\"number\">to do</th><th class=\"number\">skipped</th></tr>\n",
    );
    for (lab, id, title, missed) in found {
        let _ = writeln!(
            body,
            "<tr><td>{}</td><td><b>{}</b> {}</td><td class=\"number\">{} of {}</td>\
             <td class=\"number\">{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td></tr>",
            safe::html(lab),
            safe::html(id),
            safe::html(title),
            missed.all(),
            missed.judged,
            missed.failed,
            missed.not_started,
            missed.skipped
        );
    }
    body.push_str("</table></div>\n");
}

fn causes(body: &mut String, rows: &[Row]) {
    // A submission counts once for a cause, however many of its steps have it.
    let mut found: BTreeMap<&str, (&DiagnosisRecord, BTreeSet<usize>)> = BTreeMap::new();
    for (number, row) in rows.iter().enumerate() {
        let steps = row.sheet.iter().flat_map(|sheet| &sheet.labs).flat_map(|lab| &lab.steps);
        let checks = steps.flat_map(|step| &step.checks);
        for diagnosis in checks.filter_map(|check| check.diagnosis.as_ref()) {
            found
                .entry(&diagnosis.code)
                .or_insert_with(|| (diagnosis, BTreeSet::new()))
                .1
                .insert(number);
        }
    }
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by_key(|(_, numbers)| std::cmp::Reverse(numbers.len()));
    body.push_str("<h2>Causes: what to teach next</h2>\n");
    if found.is_empty() {
        body.push_str("<p>None.</p>\n");
        return;
    }
    body.push_str(
        "<div class=\"wide\"><table>\n<tr><th class=\"number\">submissions</th><th>cause</th>\
         <th>required</th><th>likely</th></tr>\n",
    );
    for (diagnosis, numbers) in found.into_iter().take(CAUSES) {
        let _ = writeln!(
            body,
            "<tr><td class=\"number\">{}</td><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
            numbers.len(),
            safe::html(&diagnosis.code),
            safe::html(&diagnosis.required),
            safe::html(&diagnosis.likely)
        );
    }
    body.push_str("</table></div>\n");
}

fn submissions(body: &mut String, rows: &[Row], columns: &[Column]) {
    body.push_str("<h2>Submissions</h2>\n<div class=\"wide\"><table>\n<tr><th>who</th>");
    body.push_str("<th>outcome</th>");
    for column in columns {
        let _ = write!(body, "<th class=\"number\">{}</th>", safe::html(&safe::line(&column.lab)));
    }
    body.push_str("<th class=\"number\">points</th><th>message</th></tr>\n");
    for row in rows {
        let outcome = row.sheet.as_ref().map(|sheet| sheet.outcome);
        let _ = write!(
            body,
            "<tr><td>{}</td><td class=\"word\">{}</td>",
            safe::html(&safe::line(row.name())),
            outcome.map_or("nothing handed in", super::word)
        );
        for column in columns {
            let points = row.points(&column.lab).map_or(String::new(), |p| p.to_string());
            let _ = write!(body, "<td class=\"number\">{points}</td>");
        }
        let total = row.counted().map(|sheet| format!("{}/{}", sheet.points, sheet.max_points));
        let message = row.sheet.as_ref().map(super::message).unwrap_or_default();
        let _ = writeln!(
            body,
            "<td class=\"number\">{}</td><td>{}</td></tr>",
            total.unwrap_or_default(),
            safe::html(&safe::line(&message))
        );
    }
    body.push_str("</table></div>\n");
}
