//! A starter compiles, earns nothing, and is told as not written yet: never as a crash.

use std::fs;

use harness::course::Course;

use crate::lab::{LABS, lab, root};

#[test]
fn every_starter_is_not_started_in_every_step() {
    for id in LABS {
        let folder = root().join("harness/starters").join(id);
        let finished = lab(&["check", id, "--submission", &folder.to_string_lossy(), "--json"]);
        assert_eq!(finished.code, 1, "{id}: {}{}", finished.out, finished.err);
        let record = &finished.records()[0];
        assert_eq!(record["outcome"], "graded", "{id}: {record:#}");
        assert_eq!(record["points"], 0, "{id}");
        assert_eq!(record["bonus"], 0, "{id}");
        let steps = record["steps"].as_array().expect("a record has steps");
        assert!(!steps.is_empty(), "{id}");
        for step in steps {
            let status = &step["status"];
            assert_eq!(status, "not-started", "{id}: {}: {step:#}", step["id"]);
        }
    }
}

#[test]
fn the_starters_are_what_the_labs_hold() {
    let course = Course::read(&root()).unwrap();
    for lab in &course.labs {
        for file in &lab.student_files {
            let pristine = root().join("harness/starters").join(&lab.id).join(file);
            let handed_out = course.lab_folder(lab).join(file);
            let (one, other) = (fs::read(&pristine).unwrap(), fs::read(&handed_out).unwrap());
            assert!(one == other, "{} differs from its starter", handed_out.display());
        }
    }
}
