//! The class for a program: one object a row, points where there are any.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Column, Row};
use crate::record::{ResultKind, Tier};
use crate::report::views;
use crate::roster::Student;

/// The name and version of this format.
const SCHEMA: &str = "ipc-labs/class/1";

#[derive(Serialize)]
struct Class<'a> {
    schema: &'static str,
    labs: Vec<Lab<'a>>,
    rows: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Lab<'a> {
    lab: &'a str,
    title: &'a str,
    max_points: u32,
}

#[derive(Serialize)]
struct Line<'a> {
    student: &'a Student,
    /// Null where nothing was handed in.
    outcome: Option<ResultKind>,
    /// Null where the grader failed, like all points.
    points: Option<u32>,
    max_points: Option<u32>,
    bonus: Option<u32>,
    /// Points with their bonus by the labs' ids.
    labs: BTreeMap<&'a str, Option<u32>>,
    confinement: Option<Tier>,
    message: String,
}

pub(super) fn json(rows: &[Row], columns: &[Column]) -> String {
    let labs = columns.iter().map(|column| Lab {
        lab: &column.lab,
        title: &column.title,
        max_points: column.max_points,
    });
    let lines = rows.iter().map(|row| {
        let sheet = row.sheet.as_ref();
        let counted = row.counted();
        Line {
            student: &row.student,
            outcome: sheet.map(|sheet| sheet.outcome),
            points: counted.map(|sheet| sheet.points),
            max_points: counted.map(|sheet| sheet.max_points),
            bonus: counted.map(|sheet| sheet.bonus),
            labs: columns.iter().map(|c| (c.lab.as_str(), row.points(&c.lab))).collect(),
            confinement: sheet.map(|sheet| sheet.isolation.tier),
            message: sheet.map(super::message).unwrap_or_default(),
        }
    });
    views::pretty(&Class { schema: SCHEMA, labs: labs.collect(), rows: lines.collect() })
}
