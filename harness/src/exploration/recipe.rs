//! What shows a run again, in one word: `race-condition/racy@tso:6B#1f3a9c22`.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;

use super::Model;

/// A run of one piece: the same program, the same recipe, the same run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The lab's id.
    pub lab: String,
    /// The piece's id.
    pub piece: String,
    /// By which rules memory behaves; `@sc` goes without saying.
    pub model: Model,
    /// Who goes when.
    pub schedule: String,
    /// The first digits of the run's number, by which a program that has changed is noticed.
    pub hash: Option<String>,
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.lab, self.piece)?;
        if self.model != Model::Sc
            && let Some(value) = self.model.to_possible_value()
        {
            write!(f, "@{}", value.get_name())?;
        }
        write!(f, ":{}", self.schedule)?;
        self.hash.as_ref().map_or(Ok(()), |hash| write!(f, "#{hash}"))
    }
}

impl FromStr for Recipe {
    type Err = String;

    fn from_str(text: &str) -> Result<Recipe, String> {
        let form = || {
            format!(
                "`{}` does not say which run\n  what to do: copy it from a report, \
                 as in `race-condition/racy:2B`",
                text.escape_debug()
            )
        };
        let (place, run) = text.split_once(':').ok_or_else(form)?;
        let (lab, piece) = place.split_once('/').ok_or_else(form)?;
        let (piece, model) = match piece.split_once('@') {
            Some((piece, model)) => (piece, Model::from_str(model, true).map_err(|_| form())?),
            None => (piece, Model::Sc),
        };
        let (schedule, hash) = match run.split_once('#') {
            Some((schedule, hash)) => (schedule, Some(hash.to_owned())),
            None => (run, None),
        };
        schedule.parse::<interleave::Schedule>().map_err(|error| {
            format!(
                "`{}` is no schedule: {error}\n  what to do: write steps and processes, as in `2B` \
                 or `1B.4A`: from step 1 on B runs, from step 4 on A",
                schedule.escape_debug()
            )
        })?;
        Ok(Recipe {
            lab: lab.to_owned(),
            piece: piece.to_owned(),
            model,
            schedule: schedule.to_owned(),
            hash,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_can_be_read() {
        for text in ["race-condition/racy:2B", "a/b@tso:12a!#1f3a9c22", "a/b:-"] {
            assert_eq!(text.parse::<Recipe>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_none_is_refused_with_what_to_do() {
        for text in ["", "6B", "racy:6B", "a/b@fast:6B", "a/b:6", "a/b:zz"] {
            let error = text.parse::<Recipe>().unwrap_err();
            assert!(error.contains("what to do"), "{text}: {error}");
        }
    }
}
