//! The next link's secret: where the page ended and what was asked, encrypted, so that no link
//! carries a patient's number and none can be forged. Bound to the caller's organisation.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use fhir::identifier::OdsCode;
use fhir::outcome::IssueCode;
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use service::refusal::Refusal;

/// A link works for a day.
const LIFE_MICROS: i64 = 24 * 3_600 * 1_000_000;
const NONCE_BYTES: usize = 24;

/// What a next link says, to us alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cursor<R> {
    /// Where it was asked, below our base.
    pub path: String,
    /// The search that is walked.
    pub query: Vec<(String, String)>,
    /// Where it is taken up again.
    pub resume: R,
    /// When the link was made.
    pub made: i64,
}

/// Seals and opens cursors with the store's secret.
pub struct Seal {
    cipher: XChaCha20Poly1305,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(..)")
    }
}

impl Seal {
    /// A seal with the secret that all processes of a store share.
    pub fn new(secret: [u8; 32]) -> Self {
        Self { cipher: XChaCha20Poly1305::new(&secret.into()) }
    }

    /// The text of a cursor for a link, of use to this organisation only.
    pub fn seal<R: Serialize>(&self, cursor: &Cursor<R>, organisation: &OdsCode) -> String {
        let text = serde_json::to_vec(cursor).expect("strings and numbers always serialise");
        let (a, b) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
        let mut nonce = [0; NONCE_BYTES];
        nonce[..16].copy_from_slice(a.as_bytes());
        nonce[16..].copy_from_slice(&b.as_bytes()[..8]);
        let payload = Payload { msg: &text, aad: organisation.as_str().as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.expect("a text in memory is never too long for the cipher");
        URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat())
    }

    /// Opens a cursor; refuses one that is forged, another's, or too old.
    pub fn open<R: DeserializeOwned>(
        &self,
        text: &str,
        organisation: &OdsCode,
        now: i64,
    ) -> Result<Cursor<R>, Refusal> {
        let cursor: Cursor<R> = self.decrypt(text, organisation).ok_or_else(|| {
            let text = "This page link is not one of ours, or was made for another organisation: \
                        begin the search again.";
            Refusal::bad_request(IssueCode::Invalid, text)
        })?;
        if now - cursor.made > LIFE_MICROS {
            let text = "This page link is older than a day: begin the search again.";
            return Err(Refusal::error(StatusCode::GONE, IssueCode::Expired, text));
        }
        Ok(cursor)
    }

    fn decrypt<R: DeserializeOwned>(
        &self,
        text: &str,
        organisation: &OdsCode,
    ) -> Option<Cursor<R>> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: organisation.as_str().as_bytes() };
        let text = self.cipher.decrypt(&XNonce::from(*nonce), payload).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn cursor() -> Cursor<(i64, i64)> {
        Cursor {
            path: "Observation".into(),
            query: vec![("patient.identifier".into(), "s|9434765919".into())],
            resume: (1, 2),
            made: 0,
        }
    }

    #[test]
    fn a_cursor_is_read_back_by_its_own_organisation_for_a_day() {
        let (seal, own, other) =
            (Seal::new([7; 32]), "QWO".parse().unwrap(), "QHM".parse().unwrap());
        let text = seal.seal(&cursor(), &own);
        assert_eq!(seal.open::<(i64, i64)>(&text, &own, 0).unwrap(), cursor());
        assert_eq!(
            seal.open::<(i64, i64)>(&text, &own, LIFE_MICROS + 1).unwrap_err().status,
            StatusCode::GONE
        );
        assert_eq!(
            seal.open::<(i64, i64)>(&text, &other, 0).unwrap_err().status,
            StatusCode::BAD_REQUEST
        );
        assert!(Seal::new([8; 32]).open::<(i64, i64)>(&text, &own, 0).is_err());
    }

    #[test]
    fn a_tampered_or_foolish_cursor_is_refused() {
        let (seal, own) = (Seal::new([7; 32]), "QWO".parse().unwrap());
        let text = seal.seal(&cursor(), &own);
        let at = text.len() / 2;
        let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
        let tampered = format!("{}{other}{}", &text[..at], &text[at + 1..]);
        for bad in ["", "x", "!!", &tampered, &text[..20]] {
            assert_eq!(
                seal.open::<(i64, i64)>(bad, &own, 0).unwrap_err().status,
                StatusCode::BAD_REQUEST
            );
        }
    }
}
