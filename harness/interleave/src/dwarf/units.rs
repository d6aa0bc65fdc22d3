//! The units of compilation that the debugging information of one file is made of.

use std::borrow::Cow;
use std::convert::Infallible;

use gimli::{Dwarf, DwarfSections, EndianSlice, LittleEndian, SectionId, Unit};
use object::{Object, ObjectSection};

/// A piece of the debugging information.
pub(super) type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Goes through the units until one gives an answer.
pub(super) fn each_unit<T>(
    file: &object::File<'_>,
    mut look: impl for<'a> FnMut(&Dwarf<Slice<'a>>, &Unit<Slice<'a>>) -> Option<T>,
) -> Option<T> {
    let sections = match DwarfSections::load(|id| section(file, id)) {
        Ok(sections) => sections,
        Err(error) => match error {},
    };
    let dwarf = sections.borrow(|section| EndianSlice::new(section, LittleEndian));
    let mut units = dwarf.units();
    while let Ok(Some(header)) = units.next() {
        if let Ok(unit) = dwarf.unit(header)
            && let Some(answer) = look(&dwarf, &unit)
        {
            return Some(answer);
        }
    }
    None
}

/// A section, decompressed if need be; empty if there is none.
#[expect(clippy::unnecessary_wraps, reason = "the loader of gimli wants a Result")]
fn section<'a>(file: &object::File<'a>, id: SectionId) -> Result<Cow<'a, [u8]>, Infallible> {
    let data = file.section_by_name(id.name()).and_then(|s| s.uncompressed_data().ok());
    Ok(data.unwrap_or_default())
}
