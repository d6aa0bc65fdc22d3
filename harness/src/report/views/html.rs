//! The page for a student: what holds, what does not, and for each failure what the terminal says.

use std::fmt::Write;

use super::page::{class, page};
use super::story::{Story, word};
use super::{Context, cases, safe};
use crate::record::{Record, ResultKind, Status, StepRecord};
use crate::report::text::mark;
use crate::sheet::Sheet;

/// The page; there is one for every outcome.
pub(super) fn render(sheet: &Sheet, context: &Context) -> String {
    safe::fitting(sheet, safe::LIMIT, |sheet| {
        let mut body = String::new();
        head(&mut body, sheet);
        for lab in &sheet.labs {
            of_lab(&mut body, lab, context.title(&lab.lab));
        }
        page(&sheet.submission.id, &body)
    })
}

fn head(body: &mut String, sheet: &Sheet) {
    let _ = writeln!(body, "<h1>{}</h1>", safe::html(&sheet.submission.id));
    let _ = writeln!(body, "<p class=\"points\">{}</p>", safe::html(&cases::total(sheet)));
    if let Some(message) = &sheet.message {
        block(body, message);
    }
    let (version, sha256) = (safe::html(&sheet.version), safe::html(&sheet.submission.sha256));
    let tier = cases::tier(sheet.isolation.tier);
    let source = safe::html(&sheet.source);
    let _ = writeln!(
        body,
        "<p class=\"dim\">handed in as {source}; version {version}, confinement {tier}, \
         sha-256 {sha256}</p>"
    );
}

fn of_lab(body: &mut String, lab: &Record, title: &str) {
    let title = if title.is_empty() { &lab.lab } else { title };
    let _ = writeln!(body, "<section>\n<h2>{}</h2>", safe::html(title));
    if lab.steps.is_empty() {
        let _ = writeln!(body, "<p>{}</p>", safe::html(cases::outcome(lab.outcome)));
        block(body, lab.message.as_deref().unwrap_or(""));
    } else {
        steps(body, lab);
        for step in &lab.steps {
            of_step(body, step);
        }
    }
    body.push_str("</section>\n");
}

fn steps(body: &mut String, lab: &Record) {
    if lab.outcome == ResultKind::Broken {
        let _ = writeln!(body, "<p class=\"open\">{}</p>", cases::outcome(lab.outcome));
    }
    body.push_str("<table>\n<tr><th></th><th>step</th><th class=\"number\">points</th></tr>\n");
    for step in &lab.steps {
        let bonus = if step.bonus { " bonus" } else { "" };
        let _ = writeln!(
            body,
            "<tr><td class=\"{}\">{} {}</td><td><b>{}</b> {}</td>\
             <td class=\"number\">{}/{}{bonus}</td></tr>",
            class(step.status),
            mark(step.status),
            word(step.status),
            safe::html(&step.id),
            safe::html(&step.title),
            step.points,
            step.max_points
        );
    }
    body.push_str("</table>\n");
}

fn of_step(body: &mut String, step: &StepRecord) {
    let story = Story::of(step);
    if story.fields.is_empty() {
        return;
    }
    let (id, class) = (safe::html(&step.id), class(step.status));
    let _ = writeln!(body, "<div class=\"failure\">\n<h3 class=\"{class}\">{id}</h3>\n<dl>");
    for (label, text) in &story.fields {
        let text = safe::html(text);
        // What is typed into a terminal looks like it.
        let is_command = matches!(*label, "more" | "replay");
        let text = if is_command { format!("<code>{text}</code>") } else { text };
        let _ = writeln!(body, "<dt>{label}</dt><dd>{text}</dd>");
    }
    body.push_str("</dl>\n");
    if let Some(trace) = story.trace.filter(|_| step.status != Status::Passed) {
        block(body, trace);
    }
    body.push_str("</div>\n");
}

fn block(body: &mut String, text: &str) {
    let _ = writeln!(body, "<pre>{}</pre>", safe::html(text.trim_end()));
}
