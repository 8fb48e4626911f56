//! A client assertion: a JWT, signed RS512, that says who we are. <https://www.rfc-editor.org/rfc/rfc7523>

use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA512, RsaKeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::{TokenConfig, TokenError};

/// How long an assertion is good for. At most five minutes are allowed; a clock of ours that is a
/// little ahead must not make it more.
const LIFE_S: i64 = 240;

/// Reads an RSA key, or says in one sentence why it cannot be used.
pub(super) fn load(file: &Path) -> Result<RsaKeyPair, String> {
    let named = |what: &str| format!("{} {what}", file.display());
    let text = std::fs::read(file).map_err(|error| named(&format!("cannot be read: {error}")))?;
    let key = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| named("holds no private key in PEM form"))?;
    let pair = match &key {
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        _ => return Err(named("holds a private key that is not an RSA key")),
    };
    pair.map_err(|_| named("holds a private key that is not an RSA key of 2,048 to 8,192 bits"))
}

/// An assertion for the configured endpoint, made now.
pub(super) fn make(config: &TokenConfig, now_micros: i64) -> Result<String, TokenError> {
    let key = load(&config.private_key_file).map_err(TokenError::Key)?;
    let header = json!({"alg": "RS512", "typ": "JWT", "kid": config.key_id});
    let claims = json!({
        "iss": config.api_key,
        "sub": config.api_key,
        "aud": config.url,
        "jti": uuid::Uuid::new_v4().to_string(),
        "exp": now_micros.div_euclid(1_000_000) + LIFE_S,
    });
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(&header), part(&claims));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA512, &SystemRandom::new(), message.as_bytes(), &mut signature)
        .map_err(|_| TokenError::Key("the private key cannot sign".into()))?;
    Ok(format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}
