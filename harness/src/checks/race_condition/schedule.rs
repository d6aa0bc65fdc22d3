//! The schedules that the student has written, followed by the student's own workers.

use std::path::Path;

use interleave::Schedule;
use serde::Deserialize;

use crate::checks::schedules::replay;
use crate::diagnosis::fail;
use crate::scene::Scene;
use crate::verdict::{Outcome, Stop};

/// The student's file.
const FILE: &str = "schedules.toml";

/// What stands in it. Empty is not written yet.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Schedules {
    lost_update: String,
    torn_record: String,
}

pub(super) fn are_schedules(scene: &mut Scene) -> Outcome {
    read(scene).map(drop)
}

pub(super) fn loses_an_update(scene: &mut Scene) -> Outcome {
    let schedule = read(scene)?.lost_update;
    shows(scene, "racy", &schedule, "update-lost", "an addition is lost")
}

pub(super) fn tears_the_record(scene: &mut Scene) -> Outcome {
    let schedule = read(scene)?.torn_record;
    shows(scene, "torn", &schedule, "record-torn", "B reads one word new and one old")
}

/// Follows the schedule, and requires that it shows this fault.
fn shows(scene: &mut Scene, piece: &str, schedule: &str, fault: &str, wanted: &str) -> Outcome {
    let explored = replay(scene, super::LAB, piece, schedule)?;
    if explored.code.as_deref() == Some(fault) {
        scene.remark(format!("`{schedule}`: {}", explored.told));
        return Ok(());
    }
    let seen = match &explored.fault {
        None => "nothing goes wrong".to_owned(),
        Some(_) => explored.told.clone(),
    };
    Err(fail("schedule-shows-nothing")
        .expected(format!("under `{schedule}` {wanted}"))
        .seen(seen)
        .with_trace(explored.timeline, None)
        .into())
}

/// The two strings, each of them a schedule.
fn read(scene: &Scene) -> Outcome<Schedules> {
    let files = &scene.bench().files;
    let Some(bytes) = files.get(Path::new(FILE)) else {
        return Err(Stop::NotChecked(format!("{FILE} comes with the source only")));
    };
    let wrong = |seen: String| {
        fail("no-schedule")
            .expected(format!("two schedules in {FILE}, as `lost-update` and `torn-record`"))
            .seen(seen)
    };
    let schedules: Schedules = toml::from_str(&String::from_utf8_lossy(bytes))
        .map_err(|error| wrong(error.message().to_owned()))?;
    for (key, text) in
        [("lost-update", &schedules.lost_update), ("torn-record", &schedules.torn_record)]
    {
        if text.trim().is_empty() {
            return Err(Stop::NotStarted(format!("step schedule: write `{key}` in {FILE}")));
        }
        text.parse::<Schedule>()
            .map_err(|error| wrong(format!("{key} is `{}`: {error}", text.escape_debug())))?;
        if text.contains('x') {
            return Err(wrong(format!("{key} is `{text}`, in which somebody is killed")).into());
        }
    }
    Ok(schedules)
}
