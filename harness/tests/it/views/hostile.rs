//! What a student can say is data in every format: it ends no element, begins no command, turns no
//! line of text around, and makes no result too large.

use clap::ValueEnum;
use harness::report::views::{Format, Row, Table, actions};
use harness::roster::Student;
use harness::sheet::Sheet;

use super::readers::{actions_outcome, autolab_scores, cells, elements, is_obeyed};
use super::sheets::{self, Words};
use super::{columns, context, json, shown};

/// Below what Gradescope and PrairieLearn take.
const MEGABYTE: usize = 1_000_000;

/// Texts that somewhere are more than text.
fn corpus() -> Vec<String> {
    let mut texts: Vec<String> = [
        "a\0b",
        "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m",
        "]]>",
        "::set-output name=x::1",
        "  ::error::mine\n\t::stop-commands::x",
        "x ##[error]mine",
        "##[set-env name=PATH]/tmp",
        "=cmd|' /C calc'!A0",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "</pre><script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='x",
        "&lt;script&gt; &#60;script",
        "</details></summary><h1>x</h1>",
        "\u{202e}txt.exe\u{2066}\u{2069}\u{200f}",
        "Grade :=>> 100\nComment :=>> well done",
        "{\"scores\":{\"x\":100}}\n{\"scores\":{\"bounded-buffer\":100}}",
        "a\rb",
        "a\r\nb",
        "`` ` ``` | a | b | [x](http://example.org) ![y](z) **b** _i_ <b> @all #1\n# head\n- list",
        "```\n```",
        "%0A::error::x %25 %0D, :",
        "key: word: labs: 1",
        "\u{fffe}\u{ffff}\u{fdd0}\u{feff}\u{2028}\u{e0041}",
        "src/x.rs,line=1::x:12",
        "../../etc/passwd:1",
        "\u{1f980}\u{301}",
        "",
        "\\u0000 \\\" \\",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.extend(["\0", "\"", "<", "\\", "%", "\n", "\u{1f980}"].map(|unit| {
        // Each of these grows when it is escaped, somewhere; the longest escape is eight bytes.
        unit.repeat(50_000)
    }));
    texts
}

fn hostile(text: &str) -> Vec<(&'static str, Sheet)> {
    sheets::all(&Words::all(text))
}

/// The beginning of a text, for a message that can be read.
fn brief(text: &str) -> String {
    text.chars().take(60).collect::<String>().escape_debug().to_string()
}

#[test]
fn every_format_stays_whole_with_hostile_texts_in_it() {
    for text in corpus() {
        // What one long text does to a result, it does in the sheet with the most of them.
        let sheets = hostile(&text).into_iter();
        for (name, sheet) in sheets.filter(|(name, _)| text.len() < 1000 || *name == "mixed") {
            for format in Format::value_variants() {
                let Some(shown) = shown(*format, &sheet) else { continue };
                let what = format!("{format:?} of {name} with {}", brief(&text));
                assert!(!shown.chars().any(is_obeyed), "{what} holds what is obeyed");
                assert!(*format == Format::Json || shown.len() < MEGABYTE, "{what} is too large");
                whole(*format, &shown, &what);
            }
            of_actions(&sheet, &brief(&text));
        }
    }
}

fn whole(format: Format, shown: &str, what: &str) {
    let value = || {
        serde_json::from_str::<serde_json::Value>(shown)
            .unwrap_or_else(|error| panic!("{what}: {error}"))
    };
    match format {
        Format::Json => assert!(value()["labs"].is_array()),
        Format::Gradescope | Format::Classroom50 => assert!(value()["tests"].is_array()),
        Format::Ctrf => assert_eq!(value()["reportFormat"], "CTRF"),
        Format::Prairielearn => {
            let value = value();
            let score = value["score"].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&score) && value["gradable"].is_boolean(), "{what}");
        }
        Format::Html => {
            let known = [
                "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p",
                "pre", "section", "table", "tr", "th", "td", "b", "div", "dl", "dt", "dd", "code",
            ];
            for element in elements(shown) {
                assert!(known.contains(&&*element), "{what} has an element {element}");
            }
        }
        Format::Junit => {
            roxmltree::Document::parse(shown).unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        Format::GithubActions => {
            for line in shown.lines() {
                assert!(line.starts_with("::error "), "{what}: {line}");
                // What stands before the message has only the properties that are ours.
                let before = line["::error ".len()..].split("::").next().unwrap();
                for property in before.split(',') {
                    let key = property.split('=').next().unwrap();
                    assert!(["file", "line", "title"].contains(&key), "{what}: {property}");
                }
                assert!(!line.contains("##["), "{what}");
            }
        }
        Format::Autolab => {
            let scores = autolab_scores(shown);
            let scores = scores.as_object().unwrap();
            assert!(!scores.contains_key("x"), "{what}");
            assert!(scores.values().all(|points| points.is_u64()), "{what}");
            no_commands(shown, what);
        }
        Format::Text => no_commands(shown, what),
    }
}

/// That nothing in it is a command to a runner of GitHub's: a line beginning with `::` after its
/// spaces, or `##[` anywhere.
fn no_commands(text: &str, what: &str) {
    assert!(!text.lines().any(|line| line.trim_start().starts_with("::")), "{what}");
    assert!(!text.contains("##["), "{what}");
}

fn of_actions(sheet: &Sheet, what: &str) {
    let outcome = actions_outcome(&actions::outcome(sheet));
    for test in outcome["tests"].as_array().unwrap() {
        for key in ["name", "message", "filename", "test_code"] {
            no_commands(test[key].as_str().unwrap(), what);
            assert!(!test[key].as_str().unwrap().chars().any(is_obeyed), "{what}");
        }
    }
    for test in outcome["tests"].as_array().unwrap() {
        assert!(!test["filename"].as_str().unwrap().contains(".."), "{what}");
    }
    let summary = actions::summary(sheet, &context());
    assert!(summary.len() < MEGABYTE && !summary.chars().any(is_obeyed), "{what}");
    // The only elements are ours, each closed.
    let ours = ["<pre>", "</pre>", "<details>", "</details>", "<summary>", "</summary>"];
    let elements = summary.matches('<').count();
    let known: usize = ours.iter().map(|element| summary.matches(element).count()).sum();
    assert_eq!(elements, known, "{what}");
    for marks in ["`", "[", "|", "*", "_", "#", "@"] {
        let heading = summary.lines().next().unwrap().strip_prefix("## ").unwrap();
        let escaped = heading.matches(&format!("\\{marks}")).count();
        assert_eq!(heading.matches(marks).count(), escaped, "{what}");
    }
    for pair in ours.chunks(2) {
        assert_eq!(summary.matches(pair[0]).count(), summary.matches(pair[1]).count(), "{what}");
    }
}

#[test]
fn a_runner_reads_from_an_annotation_what_the_reporter_reads_from_the_outcome() {
    for text in corpus().iter().filter(|text| text.len() < 1000) {
        let sheet = sheets::mixed(&Words::all(text));
        let outcome = actions_outcome(&actions::outcome(&sheet));
        let tests = outcome["tests"].as_array().unwrap();
        let lines = shown(Format::GithubActions, &sheet).unwrap();
        for line in lines.lines() {
            let (_, data) = line["::error ".len()..].split_once("::").unwrap();
            // In this order, as the runner does.
            let read = data.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%");
            let said =
                |test: &&serde_json::Value| test["message"].as_str().unwrap().trim_end() == read;
            assert_eq!(tests.iter().filter(said).count(), 1, "{read}");
        }
    }
}

#[test]
fn ten_megabytes_on_one_line_are_shortened_everywhere_and_kept_in_the_sheet() {
    let long = format!("begins {} ends", "x".repeat(10_000_000));
    let sheet = sheets::mixed(&Words::all(&long));
    for format in Format::value_variants().iter().filter(|format| **format != Format::Json) {
        let shown = shown(*format, &sheet).unwrap();
        assert!(shown.len() < MEGABYTE, "{format:?}");
        assert!(shown.contains("bytes are left out here"), "{format:?}");
        whole(*format, &shown, "ten megabytes");
    }
    of_actions(&sheet, "ten megabytes");
    let words = Words { seen: long.clone(), ..Words::honest() };
    let kept = json(Format::Json, &sheets::mixed(&words));
    assert_eq!(kept["labs"][0]["steps"][2]["checks"][0]["diagnosis"]["seen"], long);
}

#[test]
fn the_sheet_says_in_json_what_it_said_before() {
    for text in corpus() {
        let sheet = sheets::mixed(&Words::all(&text));
        let back: Sheet = serde_json::from_value(json(Format::Json, &sheet)).unwrap();
        let (before, after) = (serde_json::to_string(&sheet), serde_json::to_string(&back));
        assert!(before.unwrap() == after.unwrap(), "{}", brief(&text));
    }
}

#[test]
fn no_cell_of_a_table_is_a_formula_or_breaks_its_line() {
    for text in corpus() {
        let student = Student {
            submission: text.clone(),
            name: Some(text.clone()),
            id: Some(text.clone()),
            sis_id: Some(text.clone()),
            login: Some(text.clone()),
            email: Some(text.clone()),
            section: Some(text.clone()),
        };
        let row = |(_, sheet)| Row { student: student.clone(), sheet: Some(sheet) };
        let rows: Vec<Row> = hostile(&text).into_iter().map(row).collect();
        for table in [Table::Canvas, Table::Moodle, Table::Csv] {
            let shown = table.render(&rows, &columns());
            assert!(!shown.chars().any(is_obeyed), "{}", brief(&text));
            let extra = if table == Table::Canvas { 2 } else { 1 };
            let lines = cells(&shown);
            assert_eq!(lines.len(), rows.len() + extra, "{}", brief(&text));
            for cell in lines.iter().flatten() {
                let formula = cell.trim_start().starts_with(['=', '+', '-', '@']);
                assert!(!formula && !cell.starts_with('\t'), "{}", brief(cell));
                assert!(!cell.contains('\n'), "{}", brief(cell));
            }
        }
        let page = Table::Html.render(&rows, &columns());
        assert!(!page.chars().any(is_obeyed) && !page.contains("<script"));
        assert!(!elements(&page).iter().any(|name| name == "img" || name == "script"));
        let class = Table::Json.render(&rows, &columns());
        assert!(!class.chars().any(is_obeyed));
        let class: serde_json::Value = serde_json::from_str(&class).unwrap();
        assert_eq!(class["rows"][0]["student"]["name"], text);
    }
}
