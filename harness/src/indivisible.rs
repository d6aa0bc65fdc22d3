//! Reads from the compiler's LLVM IR with what operations a function changes a word.
//!
//! An addition made of a load and a store loses an update once in millions of runs, and on some
//! machines never while anybody looks. Which operations a function consists of, the intermediate
//! code says every time. A function is taken together with all it calls, so that a helper, a closure
//! or the library's own `fetch_update` count as its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::orderings::{Address, parse_address};

/// One way to change a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A store: what was there is not looked at.
    Store,
    /// An addition or subtraction in one operation.
    Add,
    /// Another operation that reads and writes at once, whatever is there.
    Exchange,
    /// A compare-exchange, which may be tried again when it fails.
    Retry,
    /// A compare-exchange whose outcome nobody looks at, or with nothing around it that could try
    /// again.
    Once,
}

/// The functions of one program.
#[derive(Clone, Debug, Default)]
pub struct Functions {
    bodies: BTreeMap<String, Body>,
}

/// What one function does.
#[derive(Clone, Debug, Default)]
struct Body {
    /// What is changed, and how far from the start of what it belongs to where that is constant.
    changes: Vec<(Option<u64>, Change)>,
    calls: BTreeSet<String>,
    assembly: bool,
    /// Whether anything is done more than once.
    loops: bool,
}

/// What a function does together with all it calls.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    all: Body,
}

impl Functions {
    /// Reads them from the text of a module in which every function is by itself.
    pub fn parse(ir: &str) -> Functions {
        let mut functions = Functions::default();
        for text in ir.split("\ndefine ").skip(1) {
            let text = text.split("\n}\n").next().unwrap_or("");
            if let Some(name) = callee(text.lines().next().unwrap_or("")) {
                functions.bodies.insert(name, Body::parse(text));
            }
        }
        functions
    }

    /// Whether any function calls one that is, or may be, of this name of the C library.
    pub fn call(&self, name: &str) -> bool {
        // In a symbol, a name stands behind its length, as in `4stat5umask17h…`.
        let wrapped = format!("{}{name}", name.len());
        let is_it = |callee: &String| {
            *callee == name
                || callee.contains(&format!("{wrapped}17h"))
                || callee.ends_with(&wrapped)
        };
        self.bodies.values().any(|body| body.calls.iter().any(is_it))
    }

    /// The function of this name, in whatever module, with all it calls; nothing if there is none.
    pub fn reached_from(&self, name: &str) -> Option<Reached> {
        // In a symbol, a name stands behind its length, as in `7counter10add_atomic17h…`.
        let marked = format!("7counter{}{name}", name.len());
        let mut open: Vec<&str> =
            self.bodies.keys().filter(|key| key.contains(&marked)).map(String::as_str).collect();
        if open.is_empty() {
            return None;
        }
        let mut seen: BTreeSet<&str> = open.iter().copied().collect();
        let mut reached = Reached::default();
        while let Some(name) = open.pop() {
            let Some(body) = self.bodies.get(name) else {
                reached.all.calls.insert(name.to_owned());
                continue;
            };
            reached.all.changes.extend(&body.changes);
            reached.all.assembly |= body.assembly;
            // Who is called once more may be called in a circle.
            reached.all.loops |= body.loops
                || body
                    .calls
                    .iter()
                    .any(|call| self.bodies.contains_key(call) && seen.contains(call.as_str()));
            open.extend(body.calls.iter().map(String::as_str).filter(|&call| seen.insert(call)));
        }
        Some(reached)
    }
}

impl Body {
    fn parse(text: &str) -> Body {
        let mut body = Body::default();
        let mut addresses: HashMap<&str, Address> = HashMap::new();
        let mut labels = BTreeSet::new();
        for line in text.lines().skip(1).map(str::trim) {
            // In whatever order the blocks stand, a loop has a jump back.
            labels.extend(label(line));
            body.loops |= jumps_to(line).any(|label| labels.contains(label));
            if let Some((value, address)) = parse_address(line, &addresses) {
                addresses.insert(value, address);
            }
            body.assembly |= line.contains(" asm ");
            if is_call(line) {
                body.calls.extend(callee(line));
            } else if let Some((pointer, change)) = change(line, text) {
                let address = addresses.get(pointer).copied().unwrap_or(Address::BASE);
                body.changes.push((address.offset, change));
            }
        }
        body
    }
}

impl Reached {
    /// Whether the word at this offset is changed in one of these ways.
    pub fn changes(&self, offset: u64, ways: &[Change]) -> bool {
        let mut here = self.all.changes.iter().filter(|(at, _)| *at == Some(offset));
        here.any(|&(_, way)| match way {
            Change::Retry if !self.all.loops => ways.contains(&Change::Once),
            way => ways.contains(&way),
        })
    }

    /// Whether it waits for a semaphore.
    pub fn waits(&self) -> bool {
        self.all.calls.iter().any(|name| name.starts_with("sem_") && name.contains("wait"))
    }

    /// Whether nothing is left that could change a word unseen: no assembly, no call of what is
    /// neither here nor known to be harmless.
    pub fn is_known(&self) -> bool {
        let harmless = [
            "llvm.",
            "panic",
            "unwrap_failed",
            "expect_failed",
            "drop_in_place",
            "__rust_dealloc",
            "errno",
            "fmt",
        ];
        !self.all.assembly
            && self.all.calls.iter().all(|name| harmless.iter().any(|part| name.contains(part)))
    }
}

/// The name of the block that begins on this line: `bb1:   ; preds = %start`.
pub(crate) fn label(line: &str) -> Option<&str> {
    line.split_once(':').map(|(label, _)| label).filter(|label| !label.contains(' '))
}

/// The blocks a line may jump to: `br i1 %ok, label %done, label %again`.
pub(crate) fn jumps_to(line: &str) -> impl Iterator<Item = &str> {
    line.split("label %").skip(1).filter_map(|rest| rest.split([',', ' ', ']']).next())
}

pub(crate) fn is_call(line: &str) -> bool {
    let operation = line.split_once(" = ").map_or(line, |(_, operation)| operation);
    let operation = operation.trim_start_matches("musttail ").trim_start_matches("tail ");
    operation.starts_with("call ") || operation.starts_with("invoke ")
}

/// The name right before a bracket: of the function a line defines or calls. Nothing where the
/// function comes from a pointer.
pub(crate) fn callee(line: &str) -> Option<String> {
    line.match_indices('@').find_map(|(at, _)| {
        let rest = &line[at + 1..];
        let (name, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || "._$-".contains(c)))?;
                rest.split_at(end)
            }
        };
        behind.starts_with('(').then(|| name.to_owned())
    })
}

/// The pointer behind which an instruction changes a word, and how. Only atomic stores count: plain
/// ones write the function's own locals and its result as well.
fn change<'a>(line: &'a str, body: &str) -> Option<(&'a str, Change)> {
    let (value, operation) = line.split_once(" = ").unwrap_or(("", line));
    let change = match operation.split(' ').next()? {
        "store" if operation.starts_with("store atomic ") => Change::Store,
        "atomicrmw" => {
            match operation.trim_start_matches("atomicrmw volatile ").split(' ').nth(1)? {
                "add" | "sub" => Change::Add,
                _ => Change::Exchange,
            }
        }
        "cmpxchg" => {
            // Its pair of value and success is taken apart by an instruction that names it.
            let used = |end: &str| body.contains(&format!(" {value}{end}"));
            if used(", ") || used("\n") { Change::Retry } else { Change::Once }
        }
        _ => return None,
    };
    let (_, rest) = operation.split_once("ptr %")?;
    let start = operation.len() - rest.len() - 1;
    let end = rest.find([',', ' ']).map_or(operation.len(), |at| start + 1 + at);
    Some((&operation[start..end], change))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(body: &str) -> Reached {
        let ir = format!(
            "\ndefine hidden void @_ZN1x7counter10add_atomic17habcE(ptr %shop) {{\nstart:\n{body}  \
             ret void\n}}\n\ndefine void @\"help$er\"(ptr %w) {{\n  %0 = atomicrmw sub ptr %w, i64 1 \
             monotonic, align 8\n  ret void\n}}\n"
        );
        Functions::parse(&ir).reached_from("add_atomic").unwrap()
    }

    #[test]
    fn an_addition_in_one_operation_is_told_from_one_in_two() {
        let two = reached(
            "  %0 = load atomic i64, ptr %shop seq_cst, align 8\n  %1 = add i64 %0, 1\n  \
             store atomic i64 %1, ptr %shop seq_cst, align 8\n",
        );
        assert!(two.changes(0, &[Change::Store]) && !two.changes(0, &[Change::Add]));
        let one = reached("  %0 = atomicrmw add ptr %shop, i64 1 monotonic, align 8\n");
        assert!(one.changes(0, &[Change::Add]) && !one.changes(8, &[Change::Add]));
    }

    #[test]
    fn a_compare_exchange_counts_only_if_its_outcome_is_used_and_it_can_be_tried_again() {
        let tried = "  %5 = cmpxchg weak ptr %shop, i64 %4, i64 %3 monotonic monotonic, align 8\n";
        let looked = format!("{tried}  %6 = extractvalue {{ i64, i1 }} %5, 1\n");
        let again = |body| {
            format!("  br label %bb1\n\nbb1:      ; preds = %start\n{body}  br label %bb1\n")
        };
        assert!(reached(tried).changes(0, &[Change::Once]));
        assert!(reached(&looked).changes(0, &[Change::Once]));
        assert!(reached(&again(tried)).changes(0, &[Change::Once]));
        assert!(reached(&again(&looked)).changes(0, &[Change::Retry]));
    }

    #[test]
    fn what_is_called_counts_and_what_is_unknown_is_said() {
        let helped = reached("  tail call fastcc void @\"help$er\"(ptr align 8 %shop) #3\n");
        assert!(helped.changes(0, &[Change::Add]) && helped.is_known() && !helped.waits());
        assert!(reached("  %0 = call i32 @sem_wait(ptr %shop)\n").waits());
        assert!(!reached("  call void @other(ptr %shop)\n").is_known());
    }
}
