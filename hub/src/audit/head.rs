//! A head: where every lane of the trail ended at a moment, in one document that can be signed.
//!
//! A chain alone does not show that its end was cut off, or that all of it was made anew; a head that is
//! kept elsewhere does. The signature (Ed25519, <https://www.rfc-editor.org/rfc/rfc8032>) is of the
//! bytes of `head` as they stand in the document.

use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use fhir::instant::format_instant;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use service::config::ConfigError;
use thiserror::Error;

use super::chain::{Tip, hex};

/// What stands before an Ed25519 key's 32 bytes. <https://www.rfc-editor.org/rfc/rfc8410#section-4>
const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Where the lanes ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// When, as a FHIR instant.
    pub time: String,
    /// The ODS code of the organisation whose record it is.
    pub region: String,
    /// Each lane that has entries.
    pub lanes: Vec<Lane>,
}

/// Where one lane ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// Its number.
    pub lane: i64,
    /// How many entries it had.
    pub size: i64,
    /// The last one's hash, in hexadecimal digits.
    pub hash: String,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    head: &'a RawValue,
    signature: Option<String>,
}

/// Why a document is no head of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeadError {
    /// It is something else.
    #[error("is no head")]
    Unreadable,
    /// It was altered, or signed by another.
    #[error("has a signature that is not of audit.signing_key_file")]
    Forged,
}

impl Head {
    /// Where these lanes end now.
    pub fn of(now: i64, region: &str, tips: &[Tip]) -> Self {
        let lane = |tip: &Tip| Lane { lane: tip.lane, size: tip.seq, hash: hex(&tip.hash) };
        let lanes = tips.iter().map(lane).collect();
        Self { time: format_instant(now), region: region.to_owned(), lanes }
    }

    /// The document, in one line.
    pub fn document(&self, key: Option<&SigningKey>) -> String {
        let head = serde_json::to_string(self).expect("texts and numbers are JSON");
        match key {
            Some(key) => format!(r#"{{"head":{head},"signature":"{}"}}"#, key.sign(&head)),
            None => format!(r#"{{"head":{head}}}"#),
        }
    }

    /// Whether a trail that ended here can have ended there before: no lane is gone or shorter, and one that
    /// is as long is the same.
    pub fn follows(&self, earlier: &Self) -> bool {
        earlier.lanes.iter().all(|before| {
            let now = self.lanes.iter().find(|now| now.lane == before.lane);
            now.is_some_and(|now| now.size > before.size || now == before)
        })
    }

    /// The same of two documents; what is no head follows nothing.
    pub fn may_follow(earlier: &str, later: &str) -> bool {
        let read = |document| Self::read(document, None::<&VerifyingKey>).ok();
        match (read(earlier), read(later)) {
            (Some((earlier, _)), Some((later, _))) => later.follows(&earlier),
            _ => false,
        }
    }

    /// Reads a document, and says whether it is signed. Without a key, a signature is believed.
    pub fn read(document: &str, key: Option<&VerifyingKey>) -> Result<(Self, bool), HeadError> {
        let read = |_| HeadError::Unreadable;
        let Document { head, signature } = serde_json::from_str(document).map_err(read)?;
        if let (Some(key), Some(signature)) = (key, &signature)
            && !key.has_signed(head.get(), signature)
        {
            return Err(HeadError::Forged);
        }
        let head = serde_json::from_str(head.get()).map_err(read)?;
        Ok((head, signature.is_some()))
    }
}

/// The key that heads are signed with.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// Reads an Ed25519 key (PEM, "PRIVATE KEY").
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let refused = |what: &str| ConfigError::Refused(format!("{} {what}", file.display()));
        let text = std::fs::read(file).map_err(|_| refused("cannot be read"))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(&text)
            .map_err(|_| refused("holds no private key in PEM form"))?;
        let key = Ed25519KeyPair::from_pkcs8(key.secret_pkcs8_der());
        key.map(Self).map_err(|_| refused("holds a private key that is not an Ed25519 key"))
    }

    fn sign(&self, text: &str) -> String {
        BASE64_STANDARD.encode(self.0.sign(text.as_bytes()))
    }

    /// Its public half.
    pub fn public(&self) -> VerifyingKey {
        VerifyingKey(self.0.public_key().as_ref().to_vec())
    }
}

/// The public half of a key that heads are signed with.
#[derive(Debug, Clone)]
pub struct VerifyingKey(Vec<u8>);

impl VerifyingKey {
    /// Reads an Ed25519 key (PEM, "PUBLIC KEY").
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let refused = |what: &str| ConfigError::Refused(format!("{} {what}", file.display()));
        let text = std::fs::read(file).map_err(|_| refused("cannot be read"))?;
        let key = SubjectPublicKeyInfoDer::from_pem_slice(&text)
            .map_err(|_| refused("holds no public key in PEM form"))?;
        let bytes = key.strip_prefix(&PREFIX).filter(|bytes| bytes.len() == 32);
        let bytes =
            bytes.ok_or_else(|| refused("holds a public key that is not an Ed25519 key"))?;
        Ok(Self(bytes.to_vec()))
    }

    fn has_signed(&self, text: &str, signature: &str) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        let signature = BASE64_STANDARD.decode(signature);
        signature.is_ok_and(|signature| key.verify(text.as_bytes(), &signature).is_ok())
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use aws_lc_rs::rand::SystemRandom;

    use super::*;

    fn key() -> SigningKey {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        SigningKey(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    #[test]
    fn a_signature_is_of_one_key_and_of_every_byte_of_a_head() {
        let head = Head::of(0, "QWO", &[Tip::start(1).after(0, "{}")]);
        let (own, other) = (key(), key());
        let (own_public, other_public) = (own.public(), other.public());
        let signed = head.document(Some(&own));
        assert_eq!(Head::read(&signed, Some(&own_public)), Ok((head.clone(), true)));
        assert_eq!(Head::read(&signed, None), Ok((head.clone(), true)));
        assert_eq!(Head::read(&signed, Some(&other_public)), Err(HeadError::Forged));
        let altered = signed.replace(r#""size":1"#, r#""size":2"#);
        assert_eq!(Head::read(&altered, Some(&own_public)), Err(HeadError::Forged));
        assert_eq!(Head::read(&head.document(None), Some(&own_public)), Ok((head, false)));
        assert_eq!(Head::read("{}", None), Err(HeadError::Unreadable));
    }

    #[test]
    fn a_head_follows_one_whose_lanes_it_prolongs() {
        let start = [Tip::start(1), Tip::start(2)];
        let once = start.map(|tip| tip.after(0, "{}"));
        let head = |tips: &[Tip]| Head::of(0, "QWO", tips);
        let before = head(&once);
        for (tips, follows) in [
            (vec![once[0], once[1]], true),
            (vec![once[0].after(0, "{}"), once[1], Tip::start(3)], true),
            (vec![once[0]], false),
            (vec![start[0], once[1]], false),
            (vec![start[0].after(0, "[]"), once[1]], false),
        ] {
            assert_eq!(head(&tips).follows(&before), follows, "{tips:?}");
        }
    }
}
