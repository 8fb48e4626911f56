//! The directory file: TOML that ends in a line with its signature (Ed25519,
//! <https://www.rfc-editor.org/rfc/rfc8032>), so that body and signature are replaced in one step.
//!
//! ```toml
//! serial = 7
//!
//! [[regions]]
//! ods = "QWO"
//! name = "West Yorkshire"
//! nation = "england"
//! url = "https://hub.west-yorkshire.example/FHIR/R4"
//! status = "active"
//! # signature: …
//! ```
//!
//! What is signed is every byte before the last line. A file whose serial number is lower than one that
//! was seen, or is the same for other content, is an old or a forked one.

use std::collections::HashSet;
use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fhir::identifier::OdsCode;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use serde::Deserialize;
use service::config::{ConfigError, Nation};

use super::Region;
use crate::config::check_regions;

/// Largest file.
const FILE_BYTES_MAX: u64 = 4 << 20;
const SIGNATURE: &str = "# signature: ";
/// What stands before an Ed25519 key's 32 bytes. <https://www.rfc-editor.org/rfc/rfc8410#section-4>
pub(super) const PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What a directory file says.
#[derive(Debug)]
pub struct Listed {
    /// Rises with each edition.
    pub serial: u64,
    /// The regions, in order.
    pub regions: Vec<Region>,
    /// Those that are not to be asked.
    pub suspended: HashSet<OdsCode>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    serial: u64,
    regions: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    ods: OdsCode,
    name: String,
    nation: Nation,
    url: String,
    status: Status,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Active,
    Suspended,
}

impl Listed {
    /// Reads a body, with or without a signature, and checks that its regions may stand together.
    fn read(body: &str) -> Result<Self, ConfigError> {
        let Body { serial, regions } = service::config::read(body)?;
        let suspended = regions.iter().filter(|entry| entry.status == Status::Suspended);
        let suspended = suspended.map(|entry| entry.ods.clone()).collect();
        let region = |Entry { ods, name, nation, url, .. }| Region { ods, name, nation, url };
        let regions: Vec<Region> = regions.into_iter().map(region).collect();
        check_regions(&regions)?;
        Ok(Self { serial, regions, suspended })
    }
}

/// The key that directory files must be signed with.
#[derive(Debug)]
pub struct PublicKey(UnparsedPublicKey<Vec<u8>>);

impl PublicKey {
    /// Reads an Ed25519 key (PEM, "PUBLIC KEY").
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let refused = |what: &str| ConfigError::Refused(format!("{} {what}", file.display()));
        let text = std::fs::read(file).map_err(|_| refused("cannot be read"))?;
        let key = SubjectPublicKeyInfoDer::from_pem_slice(&text)
            .map_err(|_| refused("holds no public key in PEM form"))?;
        match key.strip_prefix(&PREFIX) {
            Some(bytes) if bytes.len() == 32 => {
                Ok(Self(UnparsedPublicKey::new(&ED25519, bytes.to_vec())))
            }
            _ => Err(refused("holds a public key that is not an Ed25519 key")),
        }
    }

    /// What a file says, if its signature is this key's.
    pub fn open(&self, text: &str) -> Result<Listed, ConfigError> {
        let refused = |text: &str| ConfigError::Refused(text.into());
        let (body, signature) = split(text);
        let signature = signature.ok_or_else(|| refused("it is not signed"))?;
        let signature = BASE64_STANDARD.decode(signature);
        let signature = signature.map_err(|_| refused("its signature is not base64"))?;
        let verified = self.0.verify(body.as_bytes(), &signature);
        verified.map_err(|_| refused("its signature is not that of directory.key_file"))?;
        Listed::read(body)
    }
}

/// Reads a file of a size that can be one.
pub(super) fn read_file(file: &Path) -> Result<String, ConfigError> {
    let refused = |what: String| ConfigError::Refused(format!("{} {what}", file.display()));
    let size = std::fs::metadata(file).map(|metadata| metadata.len());
    match size {
        Ok(0..=FILE_BYTES_MAX) => {}
        Ok(_) => return Err(refused(format!("is larger than {FILE_BYTES_MAX} bytes"))),
        Err(error) => return Err(refused(format!("cannot be read: {error}"))),
    }
    std::fs::read_to_string(file).map_err(|error| refused(format!("cannot be read: {error}")))
}

/// Signs a body; a signature that it has is replaced.
pub(super) fn sign(text: &str, key_file: &Path) -> Result<(String, Listed), ConfigError> {
    let refused = |what: &str| ConfigError::Refused(format!("{} {what}", key_file.display()));
    let key = std::fs::read(key_file).map_err(|_| refused("cannot be read"))?;
    let key = PrivatePkcs8KeyDer::from_pem_slice(&key)
        .map_err(|_| refused("holds no private key in PEM form"))?;
    let key = Ed25519KeyPair::from_pkcs8(key.secret_pkcs8_der())
        .map_err(|_| refused("holds a private key that is not an Ed25519 key"))?;
    let mut body = split(text).0.to_owned();
    if !body.ends_with('\n') {
        body.push('\n');
    }
    let listed = Listed::read(&body)?;
    let signature = BASE64_STANDARD.encode(key.sign(body.as_bytes()));
    Ok((format!("{body}{SIGNATURE}{signature}\n"), listed))
}

/// Body and signature.
fn split(text: &str) -> (&str, Option<&str>) {
    let end = text.trim_end();
    let last = end.rfind('\n').map_or(0, |newline| newline + 1);
    match end[last..].strip_prefix(SIGNATURE) {
        Some(signature) => (&text[..last], Some(signature)),
        None => (text, None),
    }
}
