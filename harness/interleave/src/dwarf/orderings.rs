//! Which line of the standard library stands for which ordering. On x86 a relaxed store and a
//! releasing one are the same instruction, but `core` writes each arm of `match order` on a line of
//! its own, and the debugging information keeps it. A few functions of ours, compiled by the same
//! compiler, tell which line is which.

use std::collections::HashMap;
use std::sync::OnceLock;

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl};

use super::lines::Lines;
use crate::probe;
use crate::request::Ordering;

/// Orderings by line, for one version of the compiler.
pub(crate) struct Orderings {
    lines: HashMap<u32, Ordering>,
    compiler: String,
}

impl Orderings {
    /// What our own compiler does, learned once.
    pub(crate) fn of_this_compiler() -> &'static Orderings {
        static LEARNED: OnceLock<Orderings> = OnceLock::new();
        LEARNED.get_or_init(Orderings::learn)
    }

    /// Learns from our own program. Where it has no debugging information, nothing is known.
    fn learn() -> Orderings {
        let none = || Orderings { lines: HashMap::new(), compiler: String::new() };
        let Ok(path) = std::env::current_exe() else { return none() };
        let module = Lines::of(&path);
        let Some(module) = module.as_ref() else { return none() };
        let (Some(compiler), Some(data)) = (module.compiler(), super::contents(&path)) else {
            return none();
        };
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let mut lines: HashMap<u32, Option<Ordering>> = HashMap::new();
        for &(function, ordering) in probe::PROBES {
            let Some(offset) = file_offset(&maps, function as usize as u64) else { continue };
            let Some(code) = data.get(offset as usize..) else { continue };
            let mut decoder = Decoder::with_ip(64, code, offset, DecoderOptions::NONE);
            // The functions are a few dozen instructions long.
            for _ in 0..100 {
                let instruction = decoder.decode();
                if let Some(line) = module.frames(instruction.ip()).atomic_line {
                    let known = lines.entry(line).or_insert(Some(ordering));
                    // A line that stands for two orderings says nothing.
                    if *known != Some(ordering) {
                        *known = None;
                    }
                }
                let over = instruction.flow_control() == FlowControl::Return;
                if over || instruction.code() == Code::INVALID {
                    break;
                }
            }
        }
        let lines =
            lines.into_iter().filter_map(|(line, ordering)| Some((line, ordering?))).collect();
        Orderings { lines, compiler: compiler.to_owned() }
    }

    /// Whether anything was learned.
    pub(crate) fn is_known(&self) -> bool {
        // A load, a store, six updates and two exchanges can be relaxed.
        let relaxed = |&&ordering: &&Ordering| ordering == Ordering::Relaxed;
        self.lines.values().filter(relaxed).count() >= 10
    }

    /// The ordering of a line of `atomic.rs`, if it is of the compiler we know.
    pub(crate) fn of_line(&self, line: u32, compiler: &str) -> Option<Ordering> {
        (compiler == self.compiler).then(|| self.lines.get(&line).copied()).flatten()
    }
}

/// Where in its file an address of ours is.
fn file_offset(maps: &str, address: u64) -> Option<u64> {
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let offset = words.nth(1)?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        let (start, end, offset) = (number(start)?, number(end)?, number(offset)?);
        if (start..end).contains(&address) {
            return Some(address - start + offset);
        }
    }
    None
}
