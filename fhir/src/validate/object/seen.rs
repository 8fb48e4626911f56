//! Which members an object has had so far.

use crate::definitions::elements::MEMBERS_MAX;

/// Which members an object has had so far.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) members: [u64; MEMBERS_MAX / 64],
    pub(super) beside: [u64; MEMBERS_MAX / 64],
    pub(super) slots: u64,
    pub(super) resource_type: bool,
    pub(super) count: usize,
}

impl Seen {
    /// Sets a member's bit; says whether it was set already.
    pub(super) fn again(words: &mut [u64; MEMBERS_MAX / 64], index: usize) -> bool {
        let (word, bit) = (&mut words[index / 64], 1 << (index % 64));
        let again = *word & bit != 0;
        *word |= bit;
        again
    }

    pub(super) fn has(words: &[u64; MEMBERS_MAX / 64], index: usize) -> bool {
        words[index / 64] & (1 << (index % 64)) != 0
    }
}
