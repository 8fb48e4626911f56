//! Tokens that are good for one request, remembered until they expire. The memory is this process's
//! own: another one, or the next, could be sent a token again, but only by whom it is bound to.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};

/// Most tokens that are remembered: 1,500 a second for five minutes.
const SEEN_MAX: usize = 500_000;
/// How often those that have expired are forgotten.
const SWEEP_EVERY_S: i64 = 10;

/// What became of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It had not been seen.
    First,
    /// It had.
    Again,
    /// There is no room to remember it.
    Full,
}

/// The tokens that were seen.
#[derive(Debug, Default)]
pub struct Seen(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When each is forgotten, in seconds since 1970.
    until_s: HashMap<[u8; 16], i64>,
    swept_s: i64,
}

impl Seen {
    /// Remembers a token of an issuer until it has expired.
    pub fn see(&self, issuer: &str, jti: &str, until_s: i64, now_s: i64) -> Sight {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        if now_s >= state.swept_s + SWEEP_EVERY_S {
            state.until_s.retain(|_, until_s| *until_s >= now_s);
            state.swept_s = now_s;
        }
        let key = key(issuer, jti);
        if state.until_s.contains_key(&key) {
            return Sight::Again;
        }
        if state.until_s.len() >= SEEN_MAX {
            return Sight::Full;
        }
        state.until_s.insert(key, until_s);
        Sight::First
    }
}

/// Half a SHA-256 of issuer and jti, each behind its length.
fn key(issuer: &str, jti: &str) -> [u8; 16] {
    let mut context = Context::new(&SHA256);
    for part in [issuer, jti] {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part.as_bytes());
    }
    *context.finish().as_ref().first_chunk().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_remembered_for_its_life() {
        let seen = Seen::default();
        assert_eq!(seen.see("a", "1", 400, 100), Sight::First);
        assert_eq!(seen.see("a", "1", 400, 400), Sight::Again);
        assert_eq!(seen.see("b", "1", 400, 400), Sight::First);
        assert_eq!(seen.see("a", "2", 500, 411), Sight::First);
        assert_eq!(seen.0.lock().map_or(0, |state| state.until_s.len()), 1);
    }
}
