//! Who handed a submission in: what its file's name tells, and what a roster adds to it.

use serde::{Deserialize, Serialize};

/// A student, as far as known. Every text is somebody else's: not safe in a terminal or a CSV cell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Student {
    /// The submission's id, by which a roster's line finds its sheet.
    pub submission: String,
    /// The name.
    pub name: Option<String>,
    /// The number that the platform knows the student by (Canvas: `ID`).
    pub id: Option<String>,
    /// The number that the university knows the student by (Canvas: `SIS User ID`, Moodle:
    /// `idnumber`).
    pub sis_id: Option<String>,
    /// The user's name (Canvas: `SIS Login ID`, Moodle: `username`).
    pub login: Option<String>,
    /// The address.
    pub email: Option<String>,
    /// The group (Canvas: `Section`).
    pub section: Option<String>,
}
