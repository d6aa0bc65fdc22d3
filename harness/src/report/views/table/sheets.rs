//! The tables with commas. Every cell that somebody else filled goes through `safe::cell`, because a
//! spreadsheet runs what looks like a formula.

use csv::{Terminator, WriterBuilder};

use super::{Column, Row};
use crate::report::views::{cases, safe};

/// Canvas takes the file by its first line: `Student` first, `ID` second, `Section` before the first
/// assignment. It finds the student by `ID`, else by the two numbers after it.
pub(super) fn canvas(rows: &[Row], columns: &[Column]) -> String {
    let known = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"];
    let mut header: Vec<String> = known.map(str::to_owned).to_vec();
    header.extend(columns.iter().map(|column| match &column.assignment {
        Some(number) => safe::cell(&format!("{} ({number})", column.title)),
        None => safe::cell(&column.title),
    }));
    let mut possible: Vec<String> = ["Points Possible", "", "", "", ""].map(str::to_owned).to_vec();
    possible.extend(columns.iter().map(|column| column.max_points.to_string()));
    let mut lines = vec![header, possible];
    for row in rows {
        let student = &row.student;
        let mut line = vec![
            safe::cell(row.name()),
            optional(&student.id),
            optional(&student.sis_id),
            optional(&student.login),
            optional(&student.section),
        ];
        line.extend(columns.iter().map(|column| points(row.points(&column.lab))));
        lines.push(line);
    }
    written(lines)
}

/// Moodle gives up on the whole file at the first user it does not know, so a row stands here only
/// for who has something to be known by.
pub(super) fn moodle(rows: &[Row], columns: &[Column]) -> String {
    let mut header: Vec<String> = ["username", "email", "idnumber"].map(str::to_owned).to_vec();
    for column in columns {
        header.push(safe::cell(&column.lab));
        header.push(safe::cell(&format!("{}_feedback", column.lab)));
    }
    let mut lines = vec![header];
    for row in rows {
        let student = &row.student;
        if student.login.is_none() && student.email.is_none() && student.sis_id.is_none() {
            continue;
        }
        let mut line =
            vec![optional(&student.login), optional(&student.email), optional(&student.sis_id)];
        for column in columns {
            line.push(points(row.points(&column.lab)));
            line.push(safe::cell(&row.feedback(&column.lab)));
        }
        lines.push(line);
    }
    written(lines)
}

/// Everything, in an order to be read by a person.
pub(super) fn everything(rows: &[Row], columns: &[Column]) -> String {
    let known = ["submission", "name", "login", "email", "id", "sis_id", "section", "outcome"];
    let mut header: Vec<String> = known.map(str::to_owned).to_vec();
    for column in columns {
        header.push(safe::cell(&column.lab));
        header.push(safe::cell(&format!("{}_bonus", column.lab)));
    }
    let sums = ["points", "max_points", "bonus", "total", "confinement", "message"];
    header.extend(sums.map(str::to_owned));
    let mut lines = vec![header];
    for row in rows {
        let student = &row.student;
        let sheet = row.sheet.as_ref();
        let mut line = vec![
            safe::cell(&student.submission),
            optional(&student.name),
            optional(&student.login),
            optional(&student.email),
            optional(&student.id),
            optional(&student.sis_id),
            optional(&student.section),
            sheet.map_or("missing", |sheet| super::word(sheet.outcome)).to_owned(),
        ];
        for column in columns {
            let all = row.points(&column.lab);
            let bonus = row.lab(&column.lab).map_or(0, |record| record.bonus);
            line.push(points(all.map(|all| all - bonus)));
            line.push(points(all.map(|_| bonus)));
        }
        let counted = row.counted();
        line.push(points(counted.map(|sheet| sheet.points)));
        line.push(points(counted.map(|sheet| sheet.max_points)));
        line.push(points(counted.map(|sheet| sheet.bonus)));
        line.push(points(counted.map(|sheet| sheet.points + sheet.bonus)));
        line.push(sheet.map_or("", |sheet| cases::tier(sheet.isolation.tier)).to_owned());
        line.push(safe::cell(&sheet.map(super::message).unwrap_or_default()));
        lines.push(line);
    }
    written(lines)
}

fn optional(text: &Option<String>) -> String {
    safe::cell(text.as_deref().unwrap_or(""))
}

fn points(points: Option<u32>) -> String {
    points.map_or(String::new(), |points| points.to_string())
}

fn written(lines: Vec<Vec<String>>) -> String {
    let mut writer =
        WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(Vec::new());
    for line in lines {
        writer.write_record(line).expect("every line has the cells of the header");
    }
    let bytes = writer.into_inner().expect("a vector takes everything");
    String::from_utf8(bytes).expect("texts are written as they are")
}
