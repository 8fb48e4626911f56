//! A client assertion: a JWT that says who asks, and is checked in this order.
//!
//! | what | status | `error_description` |
//! |---|---|---|
//! | three parts, JSON in two of them | 400 | `Malformed JWT in client_assertion` |
//! | `alg` is RS512 | 400 | `Invalid 'alg' header in JWT - unsupported JWT algorithm - …` |
//! | `exp` is not over | 400 | `Invalid exp claim in JWT - JWT has expired` |
//! | `kid` | 400 | `Missing 'kid' header in JWT` |
//! | `typ` is JWT | 400 | `Invalid 'typ' header in JWT - must be 'JWT'` |
//! | `exp` is there, and a whole number | 400 | `Missing exp claim in JWT`, `Failed to decode JWT` |
//! | `iss` equals `sub` | 400 | `Missing or non-matching iss/sub claims in JWT` |
//! | `jti` is there, and text | 400 | `Missing jti claim in JWT`, `Failed to decode JWT` |
//! | `exp` is soon | 400 | `Invalid exp claim in JWT - more than 5 minutes in future` |
//! | `iat`, if there, is a number and past | 400 | `Failed to decode JWT`, `Invalid iat claim in JWT …` |
//! | `iss` is an application | 401 | `Invalid iss/sub claims in JWT` |
//! | `aud` is this endpoint | 401 | `Missing or invalid aud claim in JWT` |
//! | the application has keys | 403 | `You need to register a public key …` |
//! | `kid` is one of them | 401 | `Invalid 'kid' header in JWT - no matching public key` |
//! | the signature | 401 | `JWT signature verification failed` |
//! | `jti` was not used before, which the registry remembers | 400 | `Non-unique jti claim in JWT` |
//!
//! A `jti` counts as used only once its assertion was proven: nobody can use up another's.

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::Value;

use super::TokenError;
use super::access::Issuer;

/// Longest life of an assertion.
const LIFE_MAX_S: i64 = 300;
/// How far the client's clock may be ahead of ours.
const AHEAD_MAX_S: i64 = 10;

/// An assertion whose signature was verified.
#[derive(Debug)]
pub(super) struct Proven {
    /// Which of the issuer's applications made it.
    pub(super) application: usize,
    /// What it is remembered by.
    pub(super) digest: [u8; 32],
    /// When it could not be used again anyway; seconds since 1970, UTC.
    pub(super) expires_s: i64,
}

/// A JWT in its parts, nothing of which is proven yet.
struct Jwt<'a> {
    header: Value,
    claims: Value,
    signed: &'a [u8],
    signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let bytes = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
        let object = |part: &str| {
            let value: Value = serde_json::from_slice(&bytes(part)?).ok()?;
            value.is_object().then_some(value)
        };
        Some(Self {
            header: object(header)?,
            claims: object(claims)?,
            signed: signed.as_bytes(),
            signature: bytes(signature)?,
        })
    }

    /// A member of the header that is text and says something.
    fn header(&self, name: &str) -> Option<&str> {
        self.header[name].as_str().filter(|text| !text.is_empty())
    }
}

/// What the claims say.
struct Claims<'a> {
    client_id: &'a str,
    jti: &'a str,
    expires_s: i64,
}

impl Issuer {
    /// Finds out which application made an assertion, or why it is not believed.
    pub(super) fn check(&self, text: &str, now_micros: i64) -> Result<Proven, TokenError> {
        let malformed = || TokenError::invalid("Malformed JWT in client_assertion");
        let jwt = Jwt::parse(text).ok_or_else(malformed)?;
        let kid = header(&jwt, now_micros)?;
        let claims = claims(&jwt.claims, now_micros)?;
        let application = self
            .find(claims.client_id)
            .ok_or_else(|| TokenError::unproven("Invalid iss/sub claims in JWT"))?;
        if jwt.claims["aud"].as_str() != Some(self.audience()) {
            return Err(TokenError::unproven("Missing or invalid aud claim in JWT"));
        }
        let keys = self.keys(application).ok_or_else(|| {
            let text = "You need to register a public key to use this authentication method - \
                        please contact support to configure";
            TokenError::new(StatusCode::FORBIDDEN, "public_key error", text)
        })?;
        match keys.verify(kid, jwt.signed, &jwt.signature) {
            Some(true) => {}
            Some(false) => {
                let text = "JWT signature verification failed";
                let status = StatusCode::UNAUTHORIZED;
                return Err(TokenError::new(status, "public_key error", text));
            }
            None => {
                let text = "Invalid 'kid' header in JWT - no matching public key";
                return Err(TokenError::unproven(text));
            }
        }
        let digest = digest(claims.client_id, claims.jti);
        Ok(Proven { application, digest, expires_s: claims.expires_s })
    }
}

/// Checks the header, and returns the key's id.
fn header<'a>(jwt: &'a Jwt<'_>, now_micros: i64) -> Result<&'a str, TokenError> {
    if jwt.header("alg") != Some("RS512") {
        return Err(TokenError::invalid(
            "Invalid 'alg' header in JWT - unsupported JWT algorithm - must be 'RS512'",
        ));
    }
    let expires_s = jwt.claims["exp"].as_f64();
    if expires_s.is_some_and(|expires_s| expires_s * 1e6 <= now_micros as f64) {
        return Err(TokenError::invalid("Invalid exp claim in JWT - JWT has expired"));
    }
    let kid = jwt.header("kid");
    let kid = kid.ok_or_else(|| TokenError::invalid("Missing 'kid' header in JWT"))?;
    match jwt.header("typ") {
        Some(typ) if typ.eq_ignore_ascii_case("JWT") => Ok(kid),
        _ => Err(TokenError::invalid("Invalid 'typ' header in JWT - must be 'JWT'")),
    }
}

/// Checks the claims by themselves.
fn claims(claims: &Value, now_micros: i64) -> Result<Claims<'_>, TokenError> {
    let undecodable = || TokenError::invalid("Failed to decode JWT");
    let now_s = now_micros.div_euclid(1_000_000);
    if claims["exp"].is_null() {
        return Err(TokenError::invalid("Missing exp claim in JWT"));
    }
    let expires_s = claims["exp"].as_i64().ok_or_else(undecodable)?;
    let client_id = claims["iss"].as_str().filter(|iss| !iss.is_empty() && claims["sub"] == *iss);
    let client_id = client_id
        .ok_or_else(|| TokenError::invalid("Missing or non-matching iss/sub claims in JWT"))?;
    let jti = match &claims["jti"] {
        Value::Null => return Err(TokenError::invalid("Missing jti claim in JWT")),
        Value::String(jti) if jti.is_empty() => {
            return Err(TokenError::invalid("Missing jti claim in JWT"));
        }
        Value::String(jti) => jti,
        _ => return Err(undecodable()),
    };
    if expires_s - now_s > LIFE_MAX_S + AHEAD_MAX_S {
        let text = "Invalid exp claim in JWT - more than 5 minutes in future";
        return Err(TokenError::invalid(text));
    }
    if !claims["iat"].is_null() {
        let issued_s = claims["iat"].as_f64().ok_or_else(undecodable)?;
        if issued_s > (now_s + AHEAD_MAX_S) as f64 {
            return Err(TokenError::invalid("Invalid iat claim in JWT - issued in the future"));
        }
    }
    Ok(Claims { client_id, jti, expires_s })
}

/// SHA-256 of client and jti, each behind its length.
fn digest(client_id: &str, jti: &str) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in [client_id, jti] {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part.as_bytes());
    }
    *context.finish().as_ref().first_chunk().expect("SHA-256 has 32 bytes")
}
