//! The checks of the lab unbounded-buffer.

use crate::check::Check;

/// The table, in the order of the steps and of causes.
pub(super) const CHECKS: &[Check] = &[];
