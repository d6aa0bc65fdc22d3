//! Each platform gets a sheet in its own format, and no zero for a fault of ours.

mod hostile;
mod readers;
mod sheets;

use clap::ValueEnum;
use harness::report::views::{Classroom50, Column, Context, Format, Row, Table, actions};
use harness::roster::Student;
use harness::sheet::Sheet;
use serde_json::Value;

use crate::lab::root;
use readers::{actions_json, actions_outcome, autolab_scores, cells, elements};
use sheets::{Words, broken, build_failed, full_pass, invalid, mixed, refused};

fn honest() -> Words {
    Words::honest()
}

fn context() -> Context {
    let classroom50 = Classroom50 {
        classroom: "ipc".into(),
        assignment: "labs".into(),
        assignment_type: "individual".into(),
        owner: "somebody".into(),
        submission: "submit/1".into(),
        commit: "https://example.org/commit".into(),
        release: "https://example.org/release".into(),
        review: "https://example.org/review".into(),
        datetime: "2026-01-02T03:04:05Z".into(),
        graded_at: "2026-01-02T03:05:00Z".into(),
    };
    Context { classroom50, ..Context::of(&sheets::course()) }
}

fn shown(format: Format, sheet: &Sheet) -> Option<String> {
    format.render(sheet, &context())
}

fn json(format: Format, sheet: &Sheet) -> Value {
    serde_json::from_str(&shown(format, sheet).unwrap()).unwrap()
}

fn columns() -> Vec<Column> {
    let course = sheets::course();
    let labs =
        course.labs.iter().filter(|lab| ["raw-segment", "bounded-buffer"].contains(&&*lab.id));
    let column = |(number, lab): (usize, &harness::course::Lab)| Column {
        lab: lab.id.clone(),
        title: lab.title.clone(),
        assignment: (number == 0).then(|| "4711".to_owned()),
        max_points: 100,
    };
    labs.enumerate().map(column).collect()
}

fn student(login: &str) -> Student {
    Student {
        submission: login.to_owned(),
        name: Some(format!("Student, {login}")),
        id: Some("17".into()),
        sis_id: Some("s-17".into()),
        login: Some(login.to_owned()),
        email: Some(format!("{login}@example.org")),
        section: Some("A".into()),
    }
}

fn class(words: &Words) -> Vec<Row> {
    let row = |(name, sheet): (&str, Sheet)| Row { student: student(name), sheet: Some(sheet) };
    let mut rows: Vec<Row> = sheets::all(words).into_iter().map(row).collect();
    rows.push(Row { student: student("nothing"), sheet: None });
    let unknown = Student { submission: "unknown".into(), ..Student::default() };
    rows.push(Row { student: unknown, sheet: Some(mixed(words)) });
    rows
}

#[test]
fn every_format_of_every_outcome_is_as_committed() {
    for (name, sheet) in sheets::all(&honest()) {
        for format in Format::value_variants() {
            let value = format.to_possible_value().unwrap();
            let text = shown(*format, &sheet).unwrap_or_else(|| "(no result)\n".to_owned());
            insta::assert_snapshot!(format!("{name}.{}", value.get_name()), text);
        }
        let outcome = actions_json(&actions::outcome(&sheet)).replace("},{", "},\n{");
        insta::assert_snapshot!(format!("{name}.github-outcome"), outcome);
        let summary = actions::summary(&sheet, &context());
        insta::assert_snapshot!(format!("{name}.github-summary"), summary);
    }
}

#[test]
fn every_table_of_a_class_is_as_committed() {
    for table in Table::value_variants() {
        let value = table.to_possible_value().unwrap();
        let text = table.render(&class(&honest()), &columns());
        insta::assert_snapshot!(format!("class.{}", value.get_name()), text);
    }
}

#[test]
fn a_fault_of_ours_leaves_no_result_where_a_zero_would_be_recorded() {
    let sheet = broken(&honest());
    for format in [Format::Gradescope, Format::Classroom50, Format::Autolab] {
        assert_eq!(shown(format, &sheet), None);
    }
    assert_eq!(json(Format::Prairielearn, &sheet)["gradable"], false);
    let outcome = actions_outcome(&actions::outcome(&sheet));
    assert_eq!((&outcome["status"], &outcome["max_score"]), (&"error".into(), &0.into()));
    let ctrf = json(Format::Ctrf, &sheet);
    assert!(ctrf["results"]["extra"].get("points").is_none());
    let junit = shown(Format::Junit, &sheet).unwrap();
    assert!(junit.contains("<error ") && !junit.contains("<failure "));
}

#[test]
fn gradescope_says_of_every_text_that_it_is_plain_and_of_the_whole_its_score() {
    for sheet in [full_pass(&honest()), mixed(&honest()), build_failed(&honest())] {
        let results = json(Format::Gradescope, &sheet);
        assert_eq!(results["score"], u64::from(sheet.points + sheet.bonus));
        assert_eq!(results["output_format"], "text");
        assert_eq!(results["stdout_visibility"], "hidden");
        let tests = results["tests"].as_array().unwrap();
        let sum: u64 = tests.iter().map(|test| test["score"].as_u64().unwrap()).sum();
        let most: u64 = tests.iter().map(|test| test["max_score"].as_u64().unwrap()).sum();
        assert_eq!((sum, most), (results["score"].as_u64().unwrap(), u64::from(sheet.max_points)));
        for test in tests {
            assert_eq!(
                (&test["output_format"], &test["name_format"]),
                (&"text".into(), &"text".into())
            );
            assert!(["passed", "failed"].contains(&test["status"].as_str().unwrap()));
        }
    }
}

#[test]
fn classroom50_gets_whole_numbers_that_add_up_and_names_that_differ() {
    for (name, sheet) in sheets::all(&honest()) {
        let Some(_) = shown(Format::Classroom50, &sheet) else { continue };
        let results = json(Format::Classroom50, &sheet);
        assert_eq!(results["schema"], "classroom50/result/v1");
        assert_eq!(results["assignment_type"], "individual");
        let tests = results["tests"].as_array().unwrap();
        for key in ["score", "max-score"] {
            let sum: u64 = tests.iter().map(|test| test[key].as_u64().unwrap()).sum();
            assert_eq!(results[key].as_u64(), Some(sum), "{name}");
        }
        let mut names: Vec<_> = tests.iter().map(|test| test["test-name"].as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), tests.len());
    }
}

#[test]
fn prairielearn_gets_a_share_and_spends_no_attempt_on_what_was_not_graded() {
    let full = json(Format::Prairielearn, &full_pass(&honest()));
    assert_eq!((&full["score"], &full["gradable"]), (&1.0.into(), &true.into()));
    let some = json(Format::Prairielearn, &mixed(&honest()));
    assert_eq!((&some["score"], &some["gradable"]), (&0.2.into(), &true.into()));
    for test in some["tests"].as_array().unwrap() {
        assert!(test["points"].is_u64() && test["max_points"].is_u64());
    }
    for sheet in [build_failed, invalid, refused, broken] {
        let results = json(Format::Prairielearn, &sheet(&honest()));
        assert_eq!(results["gradable"], false);
        assert!(!results["format_errors"].as_array().unwrap().is_empty());
        assert!(results.get("tests").is_none());
    }
}

#[test]
fn autolab_finds_one_line_of_scores_at_the_end() {
    let output = shown(Format::Autolab, &full_pass(&honest())).unwrap();
    assert_eq!(autolab_scores(&output)["raw-segment"], 100);
    assert_eq!(autolab_scores(&output)["bounded-buffer"], 110);
    let output = shown(Format::Autolab, &mixed(&honest())).unwrap();
    assert_eq!(autolab_scores(&output)["bounded-buffer"], 20);
    let feedback = output.trim_end().lines().rev().nth(1).unwrap();
    let feedback: Value = serde_json::from_str(feedback).unwrap();
    assert_eq!(feedback["bounded-buffer"]["push"]["passed"], false);
    assert_eq!(output.matches("{\"scores\"").count(), 1);
}

#[test]
fn ctrf_and_the_sheet_follow_their_schemas() {
    let text = std::fs::read_to_string(root().join("harness/schema/ctrf.schema.json")).unwrap();
    let ctrf = jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap();
    let schema = serde_json::to_value(schemars::schema_for!(Sheet)).unwrap();
    let own = jsonschema::validator_for(&schema).unwrap();
    for (name, sheet) in sheets::all(&honest()) {
        let complaint = |validator: &jsonschema::Validator, document: &Value| {
            validator.iter_errors(document).map(|error| error.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(complaint(&ctrf, &json(Format::Ctrf, &sheet)), [""; 0], "{name}");
        assert_eq!(complaint(&own, &json(Format::Json, &sheet)), [""; 0], "{name}");
    }
}

#[test]
fn junit_tells_failures_from_errors_and_names_the_place() {
    let junit = shown(Format::Junit, &mixed(&honest())).unwrap();
    let tree = roxmltree::Document::parse(&junit).unwrap();
    let count = |name| tree.descendants().filter(|node| node.has_tag_name(name)).count();
    assert_eq!((count("failure"), count("error"), count("skipped")), (3, 0, 5));
    let placed = tree.descendants().find(|node| node.attribute("file").is_some()).unwrap();
    assert_eq!(placed.attribute("file"), Some("labs/bounded-buffer/src/buffer.rs"));
    assert_eq!(placed.attribute("line"), Some("41"));
}

#[test]
fn annotations_are_one_line_each_and_name_the_place() {
    let lines = shown(Format::GithubActions, &mixed(&honest())).unwrap();
    assert_eq!(lines.lines().count(), 2);
    let at = "::error file=labs/bounded-buffer/src/buffer.rs,line=41,title=bounded-buffer push%3A ";
    assert!(lines.starts_with(at), "{lines}");
    assert!(lines.contains("%0Arequired"));
}

#[test]
fn the_page_of_a_student_needs_nothing_from_elsewhere() {
    let page = shown(Format::Html, &mixed(&honest())).unwrap();
    let found = elements(&page);
    for forbidden in ["script", "link", "img", "iframe", "object", "form"] {
        assert!(!found.iter().any(|name| name == forbidden));
    }
    assert!(!page.contains("url(") && !page.contains("http://") && !page.contains("https://"));
    assert!(page.contains("cargo lab replay push-somebody"));
}

#[test]
fn canvas_finds_its_first_line_and_a_blank_for_what_has_no_points() {
    let lines = cells(&Table::Canvas.render(&class(&honest()), &columns()));
    let header = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"];
    assert_eq!(lines[0][..5], header);
    assert_eq!(lines[0][5], "The raw segment (4711)");
    assert_eq!(lines[1], ["Points Possible", "", "", "", "", "100", "100"]);
    let of = |name: &str| {
        let line = lines.iter().find(|line| line[3] == name).unwrap();
        (line[5].as_str(), line[6].as_str())
    };
    assert_eq!(of("full-pass"), ("100", "110"));
    assert_eq!(of("build-failed"), ("100", "0"));
    assert_eq!(of("mixed"), ("", "20"));
    assert_eq!(of("refused"), ("0", "0"));
    assert_eq!(of("broken"), ("", ""));
    assert_eq!(of("nothing"), ("", ""));
}

#[test]
fn moodle_gets_no_row_for_somebody_it_cannot_know() {
    let lines = cells(&Table::Moodle.render(&class(&honest()), &columns()));
    assert_eq!(lines[0][..4], ["username", "email", "idnumber", "raw-segment"]);
    assert_eq!(lines.len(), 1 + class(&honest()).len() - 1);
}
