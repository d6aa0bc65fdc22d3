//! What the kernel does for robust mutexes when a process dies. It cannot do it here, since it
//! cannot reach the segment, so we look for the mutexes the process held while it still stands.

use nix::libc;

use super::running::Running;

/// Bit of the owner's word: somebody sleeps on it.
const WAITERS: u32 = 0x8000_0000;

/// Bit of the owner's word: its owner died.
const OWNER_DIED: u32 = 0x4000_0000;

/// The rest of the word is the owner.
const OWNER: u32 = 0x3fff_ffff;

/// The kernel follows at most so many.
const MOST: usize = 2048;

impl Running {
    /// The words of all robust mutexes in the segment that this process holds, and what they become
    /// by its death.
    pub(super) fn held_mutexes(&self) -> Vec<(usize, u32)> {
        let head = self.robust_list();
        if head == 0 {
            return Vec::new();
        }
        // struct robust_list_head: the first entry, from an entry to its word, one being taken.
        let to_word = self.tracee.read_u64(head + 8);
        let pending = self.tracee.read_u64(head + 16);
        let mut words = Vec::new();
        let mut entry = self.tracee.read_u64(head) & !1;
        for _ in 0..MOST {
            if entry == head || entry == 0 {
                break;
            }
            words.extend(self.abandoned(entry.wrapping_add(to_word)));
            entry = self.read_anywhere(entry) & !1;
        }
        if pending & !1 != 0 {
            words.extend(self.abandoned((pending & !1).wrapping_add(to_word)));
        }
        words
    }

    /// Where the process keeps the list of the mutexes it holds; 0 if nowhere.
    pub(super) fn robust_list(&self) -> u64 {
        if self.robust_list != 0 {
            return self.robust_list;
        }
        let (mut head, mut len) = (0_u64, 0_usize);
        // SAFETY: the kernel writes a pointer and a length into these two variables, which live
        // until it returns; nobody else has them.
        let found = unsafe {
            libc::syscall(
                libc::SYS_get_robust_list,
                self.tracee.pid().as_raw(),
                &raw mut head,
                &raw mut len,
            )
        };
        if found == 0 { head } else { 0 }
    }

    fn abandoned(&self, address: u64) -> Option<(usize, u32)> {
        if !self.mappings.hold(address) {
            return None;
        }
        let word = self.read_anywhere(address) as u32;
        (i64::from(word & OWNER) == self.id())
            .then(|| (self.mappings.offset_of(address), word & WAITERS | OWNER_DIED))
    }

    /// Eight bytes, be they private or in the segment.
    fn read_anywhere(&self, address: u64) -> u64 {
        // Reading through /proc/PID/mem is not stopped by the protection of the mapping.
        self.tracee.read_u64(address)
    }
}
