//! What the grader tells apart: starters, solutions, plausible wrong submissions, each caught by
//! the check and for the cause that its `expect.toml` names, and correct ones unlike ours.

use serde_json::Value;

use crate::lab::lab;

/// A sample of the corpus; `cargo lab verify` judges all of it.
#[test]
fn the_course_proves_itself() {
    let finished = lab(&["verify", "--shard", "8/8", "--json"]);
    let verified: Value = serde_json::from_str(&finished.out)
        .unwrap_or_else(|error| panic!("{error}: {}", finished.err));
    let findings = verified["findings"].as_array().unwrap();
    let unexpected: Vec<String> = findings
        .iter()
        .filter(|finding| finding["unexpected"].as_array().is_some_and(|list| !list.is_empty()))
        .map(|finding| format!("{}: {}", finding["case"], finding["unexpected"][0]))
        .collect();
    let (wrong, all) = (unexpected.len(), findings.len());
    assert!(wrong == 0, "{wrong} of {all}:\n{}", unexpected.join("\n"));
}

#[test]
fn a_blunt_check_is_noticed() {
    let blunt = "race-condition/racy-adds-one";
    let only = "race-condition wrong/racy-adds-two";
    let arguments = ["verify", "--match", only, "--blunt", blunt, "--json"];
    let finished = lab(&arguments);
    assert_eq!(finished.code, 1, "{}{}", finished.out, finished.err);
    let verified: Value = serde_json::from_str(&finished.out).unwrap();
    assert!(verified["unexpected"].as_u64().unwrap() > 0, "{}", finished.out);
}

#[test]
fn a_check_that_is_not_there_is_not_made_blunt_in_silence() {
    for words in ["race-condition/no-such-check", "no-such-lab/racy-adds-one", "racy-adds-one"] {
        let finished = lab(&["verify", "--blunt", words]);
        assert_eq!(finished.code, 2, "{words}: {}{}", finished.out, finished.err);
        assert!(finished.err.contains("no check is called"), "{words}: {}", finished.err);
    }
}
