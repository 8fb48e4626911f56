//! What binds one entry to all before it; pure.
//!
//! `hash = SHA-256(lane ‖ seq ‖ recorded ‖ entry ‖ hash of the entry before)`, the numbers as 8 bytes
//! each, most significant first; before the first entry of a lane stand 32 zero bytes. Whoever has a
//! hash can tell whether any entry up to it was altered, dropped, added or moved.

use sha2::{Digest, Sha256};

/// A SHA-256.
pub type Hash = [u8; 32];

/// An entry's place in the trail, as it is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where its lane ends with it.
    pub tip: Tip,
    /// When it was recorded, in microseconds since 1970.
    pub recorded: i64,
    /// The entry, as JSON.
    pub entry: String,
}

/// Where a lane ends. A lane is a chain that one writer at a time prolongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// The lane's number.
    pub lane: i64,
    /// How many entries it has: they are 1, 2, 3, … without gaps.
    pub seq: i64,
    /// The hash of the last.
    pub hash: Hash,
}

impl Tip {
    /// A lane without entries.
    pub fn start(lane: i64) -> Self {
        Self { lane, seq: 0, hash: Hash::default() }
    }

    /// Where the lane ends once this entry is added.
    #[must_use]
    pub fn after(&self, recorded: i64, entry: &str) -> Self {
        let (lane, seq) = (self.lane, self.seq + 1);
        let mut hasher = Sha256::new();
        for number in [lane, seq, recorded] {
            hasher.update(number.to_be_bytes());
        }
        hasher.update(entry.as_bytes());
        hasher.update(self.hash);
        Self { lane, seq, hash: hasher.finalize().into() }
    }

    /// The entry in its place.
    pub fn link(&self, recorded: i64, entry: String) -> Link {
        Link { tip: self.after(recorded, &entry), recorded, entry }
    }
}

/// A hash in hexadecimal digits.
pub fn hex(hash: &Hash) -> String {
    use std::fmt::Write as _;
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The hash that [`hex`] wrote.
pub fn from_hex(text: &str) -> Option<Hash> {
    let digits = text.as_bytes();
    let mut hash = Hash::default();
    if digits.len() != 2 * hash.len() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_of_all_that_binds_an_entry() {
        let tip = Tip::start(1).after(7, "{}");
        // printf '%016x%016x%016x' 1 1 7 | xxd -r -p; printf '{}'; head -c 32 /dev/zero
        let known = "dd680a9e66868e249897a10f9144cc4866ac2d822408acaf358ab77239a59b2c";
        assert_eq!((tip.seq, hex(&tip.hash).as_str()), (1, known));
        assert_eq!(from_hex(known), Some(tip.hash));
        let others = [
            Tip::start(2).after(7, "{}"),
            Tip::start(1).after(8, "{}"),
            Tip::start(1).after(7, "{ }"),
            tip.after(7, "{}"),
            Tip { hash: [1; 32], ..Tip::start(1) }.after(7, "{}"),
        ];
        assert!(others.iter().all(|other| other.hash != tip.hash));
    }
}
