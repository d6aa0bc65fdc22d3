//! The reference solutions get full marks, the bonus included, and leave nothing behind.

use crate::lab::{LABS, lab};

#[test]
fn every_solution_gets_full_marks() {
    let finished = lab(&["check", "--solution", "--json"]);
    assert_eq!(finished.code, 0, "{}{}", finished.out, finished.err);
    let records = finished.records();
    assert_eq!(records.len(), LABS.len());
    for (record, id) in records.iter().zip(LABS) {
        assert_eq!(record["lab"], id);
        assert_eq!(record["points"], 100, "{record:#}");
        assert_eq!(record["bonus"], record["max_bonus"], "{record:#}");
    }
}

#[test]
fn every_solution_runs_side_by_side() {
    for id in LABS {
        let finished = lab(&["run", id, "--solution"]);
        assert_eq!(finished.code, 0, "{id}: {}{}", finished.out, finished.err);
        let wanted = if id == "race-condition" {
            "from 0 to 1: an update is lost"
        } else {
            "92 bytes in, 92 bytes out: what came out is what went in"
        };
        assert!(finished.out.contains(wanted), "{id}: {}", finished.out);
    }
}
