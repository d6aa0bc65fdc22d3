//! How long a program waits for a creator that has not finished, or not begun.

use std::env;
use std::time::Duration;

/// `LAB_PATIENCE_MS` milliseconds, or 5000 when it is not set to a number.
pub fn patience() -> Duration {
    let text = env::var("LAB_PATIENCE_MS").ok();
    Duration::from_millis(text.and_then(|text| text.parse().ok()).unwrap_or(5000))
}
