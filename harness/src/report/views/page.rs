//! A page that needs nothing but itself: no script, no picture, no font from elsewhere. Its policy
//! forbids all of them, so that a text that got through as markup could still load nothing.

use super::safe;
use crate::record::Status;

/// A whole page. The body is HTML already, the title is text. It is written so that a parser of XML
/// takes it too: a browser forgives what is not closed, and a test should not.
pub(super) fn page(title: &str, body: &str) -> String {
    let title = safe::html(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         {body}</main>\n</body>\n</html>\n"
    )
}

/// The class of a status, which only decides its colour: the page says each of them in words too.
pub(super) fn class(status: Status) -> &'static str {
    match status {
        Status::Passed => "good",
        Status::Failed => "bad",
        Status::NotStarted | Status::Broken => "open",
        Status::Skipped | Status::NotChecked => "dim",
    }
}

const STYLE: &str = "\
:root { color-scheme: light dark; --page: #fff; --text: #1c1e21; --dim: #5c6370; --line: #d8dce2;
  --block: #f4f5f7; --good: #17692f; --bad: #b3261e; --open: #7a5200; --bar: #4a76c9; }
@media (prefers-color-scheme: dark) {
  :root { --page: #16181c; --text: #e4e6ea; --dim: #9aa2af; --line: #363b44; --block: #20242a;
    --good: #6cc98a; --bad: #ff8a80; --open: #e5b567; --bar: #5f8fe0; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; padding-bottom: .25rem;
  border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p { margin: .25rem 0; }
.dim { color: var(--dim); } .good { color: var(--good); }
.bad { color: var(--bad); } .open { color: var(--open); }
.points { font-size: 1.2rem; font-weight: 600; }
table { border-collapse: collapse; width: 100%; }
.wide { overflow-x: auto; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { color: var(--dim); font-weight: 500; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.failure { border-left: 3px solid var(--line); padding-left: 1rem; }
dl { display: grid; grid-template-columns: 9.5rem 1fr; gap: .15rem 1rem; margin: .25rem 0; }
dt { color: var(--dim); }
dd { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
pre { background: var(--block); padding: .75rem; overflow-x: auto; font-size: .85rem;
  line-height: 1.4; }
td code, .word { white-space: nowrap; }
.chart { width: 60%; }
.bar { display: block; height: .8rem; background: var(--bar); min-width: 1px; }
@media (max-width: 36rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
";
