//! An issuer of tokens.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};
use service::clock::Clock;

/// An issuer of tokens: one RSA key, one of P-384.
pub(crate) struct Issuer {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
}

impl Issuer {
    pub(crate) fn new() -> Self {
        let ec = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        Self { rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(), ec }
    }

    /// What services are given.
    pub(crate) fn key_set(&self) -> Value {
        let (x, y) = self.ec.public_key().as_ref()[1..].split_at(48);
        let public = self.rsa.public_key();
        let (n, e) = (public.modulus(), public.exponent());
        json!({"keys": [
            {"kty": "EC", "crv": "P-384", "kid": "ec", "x": BASE64.encode(x), "y": BASE64.encode(y)},
            {
                "kty": "RSA", "kid": "rsa", "use": "sig",
                "n": BASE64.encode(n.big_endian_without_leading_zero()),
                "e": BASE64.encode(e.big_endian_without_leading_zero()),
            },
        ]})
    }

    /// Signs as the header says.
    pub(crate) fn sign(&self, header: &Value, claims: &str) -> String {
        let message = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims));
        let bytes = message.as_bytes();
        let random = SystemRandom::new();
        let rsa = |how| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(how, &random, bytes, &mut signature).unwrap();
            signature
        };
        let signature = match header["alg"].as_str().unwrap() {
            "RS384" => rsa(&RSA_PKCS1_SHA384),
            "RS512" => rsa(&RSA_PKCS1_SHA512),
            "ES384" => self.ec.sign(&random, bytes).unwrap().as_ref().to_vec(),
            "HS256" => {
                // The public key, as an attacker would use it for a secret.
                let public = self.rsa.public_key().as_der().unwrap();
                let key = hmac::Key::new(hmac::HMAC_SHA256, public.as_ref());
                hmac::sign(&key, bytes).as_ref().to_vec()
            }
            _ => Vec::new(),
        };
        format!("{message}.{}", BASE64.encode(signature))
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": "ES384", "typ": "JWT", "kid": "ec"}), &claims.to_string())
    }
}

pub(crate) fn now_s() -> i64 {
    Clock::System.now_micros() / 1_000_000
}

/// The claims of a good token for a service, over this certificate.
pub(crate) fn claims(audience: &str, organisation: &str, thumbprint: &str) -> Value {
    json!({
        "iss": "https://identity.test",
        "sub": "urn:test:user:1",
        "aud": audience,
        "iat": now_s(),
        "exp": now_s() + 120,
        "jti": uuid::Uuid::new_v4().to_string(),
        "cnf": {"x5t#S256": thumbprint},
        "scope": "system/Patient.rs user/Observation.cruds patient/Condition.rs",
        "reason_for_request": "directcare",
        "requesting_organization": format!("https://fhir.nhs.uk/Id/ods-organization-code|{organisation}"),
        "requesting_system": "https://fhir.nhs.uk/Id/accredited-system|1",
        "requesting_user": "https://fhir.nhs.uk/Id/sds-role-profile-id|2",
        "requesting_role": "R8000",
    })
}
