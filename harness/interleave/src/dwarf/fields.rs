//! The names of the fields of the segment, from the debugging information of the program that uses
//! it. What a student adds to the layout is named too.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use gimli::{AttributeValue, DebuggingInformationEntry, Dwarf, Unit, UnitOffset};

use super::kept::Kept;
use super::units::{Slice, each_unit};
use crate::timeline::Field;

type Entry<'a, 'b> = DebuggingInformationEntry<'a, 'a, Slice<'b>>;

/// Deeper than any layout; keeps a type that holds itself from being followed for ever.
const DEEPEST: usize = 16;

/// Longer arrays are named by their beginning only.
const LONGEST: usize = 256;

/// All leaves of the structure `name`, moved by `base`. The name may be given with modules before it,
/// as in `layout::Layout`; without them, what the standard library calls so is not meant.
pub(crate) fn fields(program: &Path, name: &str, base: usize) -> Vec<Field> {
    type Known = Mutex<HashMap<String, Vec<Field>>>;
    static KEPT: Kept<Known> = Kept::new();
    let known = KEPT.of(program, Known::default);
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    let found =
        known.entry(name.to_owned()).or_insert_with(|| find(program, name).unwrap_or_default());
    found.iter().map(|field| Field { offset: field.offset + base, ..field.clone() }).collect()
}

fn find(program: &Path, name: &str) -> Option<Vec<Field>> {
    let data = super::contents(program)?;
    let file = object::File::parse(&*data).ok()?;
    each_unit(&file, |dwarf, unit| {
        let types = Types { dwarf };
        let mut entries = unit.entries();
        let (mut depth, mut around) = (0, Vec::new());
        while let Ok(Some((deeper, entry))) = entries.next_dfs() {
            depth += deeper;
            while around.last().is_some_and(|&(outer, _)| outer >= depth) {
                around.pop();
            }
            if entry.tag() == gimli::DW_TAG_namespace {
                around.push((depth, types.name(unit, entry)));
            }
            if entry.tag() != gimli::DW_TAG_structure_type {
                continue;
            }
            let modules = around.iter().map(|(_, module)| module.as_str());
            if is_meant(name, &types.name(unit, entry), modules) {
                let mut found = Vec::new();
                types.walk(unit, entry.offset(), 0, String::new(), &mut found, 0);
                if !found.is_empty() {
                    return Some(found);
                }
            }
        }
        None
    })
}

/// Whether `wanted` is the structure `found` in these modules.
fn is_meant<'a>(
    wanted: &str,
    found: &str,
    mut modules: impl DoubleEndedIterator<Item = &'a str>,
) -> bool {
    let mut words = wanted.rsplit("::");
    if words.next() != Some(found) {
        return false;
    }
    if wanted == found {
        return !matches!(modules.next(), Some("core" | "alloc" | "std"));
    }
    words.all(|word| modules.next_back() == Some(word))
}

struct Types<'a, 'b> {
    dwarf: &'a Dwarf<Slice<'b>>,
}

impl<'b> Types<'_, 'b> {
    fn walk(
        &self,
        unit: &Unit<Slice<'b>>,
        at: UnitOffset,
        base: usize,
        path: String,
        found: &mut Vec<Field>,
        depth: usize,
    ) {
        let Ok(entry) = unit.entry(at) else { return };
        if depth > DEEPEST {
            return;
        }
        let kind = self.name(unit, &entry);
        let leaf = |found: &mut Vec<Field>| {
            let size = size(&entry);
            if size > 0 && !path.is_empty() {
                found.push(Field { name: path.clone(), offset: base, size, kind: kind.clone() });
            }
        };
        match entry.tag() {
            gimli::DW_TAG_structure_type => {
                let whole = kind.starts_with("Atomic")
                    || matches!(kind.as_str(), "sem_t" | "pthread_mutex_t" | "pthread_cond_t");
                if whole && depth > 0 {
                    return leaf(found);
                }
                for (name, offset, kind) in self.members(unit, at) {
                    let name = match (path.as_str(), name.as_str()) {
                        ("", _) => name,
                        // A wrapper around one value has the name of what it wraps it in.
                        (_, "__0" | "value" | "v" | "inner") => path.clone(),
                        _ => format!("{path}.{name}"),
                    };
                    self.follow(unit, kind, base + offset, name, found, depth + 1);
                }
            }
            gimli::DW_TAG_array_type => {
                let Some(element) = type_of(&entry) else { return };
                let each = self.size_of(unit, element);
                for index in 0..self.count(unit, at).min(LONGEST) {
                    let name = format!("{path}[{index}]");
                    self.follow(unit, element, base + index * each, name, found, depth + 1);
                }
            }
            gimli::DW_TAG_typedef | gimli::DW_TAG_volatile_type | gimli::DW_TAG_const_type => {
                if let Some(kind) = type_of(&entry) {
                    self.follow(unit, kind, base, path, found, depth + 1);
                }
            }
            _ => leaf(found),
        }
    }

    /// Walks a type that may be described in another unit.
    fn follow(
        &self,
        unit: &Unit<Slice<'b>>,
        at: AttributeValue<Slice<'b>>,
        base: usize,
        path: String,
        found: &mut Vec<Field>,
        depth: usize,
    ) {
        match at {
            AttributeValue::UnitRef(offset) => {
                self.walk(unit, offset, base, path, found, depth);
            }
            AttributeValue::DebugInfoRef(_) => {
                if let Some((other, offset)) = self.elsewhere(at) {
                    self.walk(&other, offset, base, path, found, depth);
                }
            }
            _ => {}
        }
    }

    fn elsewhere(&self, at: AttributeValue<Slice<'b>>) -> Option<(Unit<Slice<'b>>, UnitOffset)> {
        let AttributeValue::DebugInfoRef(offset) = at else { return None };
        let mut units = self.dwarf.units();
        while let Ok(Some(header)) = units.next() {
            if let Some(inside) = offset.to_unit_offset(&header) {
                return Some((self.dwarf.unit(header).ok()?, inside));
            }
        }
        None
    }

    fn members(
        &self,
        unit: &Unit<Slice<'b>>,
        at: UnitOffset,
    ) -> Vec<(String, usize, AttributeValue<Slice<'b>>)> {
        let mut members = Vec::new();
        let Ok(mut tree) = unit.entries_tree(Some(at)) else { return members };
        let Ok(root) = tree.root() else { return members };
        let mut children = root.children();
        while let Ok(Some(child)) = children.next() {
            let child = child.entry();
            if child.tag() != gimli::DW_TAG_member {
                continue;
            }
            let offset = number(child, gimli::DW_AT_data_member_location);
            if let Some(kind) = type_of(child) {
                members.push((self.name(unit, child), offset, kind));
            }
        }
        members.sort_by_key(|&(_, offset, _)| offset);
        members
    }

    fn count(&self, unit: &Unit<Slice<'b>>, at: UnitOffset) -> usize {
        let Ok(mut tree) = unit.entries_tree(Some(at)) else { return 0 };
        let Ok(root) = tree.root() else { return 0 };
        let mut children = root.children();
        while let Ok(Some(child)) = children.next() {
            let child = child.entry();
            if child.tag() == gimli::DW_TAG_subrange_type {
                let count = number(child, gimli::DW_AT_count);
                let bound = child.attr_value(gimli::DW_AT_upper_bound).ok().flatten();
                let bound = bound.and_then(|value| value.udata_value());
                return bound.map_or(count, |bound| bound as usize + 1);
            }
        }
        0
    }

    fn size_of(&self, unit: &Unit<Slice<'b>>, at: AttributeValue<Slice<'b>>) -> usize {
        match at {
            AttributeValue::UnitRef(offset) => unit.entry(offset).map_or(0, |entry| size(&entry)),
            _ => self
                .elsewhere(at)
                .and_then(|(other, offset)| other.entry(offset).ok().map(|entry| size(&entry)))
                .unwrap_or(0),
        }
    }

    fn name(&self, unit: &Unit<Slice<'b>>, entry: &Entry<'_, 'b>) -> String {
        let value = entry.attr_value(gimli::DW_AT_name).ok().flatten();
        let text = value.and_then(|value| self.dwarf.attr_string(unit, value).ok());
        text.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

fn type_of<'b>(entry: &Entry<'_, 'b>) -> Option<AttributeValue<Slice<'b>>> {
    entry.attr_value(gimli::DW_AT_type).ok().flatten()
}

fn size(entry: &Entry<'_, '_>) -> usize {
    number(entry, gimli::DW_AT_byte_size)
}

fn number(entry: &Entry<'_, '_>, name: gimli::DwAt) -> usize {
    let value = entry.attr_value(name).ok().flatten();
    value.and_then(|value| value.udata_value()).unwrap_or(0) as usize
}
