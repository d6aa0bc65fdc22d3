//! Reads the memory orderings of a program from the compiler's LLVM IR.
//!
//! On x86-64 a relaxed store and a releasing one are the same instruction, so no run can show the
//! difference. The intermediate representation still has it: `store atomic … release`. An access is
//! counted when it is atomic and its address a constant distance from a plain base, because then the
//! distance is the field's offset in the segment. A fence in the same function, after a load or before a store,
//! orders it as well. All else is left undecided, and a student is accused only where every counted
//! access is too weak and nothing in sight could make up for it.

mod flow;

use std::collections::{BTreeSet, HashMap};

use crate::indivisible::{Functions, callee};
use crate::orderings::flow::{Fencing, Flow};

/// One atomic access at a constant offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Access {
    offset: u64,
    stores: bool,
    /// Whether it acquires, for a load, or releases, for a store: else it is relaxed.
    ordered: bool,
}

/// The accesses of one program, and whether anything else orders memory.
#[derive(Clone, Debug, Default)]
pub struct Orderings {
    accesses: Vec<Access>,
    /// Whether there is something that may order loads, and stores, of any field.
    anywhere: [bool; 2],
    /// The functions with a fence.
    fenced: Vec<Flow>,
    /// The functions that write what may be a message, and order nothing.
    writers: BTreeSet<String>,
    /// With what operations each function changes its words.
    pub functions: Functions,
}

/// What the orderings at one offset say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// At least one access orders what it should.
    Ordered,
    /// Every access that could be placed is relaxed.
    TooWeak,
    /// Nothing could be placed, or something else may do the ordering: a fence that some way leads
    /// through, or an ordered access that could not be placed.
    Undecided,
}

/// Part of the symbol of every function of `core::sync::atomic`.
const STANDARD_ATOMICS: &str = "4core4sync6atomic";

impl Orderings {
    /// Reads them from the text of a module of IR that has every function by itself.
    pub fn parse(ir: &str) -> Orderings {
        let functions = Functions::parse(ir);
        let mut orderings = Orderings { functions, ..Orderings::default() };
        // Names of values are local to a function.
        for function in ir.split("\ndefine ").skip(1) {
            let body = function.split("\n}\n").next().unwrap_or("");
            // The standard library's own functions have every ordering as a branch; what counts is
            // which one a caller chose, and that is seen where they were inlined.
            if !body.lines().next().is_some_and(|head| head.contains(STANDARD_ATOMICS)) {
                orderings.read_function(body);
            }
        }
        orderings
    }

    /// Whether some store at this offset releases what was written before it.
    pub fn release_at(&self, offset: u64) -> Finding {
        self.find(offset, true)
    }

    /// Whether some load at this offset acquires what the other side released.
    pub fn acquire_at(&self, offset: u64) -> Finding {
        self.find(offset, false)
    }

    fn find(&self, offset: u64, stores: bool) -> Finding {
        let here = self.accesses.iter().filter(|a| a.offset == offset && a.stores == stores);
        match here.map(|access| access.ordered).max() {
            Some(true) => Finding::Ordered,
            Some(false) => {
                let flows = self.fenced.iter();
                let by_fences =
                    flows.map(|flow| flow.fences_at(offset, stores, &self.writers)).max();
                match by_fences {
                    Some(Fencing::There) => Finding::Ordered,
                    Some(Fencing::Elsewhere) => Finding::Undecided,
                    _ if self.anywhere[usize::from(stores)] => Finding::Undecided,
                    _ => Finding::TooWeak,
                }
            }
            None => Finding::Undecided,
        }
    }

    fn read_function(&mut self, body: &str) {
        let flow = Flow::parse(body);
        self.accesses.extend(flow.accesses());
        for (all, here) in self.anywhere.iter_mut().zip(flow.anywhere) {
            *all |= here;
        }
        if flow.has_fence() {
            self.fenced.push(flow);
        } else if flow.only_writes() {
            self.writers.extend(body.lines().next().and_then(callee));
        }
    }
}

/// A pointer as a constant distance from some base; nothing when the distance varies.
#[derive(Clone, Copy)]
pub(crate) struct Address {
    pub(crate) offset: Option<u64>,
}

impl Address {
    pub(crate) const BASE: Address = Address { offset: Some(0) };
}

/// `%p = getelementptr inbounds i8, ptr %base, i64 64`.
pub(crate) fn parse_address<'a>(
    line: &'a str,
    known: &HashMap<&str, Address>,
) -> Option<(&'a str, Address)> {
    let (value, rest) = line.split_once(" = ")?;
    let rest = rest.strip_prefix("getelementptr ")?;
    let (unit, rest) = rest.split_once(", ptr ")?;
    let (base, index) = rest.split_once(", ")?;
    let unit = match unit.rsplit(' ').next()? {
        "i8" => Some(1),
        "i16" => Some(2),
        "i32" => Some(4),
        "i64" | "ptr" => Some(8),
        _ => None,
    };
    let index = index.split(", !").next()?;
    let distance = index.strip_prefix("i64 ").and_then(|number| number.parse::<u64>().ok());
    let before = known.get(base).copied().unwrap_or(Address::BASE).offset;
    let offset = match (before, unit, distance) {
        (Some(before), Some(unit), Some(distance)) => before.checked_add(unit * distance),
        _ => None,
    };
    Some((value, Address { offset }))
}

/// Whether a fence orders the loads before it, and the stores behind it: an acquiring one does
/// nothing for a store, and a releasing one nothing for a load.
fn fence(line: &str) -> Option<(bool, bool)> {
    let fence = line.strip_prefix("fence ")?;
    Some((!fence.starts_with("release"), !fence.starts_with("acquire")))
}

/// How strong an access is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strength {
    /// No atomic access at all.
    Plain,
    /// Atomic, ordering nothing else.
    Relaxed,
    /// Acquire for a load, release for a store, or stronger.
    Ordered,
}

/// The accesses of one instruction: pointer, whether it stores, how strong.
fn accesses(line: &str) -> Vec<(&str, bool, Strength)> {
    let operation = line.split_once(" = ").map_or(line, |(_, operation)| operation);
    let word = operation.split(' ').next().unwrap_or("");
    if !matches!(word, "load" | "store" | "atomicrmw" | "cmpxchg") {
        return Vec::new();
    }
    let Some((_, rest)) = operation.rsplit_once("ptr %") else { return Vec::new() };
    let start = operation.len() - rest.len() - 1;
    let end = rest.find([',', ' ']).map_or(operation.len(), |at| start + 1 + at);
    let pointer = &operation[start..end];
    let strength = |ordered: &[&str]| {
        let tail = &operation[end..];
        if ordered.iter().any(|name| tail.contains(name)) {
            Strength::Ordered
        } else if operation.contains(" atomic ") || word.len() > 5 {
            Strength::Relaxed
        } else {
            Strength::Plain
        }
    };
    let (loads, stores) =
        ([" acquire", " acq_rel", " seq_cst"], [" release", " acq_rel", " seq_cst"]);
    match word {
        "load" => vec![(pointer, false, strength(&loads))],
        "store" => vec![(pointer, true, strength(&stores))],
        _ => vec![(pointer, false, strength(&loads)), (pointer, true, strength(&stores))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(ordering: &str) -> String {
        format!(
            "\ndefine void @push(ptr %self) {{\nstart:\n  %base = load ptr, ptr %self, align 8\n  \
             %tail = getelementptr inbounds nuw i8, ptr %base, i64 64\n  \
             store atomic i64 %next, ptr %tail {ordering}, align 8, !noalias !4\n  ret void\n}}\n"
        )
    }

    #[test]
    fn a_releasing_store_is_told_from_a_relaxed_one() {
        assert_eq!(Orderings::parse(&module("release")).release_at(64), Finding::Ordered);
        let relaxed = Orderings::parse(&module("monotonic"));
        assert_eq!(relaxed.release_at(64), Finding::TooWeak);
        assert_eq!(relaxed.release_at(192), Finding::Undecided);
        assert_eq!(relaxed.acquire_at(64), Finding::Undecided);
    }

    #[test]
    fn a_fence_before_the_store_orders_it_and_one_behind_does_not() {
        let before = module("monotonic").replace("  store", "  fence release\n  store");
        assert_eq!(Orderings::parse(&before).release_at(64), Finding::Ordered);
        let acquire = module("monotonic").replace("  store", "  fence acquire\n  store");
        assert_eq!(Orderings::parse(&acquire).release_at(64), Finding::TooWeak);
        let behind = module("monotonic").replace("  ret void", "  fence release\n  ret void");
        assert_eq!(Orderings::parse(&behind).release_at(64), Finding::TooWeak);
        let around = behind.replace("  ret void", "  br label %start");
        assert_eq!(Orderings::parse(&around).release_at(64), Finding::Ordered);
        let elsewhere = module("monotonic") + "\ndefine void @f() {\n  fence seq_cst\n}\n";
        assert_eq!(Orderings::parse(&elsewhere).release_at(64), Finding::Undecided);
    }

    #[test]
    fn a_fence_before_the_message_is_written_orders_nothing() {
        let slot = "  %slot = getelementptr inbounds i8, ptr %base, i64 %at\n";
        let byte = "  store atomic i8 %byte, ptr %slot monotonic, align 1\n";
        let early = |writes: &str| {
            let steps = format!("{slot}  fence release\n{writes}  store atomic i64");
            module("monotonic").replace("  store atomic i64", &steps)
        };
        assert_eq!(Orderings::parse(&early(byte)).release_at(64), Finding::TooWeak);
        let copy = "  call void @llvm.memcpy.p0.p0.i64(ptr align 1 %slot, ptr %from, i64 %n)\n";
        assert_eq!(Orderings::parse(&early(copy)).release_at(64), Finding::TooWeak);
        let count = "  %head = getelementptr inbounds i8, ptr %base, i64 128\n  \
                     store atomic i64 %n, ptr %head monotonic, align 8\n";
        assert_eq!(Orderings::parse(&early(count)).release_at(64), Finding::Ordered);
        let call = early("  call void @write(ptr %base)\n");
        assert_eq!(Orderings::parse(&call).release_at(64), Finding::Ordered);
        let write =
            format!("\ndefine void @write(ptr %base) {{\nstart:\n{slot}{byte}  ret void\n}}\n");
        assert_eq!(Orderings::parse(&(call + &write)).release_at(64), Finding::TooWeak);
    }

    #[test]
    fn a_fence_at_another_field_orders_that_one() {
        let ready = "\ndefine void @ready(ptr %base) {\nstart:\n  \
                     %state = getelementptr inbounds i8, ptr %base, i64 12\n  fence release\n  \
                     store atomic i32 1, ptr %state monotonic, align 4\n  ret void\n}\n";
        let both = Orderings::parse(&(module("monotonic") + ready));
        assert_eq!(both.release_at(64), Finding::TooWeak);
        assert_eq!(both.release_at(12), Finding::Ordered);
        let handed_over = ready.replace("i64 12", "i64 0");
        let both = Orderings::parse(&(module("monotonic") + &handed_over));
        assert_eq!(both.release_at(64), Finding::Undecided);
    }

    #[test]
    fn a_fence_behind_the_load_orders_it_and_one_before_leaves_it_undecided() {
        let load = "load atomic i64, ptr %tail monotonic, align 8";
        let store = "store atomic i64 %next, ptr %tail monotonic, align 8, !noalias !4";
        let loading = module("monotonic").replace(store, &format!("%now = {load}"));
        assert_eq!(Orderings::parse(&loading).acquire_at(64), Finding::TooWeak);
        let behind = loading.replace("  ret void", "  fence acquire\n  ret void");
        assert_eq!(Orderings::parse(&behind).acquire_at(64), Finding::Ordered);
        // Whoever called may have loaded it before as well.
        let before = loading.replace("  %now", "  fence acquire\n  %now");
        assert_eq!(Orderings::parse(&before).acquire_at(64), Finding::Undecided);
        let around = before.replace("  ret void", "  br i1 %seen, label %start, label %end");
        assert_eq!(Orderings::parse(&around).acquire_at(64), Finding::Ordered);
        let release = loading.replace("  ret void", "  fence release\n  ret void");
        assert_eq!(Orderings::parse(&release).acquire_at(64), Finding::TooWeak);
    }

    #[test]
    fn a_varying_address_leaves_it_undecided() {
        let varying = module("monotonic").replace("i64 64", "i64 %index");
        assert_eq!(Orderings::parse(&varying).release_at(64), Finding::Undecided);
        let helper = module("release").replace("i64 64", "i64 %index") + &module("monotonic");
        assert_eq!(Orderings::parse(&helper).release_at(64), Finding::Undecided);
    }
}
