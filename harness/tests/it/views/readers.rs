//! Reads what the views write as the platforms read it.

use serde_json::Value;

/// What Autolab reads: it takes the last line, puts quotation marks around every word before a
/// colon (`gsub(/([a-zA-Z0-9]+):/, '"\1":')`), and parses that.
pub(super) fn autolab_scores(output: &str) -> Value {
    let last = output.trim_end().lines().last().unwrap();
    let mut quoted = String::new();
    let mut word = String::new();
    for character in last.chars() {
        if character.is_ascii_alphanumeric() {
            word.push(character);
            continue;
        }
        let is_key = character == ':' && !word.is_empty();
        quoted += &if is_key { format!("\"{word}\"") } else { word.clone() };
        word.clear();
        quoted.push(character);
    }
    quoted += &word;
    serde_json::from_str::<Value>(&quoted).unwrap()["scores"].take()
}

/// What the reporter reads from a step's output.
pub(super) fn actions_outcome(line: &str) -> Value {
    serde_json::from_str(&actions_json(line)).unwrap()
}

/// The same before it is parsed.
pub(super) fn actions_json(line: &str) -> String {
    let encoded = line.strip_prefix("result=").unwrap().strip_suffix('\n').unwrap();
    assert!(encoded.len() < 128 * 1024, "it travels as one environment variable");
    String::from_utf8(base64(encoded)).unwrap()
}

fn base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("{other} is no digit of base64"),
    };
    assert_eq!(text.len() % 4, 0);
    let mut bytes = Vec::new();
    for group in text.as_bytes().chunks(4) {
        let digits: Vec<u8> = group.iter().filter(|&&c| c != b'=').map(|&c| digit(c)).collect();
        let bits = digits.iter().fold(0_u32, |bits, &d| bits << 6 | u32::from(d));
        let bits = bits << (6 * (4 - digits.len()));
        bytes.extend(&bits.to_be_bytes()[1..digits.len()]);
    }
    bytes
}

/// The elements of a page, after a parser that forgives nothing has read all of it.
pub(super) fn elements(page: &str) -> Vec<String> {
    let body = page.strip_prefix("<!doctype html>\n").unwrap();
    let tree = roxmltree::Document::parse(body).unwrap_or_else(|e| panic!("{e}\n{page}"));
    let names = tree.descendants().filter(roxmltree::Node::is_element);
    names.map(|node| node.tag_name().name().to_owned()).collect()
}

/// The cells of a table, each line as long as the first.
pub(super) fn cells(table: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(table.as_bytes());
    let lines = reader.records().map(|line| line.unwrap().iter().map(str::to_owned).collect());
    lines.collect()
}

/// Whether a character is obeyed instead of shown. Line ends and tabs are plain text.
pub(super) fn is_obeyed(character: char) -> bool {
    match character {
        '\n' | '\t' | ' '..='~' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            true
        }
        other => other.is_control(),
    }
}
