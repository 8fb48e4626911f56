//! Tokens that a gateway makes for hubs: one for each request to a region, about whoever asks, with
//! the gateway's organisation as the one that acts. What the caller sent never travels on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use fhir::identifier::{ODS_CODE, OdsCode};
use http::HeaderValue;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::Caller;
use crate::clock::Clock;
use crate::config::{ConfigError, Security};
use crate::reload::Reloaded;
use crate::serve::Shutdown;
use crate::tls::peer::{ORGANISATION, Thumbprint};

/// How long a token is good for: it is sent at once.
const LIFE_S: i64 = 60;
/// How often the key is looked at.
const KEY_EVERY: Duration = Duration::from_secs(30);

/// Makes tokens.
#[derive(Debug)]
pub struct Mint {
    key: Arc<Reloaded<EcdsaKeyPair>>,
    key_id: String,
    /// Who we are to hubs: our public URL.
    issuer: String,
    actor: OdsCode,
    clock: Clock,
}

impl Mint {
    /// A mint with the key of the configuration, for a gateway of this name and organisation.
    pub fn open(
        security: &Security,
        issuer: &str,
        actor: &OdsCode,
        clock: &Clock,
    ) -> Result<Self, ConfigError> {
        let refused = |text: &str| ConfigError::Refused(format!("security.signing_key: {text}"));
        let (Some(file), Some(key_id)) = (&security.signing_key, &security.key_id) else {
            return Err(refused("in enforced mode a gateway needs one, and security.key_id"));
        };
        let key = load(file.clone()).map_err(|error| refused(&error))?;
        let (issuer, actor, clock) = (issuer.to_owned(), actor.clone(), clock.clone());
        Ok(Self { key: Arc::new(key), key_id: key_id.clone(), issuer, actor, clock })
    }

    /// Keeps up with the key until `shutdown`.
    pub async fn keep(&self, shutdown: Shutdown) {
        self.key.clone().keep(KEY_EVERY, shutdown).await;
    }

    /// The public half of the key, as a JSON Web Key Set that hubs are given.
    pub fn key_set(&self) -> Value {
        let key = self.key.current();
        let (x, y) = key.public_key().as_ref()[1..].split_at(48);
        let part = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        json!({"keys": [{
            "kty": "EC", "crv": "P-384", "use": "sig", "alg": "ES384",
            "kid": self.key_id, "x": part(x), "y": part(y),
        }]})
    }

    /// An `Authorization` for one request to `audience` in a caller's name, over a connection with the
    /// certificate of this thumbprint.
    pub fn bearer(
        &self,
        caller: &Caller,
        audience: &str,
        thumbprint: Thumbprint,
    ) -> Result<HeaderValue, aws_lc_rs::error::Unspecified> {
        let now_s = self.clock.now_micros().div_euclid(1_000_000);
        let mandate = &caller.mandate;
        let header = json!({"alg": "ES384", "typ": "JWT", "kid": self.key_id});
        let mut claims = json!({
            "iss": self.issuer,
            "sub": mandate.user.as_deref().unwrap_or(&mandate.system),
            "aud": audience,
            "iat": now_s,
            "exp": now_s + LIFE_S,
            "jti": uuid::Uuid::new_v4().to_string(),
            "cnf": {"x5t#S256": thumbprint.to_string()},
            "act": {"sub": format!("{ORGANISATION}{}", self.actor)},
            "scope": mandate.scopes.as_str(),
            "reason_for_request": mandate.purpose,
            "requesting_organization": format!("{ODS_CODE}|{}", caller.organisation),
            "requesting_system": mandate.system,
        });
        for (claim, value) in
            [("requesting_user", &mandate.user), ("requesting_role", &mandate.role)]
        {
            if let Some(value) = value {
                claims[claim] = value.as_str().into();
            }
        }
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let signature = self.key.current().sign(&SystemRandom::new(), message.as_bytes())?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        let mut value = HeaderValue::try_from(format!("Bearer {message}.{signature}"))
            .expect("base64 is visible ASCII");
        value.set_sensitive(true);
        Ok(value)
    }
}

fn load(file: PathBuf) -> Result<Reloaded<EcdsaKeyPair>, String> {
    Reloaded::open("the signing key", vec![file], |contents| {
        let key = PrivateKeyDer::from_pem_slice(&contents[0])
            .map_err(|_| "the file holds no private key in PEM form")?;
        EcdsaKeyPair::from_private_key_der(&ECDSA_P384_SHA384_FIXED_SIGNING, key.secret_der())
            .map_err(|_| "the file holds a private key that is not an EC key of P-384".to_owned())
    })
}
