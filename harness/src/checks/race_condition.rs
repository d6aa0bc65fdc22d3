//! The checks of the lab race-condition.

use crate::check::Check;

/// The table, in the order of the steps and of causes.
pub(super) const CHECKS: &[Check] = &[];
