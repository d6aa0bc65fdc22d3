//! Lines, functions and relocations of one file.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use addr2line::Loader;
use object::{Object, ObjectSegment, ObjectSymbol};

use super::kept::Kept;
use super::units::{Slice, each_unit};

/// What stands at one place of the code.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frames {
    /// The innermost line that is the program's own.
    pub(crate) user: Option<Line>,
    /// The innermost line in `core/src/sync/atomic.rs`.
    pub(crate) atomic_line: Option<u32>,
    /// The function of the program's tables, where there are no lines.
    pub(crate) symbol: Option<String>,
}

/// A line of source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) function: String,
}

/// One file with code in it.
pub(crate) struct Lines {
    loader: Mutex<Loader>,
    /// What was asked for before.
    frames: Mutex<HashMap<u64, Arc<Frames>>>,
    /// Offset in the file, length, address.
    segments: Vec<(u64, u64, u64)>,
    /// Address, size and name of every function that has one.
    functions: Vec<(u64, u64, String)>,
    /// Which function a slot of the global offset table leads to, by its address.
    imports: HashMap<u64, String>,
    path: PathBuf,
    file: File,
    compiler: Option<String>,
    mentions_fences: OnceLock<bool>,
}

impl Lines {
    /// What is known of this file; nothing if it cannot be read.
    pub(crate) fn of(path: &Path) -> Arc<Option<Lines>> {
        static KEPT: Kept<Option<Lines>> = Kept::new();
        KEPT.of(path, || Lines::open(path))
    }

    fn open(path: &Path) -> Option<Lines> {
        let source = File::open(path).ok()?;
        let data = super::contents(path)?;
        let loader = Mutex::new(Loader::new(path).ok()?);
        let frames = Mutex::default();
        let file = object::File::parse(&*data).ok()?;
        let segments = file
            .segments()
            .map(|segment| {
                let (offset, len) = segment.file_range();
                (offset, len, segment.address())
            })
            .collect();
        let symbols: HashMap<_, _> = file
            .dynamic_symbols()
            .filter_map(|symbol| Some((symbol.index(), symbol.name().ok()?.to_owned())))
            .collect();
        let imports = file
            .dynamic_relocations()
            .into_iter()
            .flatten()
            .filter_map(|(at, relocation)| match relocation.target() {
                object::RelocationTarget::Symbol(index) => {
                    symbols.get(&index).map(|name| (at, name.clone()))
                }
                _ => None,
            })
            .collect();
        let functions = file
            .dynamic_symbols()
            .chain(file.symbols())
            .filter(|symbol| symbol.kind() == object::SymbolKind::Text && symbol.size() > 0)
            .filter_map(|symbol| {
                Some((symbol.address(), symbol.size(), symbol.name().ok()?.to_owned()))
            })
            .collect();
        Some(Lines {
            loader,
            frames,
            segments,
            functions,
            imports,
            compiler: compiler(&file),
            file: source,
            path: path.to_owned(),
            mentions_fences: OnceLock::new(),
        })
    }

    /// The Rust compiler that made it, if it is of Rust and says so.
    pub(crate) fn compiler(&self) -> Option<&str> {
        self.compiler.as_deref()
    }

    /// Whether the program's own source calls `fence`.
    pub(crate) fn mentions_fences(&self) -> bool {
        let look = || own_sources(&self.path).iter().any(|source| mentions_fence(source));
        *self.mentions_fences.get_or_init(look)
    }

    /// The functions and lines at an offset in the file.
    pub(crate) fn frames(&self, offset: u64) -> Arc<Frames> {
        let known = || self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(frames) = known().get(&offset) {
            return Arc::clone(frames);
        }
        let frames = Arc::new(self.find(offset));
        known().insert(offset, Arc::clone(&frames));
        frames
    }

    fn find(&self, offset: u64) -> Frames {
        let mut found = Frames::default();
        let Some(address) = self.address(offset) else { return found };
        let loader = self.loader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(mut frames) = loader.find_frames(address) {
            while let Ok(Some(frame)) = frames.next() {
                let Some(location) = frame.location else { continue };
                let (file, line) = (location.file.unwrap_or(""), location.line.unwrap_or(0));
                if line == 0 {
                    continue;
                }
                if file.ends_with("core/src/sync/atomic.rs") {
                    found.atomic_line.get_or_insert(line);
                } else if !is_of_others(file) && found.user.is_none() {
                    let function = frame.function.as_ref().and_then(|name| name.demangle().ok());
                    found.user = Some(Line {
                        file: file.to_owned(),
                        line,
                        function: function.map(|name| name.into_owned()).unwrap_or_default(),
                    });
                }
            }
        }
        if found.user.is_none() {
            let holds =
                |(start, size, _): &&(u64, u64, String)| (*start..start + size).contains(&address);
            found.symbol = self.functions.iter().find(holds).map(|(_, _, name)| name.clone());
        }
        found
    }

    /// What `call [rip + …]` calls, if such a call ends just before this offset.
    pub(crate) fn callee(&self, after: u64) -> Option<String> {
        let mut call = [0; 6];
        self.file.read_exact_at(&mut call, after.checked_sub(6)?).ok()?;
        let [0xff, 0x15, displacement @ ..] = call else { return None };
        let displacement = i32::from_le_bytes(displacement);
        let slot = self.address(after)?.wrapping_add_signed(i64::from(displacement));
        self.imports.get(&slot).cloned()
    }

    fn address(&self, offset: u64) -> Option<u64> {
        let within = |&&(start, len, _): &&(u64, u64, u64)| (start..start + len).contains(&offset);
        // The code is the last segment to claim an offset that two share at a page's edge.
        let (start, _, address) = self.segments.iter().rfind(within)?;
        Some(offset - start + address)
    }
}

/// Whether a source file is the standard library's or a dependency's.
fn is_of_others(path: &str) -> bool {
    ["/rustc/", "/rustlib/", "/registry/"].iter().any(|part| path.contains(part))
}

/// The Rust compiler that is named first.
fn compiler(file: &object::File<'_>) -> Option<String> {
    each_unit(file, |dwarf, unit| {
        let producer = root_text(dwarf, unit, gimli::DW_AT_producer)?;
        Some(producer[producer.find("rustc version")?..].to_owned())
    })
}

/// The program's own source files.
fn own_sources(program: &Path) -> BTreeSet<PathBuf> {
    let mut sources = BTreeSet::new();
    let Some(data) = super::contents(program) else { return sources };
    let Ok(file) = object::File::parse(&*data) else { return sources };
    each_unit(&file, |dwarf, unit| {
        let folder = root_text(dwarf, unit, gimli::DW_AT_comp_dir).unwrap_or_default();
        let header = unit.line_program.as_ref()?.header();
        for file in header.file_names().iter().filter(|_| !is_of_others(&folder)) {
            let part = |value| {
                let text = dwarf.attr_string(unit, value).ok()?;
                Some(text.to_string_lossy().into_owned())
            };
            let directory = file.directory(header).and_then(part).unwrap_or_default();
            let Some(name) = part(file.path_name()) else { continue };
            let path = Path::new(&folder).join(directory).join(name);
            if !is_of_others(&path.to_string_lossy()) {
                sources.insert(path);
            }
        }
        None::<()>
    });
    sources
}

/// What the root of a unit has under this name.
fn root_text(
    dwarf: &gimli::Dwarf<Slice<'_>>,
    unit: &gimli::Unit<Slice<'_>>,
    name: gimli::DwAt,
) -> Option<String> {
    let mut entries = unit.entries();
    let (_, root) = entries.next_dfs().ok()??;
    let value = root.attr_value(name).ok()??;
    Some(dwarf.attr_string(unit, value).ok()?.to_string_lossy().into_owned())
}

fn mentions_fence(source: &Path) -> bool {
    let text = std::fs::read_to_string(source).unwrap_or_default();
    text.match_indices("fence(").any(|(at, _)| {
        let line = &text[at + 6..text[at..].find(['\n', ')']).map_or(text.len(), |end| at + end)];
        // A sequentially consistent one is an instruction, and seen.
        !line.trim_end_matches(',').ends_with("SeqCst")
    })
}
