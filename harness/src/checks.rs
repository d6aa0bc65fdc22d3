//! The checks, a table a lab.

use crate::check::Check;
use crate::peer::{log, ring, shop, table};

mod bounded_buffer;
mod common;
mod naps;
mod race_condition;
mod raw_segment;
mod schedules;
mod unbounded_buffer;

/// The checks of the lab with this id, in the order of its steps and of causes.
pub fn table(lab: &str) -> &'static [Check] {
    match lab {
        "raw-segment" => raw_segment::CHECKS,
        "unbounded-buffer" => unbounded_buffer::CHECKS,
        "bounded-buffer" => bounded_buffer::CHECKS,
        "race-condition" => race_condition::CHECKS,
        _ => &[],
    }
}

/// The words of the lab's segment, by offset.
pub fn words(lab: &str) -> &'static [(u64, &'static str)] {
    match lab {
        "raw-segment" => table::WORDS,
        "unbounded-buffer" => log::WORDS,
        "bounded-buffer" => ring::WORDS,
        "race-condition" => shop::WORDS,
        _ => &[],
    }
}

/// Whether some check of the lab reads the program's memory orderings, which takes the compiler two
/// more runs.
pub fn read_orderings(lab: &str) -> bool {
    lab != "bounded-buffer"
}
