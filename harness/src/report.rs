//! Tells a record. Views are pure functions of it and run nothing.

pub mod field_guide;
pub mod style;
pub mod text;
pub mod views;
