//! Page links' secrets: what a link has to carry, encrypted, so that none shows a patient's number
//! and none can be forged. Bound to whatever the one who opens it must know: the caller's
//! organisation, or more.

use std::fmt;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};

const SECRET_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// Seals and opens with secrets that all processes of a service share.
pub struct Seal {
    first: XChaCha20Poly1305,
    others: Vec<XChaCha20Poly1305>,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(..)")
    }
}

impl Seal {
    /// A seal with one secret.
    pub fn new(secret: [u8; SECRET_BYTES]) -> Self {
        Self { first: XChaCha20Poly1305::new(&secret.into()), others: Vec::new() }
    }

    /// A seal that no other process can open, and this one only until it ends.
    pub fn random() -> Self {
        let mut secret = [0; SECRET_BYTES];
        secret[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        secret[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        Self::new(secret)
    }

    /// This seal, which also opens what was sealed with an older secret.
    #[must_use]
    pub fn opening(mut self, secret: [u8; SECRET_BYTES]) -> Self {
        self.others.push(XChaCha20Poly1305::new(&secret.into()));
        self
    }

    /// The text of a content for a link; who opens it must say what it is bound to.
    pub fn seal(&self, content: &[u8], bound_to: &[u8]) -> String {
        let (a, b) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
        let mut nonce = [0; NONCE_BYTES];
        nonce[..16].copy_from_slice(a.as_bytes());
        nonce[16..].copy_from_slice(&b.as_bytes()[..8]);
        let payload = Payload { msg: content, aad: bound_to };
        let sealed = self.first.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.expect("a text in memory is never too long for the cipher");
        URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat())
    }

    /// The content of a text that was sealed with one of the secrets and bound to the same; nothing
    /// if it was not.
    pub fn open(&self, text: &str, bound_to: &[u8]) -> Option<Vec<u8>> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let open = |cipher: &XChaCha20Poly1305| {
            let payload = Payload { msg: sealed, aad: bound_to };
            cipher.decrypt(&XNonce::from(*nonce), payload).ok()
        };
        std::iter::once(&self.first).chain(&self.others).find_map(open)
    }
}

/// Reads a secret from a file: 32 bytes, as they are or in base64.
pub fn secret(file: &Path) -> io::Result<[u8; SECRET_BYTES]> {
    let content = std::fs::read(file)?;
    if let Ok(secret) = content.as_slice().try_into() {
        return Ok(secret);
    }
    let decoded = STANDARD.decode(content.trim_ascii()).unwrap_or_default();
    decoded.try_into().map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidData, "it must hold 32 bytes, raw or in base64")
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_opened_by_whom_it_is_bound_to() {
        let seal = Seal::new([7; 32]);
        let text = seal.seal(b"content", b"QWO");
        assert_eq!(seal.open(&text, b"QWO").unwrap(), b"content");
        assert_eq!(seal.open(&text, b"QHM"), None);
        assert_eq!(Seal::new([8; 32]).open(&text, b"QWO"), None);
        assert_ne!(text, seal.seal(b"content", b"QWO"), "no nonce is used twice");
    }

    #[test]
    fn what_was_tampered_with_is_not_opened() {
        let seal = Seal::new([7; 32]);
        let text = seal.seal(b"content", b"QWO");
        for at in 0..text.len() {
            let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
            let tampered = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert_eq!(seal.open(&tampered, b"QWO"), None);
        }
        for bad in ["", "x", "!!", &text[..20]] {
            assert_eq!(seal.open(bad, b"QWO"), None);
        }
    }

    #[test]
    fn an_older_secret_opens_and_does_not_seal() {
        let (old, new) = (Seal::new([7; 32]), Seal::new([8; 32]).opening([7; 32]));
        assert!(new.open(&old.seal(b"content", b""), b"").is_some());
        assert!(old.open(&new.seal(b"content", b""), b"").is_none());
    }
}
