//! The bytes of one access, by value. No instruction we take touches more than 64 of them at once.

use std::fmt;

/// At most 64 bytes, little-endian where they are read as a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bytes {
    len: u8,
    data: [u8; 64],
}

impl Bytes {
    /// The most bytes one instruction moves: an AVX-512 register.
    pub const MOST: usize = 64;

    /// No bytes.
    pub const fn empty() -> Bytes {
        Bytes { len: 0, data: [0; 64] }
    }

    /// `len` zeros.
    ///
    /// # Panics
    ///
    /// If `len` is more than [`Bytes::MOST`].
    pub fn zeros(len: usize) -> Bytes {
        assert!(len <= Bytes::MOST);
        Bytes { len: len as u8, data: [0; 64] }
    }

    /// A copy of a slice.
    ///
    /// # Panics
    ///
    /// If it is longer than [`Bytes::MOST`].
    pub fn of(slice: &[u8]) -> Bytes {
        let mut bytes = Bytes::zeros(slice.len());
        bytes.data[..slice.len()].copy_from_slice(slice);
        bytes
    }

    /// Four bytes, little-endian.
    pub fn of_u32(value: u32) -> Bytes {
        Bytes::of(&value.to_le_bytes())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first eight of them as a number.
    pub fn value(&self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.data[..8]);
        u64::from_le_bytes(first)
    }

    /// All of them.
    pub fn as_slice(&self) -> &[u8] {
        &self.data[..self.len()]
    }

    /// All of them, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        let len = self.len();
        &mut self.data[..len]
    }

    /// `len` of them from `at`.
    pub fn part(&self, at: usize, len: usize) -> Bytes {
        Bytes::of(&self.as_slice()[at..at + len])
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A number if it fits in eight bytes (in hexadecimal when it is long), otherwise the bytes.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len() {
            0..=8 if self.value() < 1 << 32 => write!(f, "{}", self.value()),
            0..=8 => write!(f, "{:#x}", self.value()),
            _ => self.as_slice().iter().rev().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}
