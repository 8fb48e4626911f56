//! Applications that sign client assertions, and locators that demand access tokens of them.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA512, RsaKeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Request;
use locator_mock::{Application, LocatorConfig};
use serde_json::{Value, json};
use service::config::SecurityMode;
use tempfile::TempDir;

use crate::world::{NOW_MICROS, ORIGIN, Reply, World, config, encoded};

/// The application whose rights are those of the lists.
pub(crate) const CLIENT: &str = "client-1";
pub(crate) const APPLICATION: &str = "z00z-y11y-x22x";
/// An application whose organisations may do everything.
pub(crate) const STEWARD: &str = "client-2";
/// Applications that are not wholly registered: without an NRL id, without keys.
pub(crate) const NAMELESS: &str = "client-3";
pub(crate) const KEYLESS: &str = "client-4";

pub(crate) const NOW_S: i64 = NOW_MICROS / 1_000_000;

/// The key of every application of the tests; making one takes a while.
pub(crate) fn key() -> &'static RsaKeyPair {
    static KEY: OnceLock<RsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
}

/// A public key as a key set has it.
pub(crate) fn public(key: &RsaKeyPair, kid: &str) -> Value {
    let part = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let public = key.public_key();
    json!({
        "kty": "RSA", "kid": kid, "use": "sig", "alg": "RS512",
        "n": part(public.modulus().big_endian_without_leading_zero()),
        "e": part(public.exponent().big_endian_without_leading_zero()),
    })
}

/// A JWT with this header and these claims.
pub(crate) fn signed(key: &RsaKeyPair, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let mut signature = vec![0; key.public_modulus_len()];
    let random = SystemRandom::new();
    key.sign(&RSA_PKCS1_SHA512, &random, message.as_bytes(), &mut signature).unwrap();
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

pub(crate) fn header() -> Value {
    json!({"alg": "RS512", "typ": "JWT", "kid": "test-1"})
}

pub(crate) fn claims(client: &str, jti: &str) -> Value {
    let audience = format!("{ORIGIN}/oauth2/token");
    json!({"iss": client, "sub": client, "aud": audience, "jti": jti, "exp": NOW_S + 300})
}

/// The form that asks for a token with this assertion.
pub(crate) fn form(assertion: &str) -> String {
    let kind = encoded("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    format!(
        "grant_type=client_credentials&client_assertion_type={kind}&client_assertion={assertion}"
    )
}

/// The configuration of a locator in enforced mode whose folder is made ready: the key set, and
/// these permission lists by their file names.
pub(crate) fn enforced(folder: &TempDir, lists: &[(String, Value)]) -> LocatorConfig {
    let jwks = folder.path().join("jwks.json");
    let set = json!({"keys": [{"kty": "EC", "crv": "P-384"}, public(key(), "test-1")]});
    std::fs::write(&jwks, set.to_string()).unwrap();
    let permissions = folder.path().join("permissions");
    let everything = json!({"access_controls": ["allow_all_types"]});
    let stewards =
        ["producer", "consumer"].map(|role| (format!("{role}/steward.json"), everything.clone()));
    for (name, list) in lists.iter().chain(&stewards) {
        let file = permissions.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, list.to_string()).unwrap();
    }
    let application = |client: &str, id: Option<&str>, jwks: Option<_>| Application {
        client_id: client.to_owned(),
        app_id: id.map(str::to_owned),
        jwks,
        access_controls: Vec::new(),
    };
    let mut config = config(folder);
    config.security.mode = SecurityMode::Enforced;
    config.permissions.folder = Some(permissions);
    config.applications = vec![
        application(CLIENT, Some(APPLICATION), Some(jwks.clone())),
        application(STEWARD, Some("steward"), Some(jwks.clone())),
        application(NAMELESS, None, Some(jwks)),
        application(KEYLESS, Some(APPLICATION), None),
    ];
    config
}

impl World {
    /// A locator in enforced mode with these permission lists, asked by [`CLIENT`].
    pub(crate) async fn enforced(lists: &[(String, Value)]) -> Self {
        Self::enforced_in(tempfile::tempdir().unwrap(), lists).await
    }

    /// As [`World::enforced`], on the database in `folder`.
    pub(crate) async fn enforced_in(folder: TempDir, lists: &[(String, Value)]) -> Self {
        let config = enforced(&folder, lists);
        let mut world = Self::of(folder, config);
        world.token = Some(world.token_of(CLIENT).await);
        world
    }

    /// A new access token for an application.
    pub(crate) async fn token_of(&self, client: &str) -> String {
        let jti = uuid::Uuid::new_v4().to_string();
        let reply = self.ask_token(form(&signed(key(), &header(), &claims(client, &jti)))).await;
        reply.body["access_token"].as_str().unwrap_or_else(|| panic!("{reply:?}")).to_owned()
    }

    /// Sends a form to the token endpoint.
    pub(crate) async fn ask_token(&self, form: String) -> Reply {
        let request = Request::post("/oauth2/token")
            .header("Content-Type", "application/x-www-form-urlencoded");
        self.send(request.body(form.into()).unwrap()).await
    }
}
