//! The public keys of an issuer: a JSON Web Key Set. <https://www.rfc-editor.org/rfc/rfc7517>
//!
//! A key fixes what may be signed with it: RSA keys RS512 and RS384, P-384 keys ES384. Nothing else is
//! believed, and no key is taken from a token.

use std::collections::HashMap;

use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;

/// Smallest and largest modulus, in bytes: 2,048 and 8,192 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1_024;
/// Bytes of a coordinate of P-384.
const COORDINATE_BYTES: usize = 48;

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum Algorithm {
    RS512,
    RS384,
    ES384,
}

/// Public keys by their `kid`.
#[derive(Debug)]
pub struct Keys(HashMap<String, PublicKey>);

#[derive(Debug)]
enum PublicKey {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    P384(UnparsedPublicKey<Vec<u8>>),
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    r#use: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Keys {
    /// The keys of a file's content; those of other kinds and uses are passed over.
    pub fn load(json: &[u8]) -> Result<Self, String> {
        let set: KeySet = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let mut keys = HashMap::new();
        for key in set.keys {
            if key.r#use.as_deref().is_some_and(|usage| usage != "sig") {
                continue;
            }
            let public = match (key.kty.as_str(), key.crv.as_deref()) {
                ("RSA", _) => rsa(&key),
                ("EC", Some("P-384")) => p384(&key),
                _ => continue,
            };
            let kid = key.kid.ok_or("a key has no kid")?;
            let public = public.ok_or_else(|| {
                format!("the key {kid} is neither RSA of 2,048 to 8,192 bits nor P-384")
            })?;
            if keys.insert(kid.clone(), public).is_some() {
                return Err(format!("the kid {kid} is given twice"));
            }
        }
        if keys.is_empty() { Err("it holds no RSA or P-384 key".into()) } else { Ok(Self(keys)) }
    }

    /// Whether `signature` of `message` was made with this key in this way.
    pub fn verify(&self, kid: &str, how: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let verified = match (self.0.get(kid), how) {
            (Some(PublicKey::Rsa(key)), Algorithm::RS512) => {
                key.verify(&RSA_PKCS1_2048_8192_SHA512, message, signature)
            }
            (Some(PublicKey::Rsa(key)), Algorithm::RS384) => {
                key.verify(&RSA_PKCS1_2048_8192_SHA384, message, signature)
            }
            (Some(PublicKey::P384(key)), Algorithm::ES384) => key.verify(message, signature),
            _ => return false,
        };
        verified.is_ok()
    }
}

fn part(text: Option<&str>) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text.unwrap_or_default()).unwrap_or_default()
}

fn rsa(key: &Key) -> Option<PublicKey> {
    let number = |text| {
        let bytes = part(text);
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes[zeros..].to_vec()
    };
    let (n, e) = (number(key.n.as_deref()), number(key.e.as_deref()));
    let sound = MODULUS_BYTES.contains(&n.len()) && !e.is_empty();
    sound.then_some(PublicKey::Rsa(RsaPublicKeyComponents { n, e }))
}

fn p384(key: &Key) -> Option<PublicKey> {
    let (x, y) = (part(key.x.as_deref()), part(key.y.as_deref()));
    let sound = x.len() == COORDINATE_BYTES && y.len() == COORDINATE_BYTES;
    // A point, uncompressed.
    let point = [vec![4], x, y].concat();
    sound.then(|| PublicKey::P384(UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point)))
}
