//! The order in which one function fences and reaches memory, as far as its branches tell it.

use std::collections::{BTreeSet, HashMap};

use crate::indivisible::{callee, is_call, jumps_to, label};
use crate::orderings::{Access, Address, Strength, accesses, fence, parse_address};

/// What one function does that matters for orderings.
#[derive(Clone, Debug, Default)]
pub(super) struct Flow {
    blocks: Vec<Block>,
    /// Whether it may order loads, and stores, of any field: with assembly, or with an ordered access
    /// whose address is not a constant distance away or is handed to the function as it is.
    pub(super) anywhere: [bool; 2],
}

/// Steps that follow each other, and the blocks that may come next.
#[derive(Clone, Debug, Default)]
struct Block {
    steps: Vec<Step>,
    next: Vec<usize>,
}

/// What matters of one instruction.
#[derive(Clone, Debug)]
enum Step {
    Fence {
        acquires: bool,
        releases: bool,
    },
    /// An atomic access at a constant offset.
    Field(Access),
    /// Writes what may be a message: a place that is computed.
    Writes,
    Calls(String),
}

/// What fences do for a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fencing {
    Nothing,
    /// There is one that is not at this field, and may be meant for it all the same.
    Elsewhere,
    /// There is one on the right side of it.
    There,
}

impl Step {
    /// The offset of the field that it stores, or loads.
    fn field(&self, stores: bool) -> Option<u64> {
        match self {
            Step::Field(access) if access.stores == stores => Some(access.offset),
            _ => None,
        }
    }
}

/// A step: the number of its block, and its own in there.
type Place = (usize, usize);

impl Flow {
    /// Reads it from the text of a function.
    pub(super) fn parse(body: &str) -> Flow {
        let named = body.lines().filter_map(label);
        let labels: HashMap<&str, usize> = named.zip(1..).collect();
        let mut addresses: HashMap<&str, Address> = HashMap::new();
        // The first block may have no name.
        let mut blocks = vec![Block::default()];
        let mut anywhere = [body.contains(" asm "); 2];
        for line in body.lines() {
            if label(line).is_some() {
                blocks.push(Block::default());
            }
            let block = blocks.last_mut().expect("one was there from the start");
            let line = line.trim();
            block.next.extend(jumps_to(line).filter_map(|label| labels.get(label)));
            if let Some((value, address)) = parse_address(line, &addresses) {
                addresses.insert(value, address);
            }
            if let Some((acquires, releases)) = fence(line) {
                block.steps.push(Step::Fence { acquires, releases });
            } else if is_call(line) {
                let varies = |pointer| addresses.get(pointer).is_some_and(|to| to.offset.is_none());
                block.steps.extend(match callee(line) {
                    Some(name) if is_copy(&name) => {
                        first_pointer(line).filter(|&to| varies(to)).map(|_| Step::Writes)
                    }
                    name => name.map(Step::Calls),
                });
            }
            for (pointer, stores, strength) in accesses(line) {
                let address = addresses.get(pointer).copied().unwrap_or(Address::BASE);
                let ordered = strength == Strength::Ordered;
                if ordered && address.offset.is_none_or(|offset| offset == 0) {
                    anywhere[usize::from(stores)] = true;
                }
                match address.offset {
                    Some(offset) if strength != Strength::Plain => {
                        block.steps.push(Step::Field(Access { offset, stores, ordered }));
                    }
                    // A plain store may well be one into the function's own memory.
                    None if stores
                        && (strength != Strength::Plain || line.contains("volatile")) =>
                    {
                        block.steps.push(Step::Writes);
                    }
                    _ => {}
                }
            }
        }
        Flow { blocks, anywhere }
    }

    /// Its atomic accesses at constant offsets.
    pub(super) fn accesses(&self) -> impl Iterator<Item = Access> {
        self.all().filter_map(|(_, step)| match step {
            Step::Field(access) => Some(*access),
            _ => None,
        })
    }

    pub(super) fn has_fence(&self) -> bool {
        self.all().any(|(_, step)| matches!(step, Step::Fence { .. }))
    }

    /// Whether it writes what may be a message, and none of its accesses orders that.
    pub(super) fn only_writes(&self) -> bool {
        self.all().any(|(_, step)| matches!(step, Step::Writes))
            && !self.accesses().any(|access| access.ordered)
    }

    /// What the fences in here do for the stores, or the loads, at this offset. A releasing one does
    /// nothing right behind the store, nor where the message is still written between the two. Either
    /// kind is there for the field beside which it stands, and for the others if it happens so.
    /// `writers` are the functions that write what may be a message.
    pub(super) fn fences_at(
        &self,
        offset: u64,
        stores: bool,
        writers: &BTreeSet<String>,
    ) -> Fencing {
        let here: Vec<Place> = self
            .all()
            .filter(|(_, step)| step.field(stores) == Some(offset))
            .map(|(at, _)| at)
            .collect();
        let writes = |step: &Step| match step {
            Step::Writes => true,
            Step::Calls(name) => writers.contains(name),
            _ => false,
        };
        let is_here = |at| here.contains(&at);
        let fences = self.all().filter(|(_, step)| match step {
            Step::Fence { acquires, releases } => *(if stores { releases } else { acquires }),
            _ => false,
        });
        let found = fences.map(|(fence @ (block, at), _)| {
            let orders = if stores {
                self.reaches(fence, is_here, writes)
            } else {
                here.iter().any(|&load| self.reaches(load, |at| at == fence, |_| false))
            };
            let steps = &self.blocks[block].steps;
            let (before, behind) = (steps[..at].last(), steps.get(at + 1));
            let field = |step: Option<&Step>| step.and_then(|step| step.field(stores));
            // The word at a distance of 0 may be any that was handed to the function.
            let of_another = field(if stores { behind } else { before })
                .is_some_and(|to| to != 0 && to != offset);
            // Whoever called may have loaded the field before, and a fence is good for that too.
            let too_late = stores && field(before) == Some(offset);
            let too_early = stores && self.reaches(fence, is_here, |_| false);
            if orders {
                Fencing::There
            } else if too_late || too_early || of_another {
                Fencing::Nothing
            } else {
                Fencing::Elsewhere
            }
        });
        found.max().unwrap_or(Fencing::Nothing)
    }

    /// Whether a way leads from behind a step to a goal without a step at which it ends.
    fn reaches(
        &self,
        from: Place,
        goal: impl Fn(Place) -> bool,
        ends: impl Fn(&Step) -> bool,
    ) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![(from.0, from.1 + 1)];
        while let Some((block, first)) = open.pop() {
            let Block { steps, next } = &self.blocks[block];
            let end = (first..steps.len()).find(|&at| goal((block, at)) || ends(&steps[at]));
            match end {
                Some(at) if goal((block, at)) => return true,
                Some(_) => {}
                None => {
                    open.extend(next.iter().filter(|&&to| seen.insert(to)).map(|&to| (to, 0)));
                }
            }
        }
        false
    }

    fn all(&self) -> impl Iterator<Item = (Place, &Step)> {
        self.blocks.iter().enumerate().flat_map(|(block, steps)| {
            steps.steps.iter().enumerate().map(move |(at, step)| ((block, at), step))
        })
    }
}

/// Whether the function of this name copies bytes.
fn is_copy(name: &str) -> bool {
    name.starts_with("llvm.memcpy") || name.starts_with("llvm.memmove")
}

/// The first value that a call is given: `@copy(ptr align 8 %to, ptr …`.
fn first_pointer(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once('@')?;
    let start = rest.find('%')?;
    rest[start..].split([',', ')']).next()
}
