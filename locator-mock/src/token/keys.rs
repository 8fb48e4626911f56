//! The public keys of an application: RSA keys of a JSON Web Key Set.
//! <https://www.rfc-editor.org/rfc/rfc7517>

use std::collections::HashMap;
use std::path::Path;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use service::config::ConfigError;

/// Smallest modulus, in bytes: 2,048 bits.
const MODULUS_BYTES_MIN: usize = 256;
/// Largest modulus, in bytes: 8,192 bits.
const MODULUS_BYTES_MAX: usize = 1_024;

/// Public keys by their `kid`.
#[derive(Debug)]
pub(super) struct Keys(HashMap<String, RsaPublicKeyComponents<Vec<u8>>>);

#[derive(Debug, Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

#[derive(Debug, Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl Keys {
    /// The RSA keys of a file; those of other kinds are passed over.
    pub(super) fn load(file: &Path) -> Result<Self, ConfigError> {
        let refused = |what: &dyn std::fmt::Display| {
            ConfigError::Refused(format!("applications.jwks: {}: {what}", file.display()))
        };
        let text = std::fs::read(file).map_err(|error| refused(&error))?;
        let set: KeySet = serde_json::from_slice(&text).map_err(|error| refused(&error))?;
        let mut keys = HashMap::new();
        for key in set.keys.into_iter().filter(|key| key.kty == "RSA") {
            let kid = key.kid.ok_or_else(|| refused(&"a key has no kid"))?;
            let part = |part: Option<String>| {
                let bytes = BASE64_URL_SAFE_NO_PAD.decode(part.unwrap_or_default());
                let bytes = bytes.unwrap_or_default();
                let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                bytes[zeros..].to_vec()
            };
            let (n, e) = (part(key.n), part(key.e));
            if !(MODULUS_BYTES_MIN..=MODULUS_BYTES_MAX).contains(&n.len()) || e.is_empty() {
                let text = format!("the key {kid} is not an RSA key of 2,048 to 8,192 bits");
                return Err(refused(&text));
            }
            if keys.insert(kid.clone(), RsaPublicKeyComponents { n, e }).is_some() {
                return Err(refused(&format!("the kid {kid} is given twice")));
            }
        }
        Ok(Self(keys))
    }

    /// Whether `signature` (RS512) of `message` was made with this key; nothing if there is none.
    pub(super) fn verify(&self, kid: &str, message: &[u8], signature: &[u8]) -> Option<bool> {
        let key = self.0.get(kid)?;
        Some(key.verify(&RSA_PKCS1_2048_8192_SHA512, message, signature).is_ok())
    }
}
