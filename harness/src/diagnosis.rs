//! The cause of a failure, told so that the student can act on it.
//!
//! The catalogue, `diagnoses.toml`, holds what is the same every time: the requirement, the likely
//! cause, where to read. A check adds what it expected and what it saw.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// One entry of the catalogue.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The stable code, kebab-case: `never-sized`.
    #[serde(skip)]
    pub code: String,
    /// What is required, one sentence.
    pub required: String,
    /// What usually causes the failure, one sentence.
    pub likely: String,
    /// A page for `cargo lab explain`: what happened, why, how to see it, how to think of it.
    pub page: String,
    /// Where to read, a path in the repository with its anchor.
    pub docs: String,
    /// Whether a machine that stands still for a moment looks the same. Then the check is played once more
    /// before anybody is accused.
    #[serde(default)]
    pub hinges_on_time: bool,
}

static CATALOGUE: LazyLock<BTreeMap<String, Entry>> = LazyLock::new(|| {
    let mut entries: BTreeMap<String, Entry> = toml::from_str(include_str!("../diagnoses.toml"))
        .expect("the catalogue is part of this program and a test reads it");
    for (code, entry) in &mut entries {
        entry.code.clone_from(code);
    }
    entries
});

/// All entries, sorted by code.
pub fn catalogue() -> impl Iterator<Item = &'static Entry> {
    CATALOGUE.values()
}

/// The entry with this code.
pub fn entry(code: &str) -> Option<&'static Entry> {
    CATALOGUE.get(code)
}

/// One failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// The code of the catalogue's entry.
    pub code: &'static str,
    /// What should have been seen, without a full stop.
    pub expected: String,
    /// What was seen, without a full stop.
    pub seen: String,
    /// Where it happened, when known: `src/segment.rs:41`.
    pub place: Option<String>,
    /// The run in which it happened, told line by line.
    pub trace: Option<String>,
    /// The piece and the schedule that show it again.
    pub replay: Option<String>,
}

/// Begins a diagnosis. The code must be in the catalogue, which a test proves for every one used.
pub fn fail(code: &'static str) -> Diagnosis {
    Diagnosis {
        code,
        expected: String::new(),
        seen: String::new(),
        place: None,
        trace: None,
        replay: None,
    }
}

impl Diagnosis {
    /// Says what should have been seen.
    pub fn expected(mut self, text: impl Into<String>) -> Diagnosis {
        self.expected = text.into();
        self
    }

    /// As [`Entry::hinges_on_time`].
    pub fn hinges_on_time(&self) -> bool {
        entry(self.code).is_some_and(|entry| entry.hinges_on_time)
    }

    /// Says what was seen.
    pub fn seen(mut self, text: impl Into<String>) -> Diagnosis {
        self.seen = text.into();
        self
    }

    /// Tells the run in which it happened, and what shows it again.
    pub fn with_trace(mut self, trace: String, replay: Option<String>) -> Diagnosis {
        self.trace = Some(trace);
        self.replay = replay;
        self
    }

    /// Says where it happened.
    pub fn at(mut self, place: Option<String>) -> Diagnosis {
        self.place = place;
        self
    }
}
