//! A bearer token, verified: a JWT about who asks. <https://www.rfc-editor.org/rfc/rfc9068>,
//! <https://www.rfc-editor.org/rfc/rfc8705>
//!
//! | claim | what it must be |
//! |---|---|
//! | `iss` | an issuer of the configuration; its key `kid` signed the token with RS512, RS384 or ES384 |
//! | `aud` | our public URL |
//! | `exp`, `iat`, `nbf` | not over; not to come; at most five minutes apart, ten for a reusable token |
//! | `jti` | not seen before, unless the issuer's tokens are reusable |
//! | `cnf` `x5t#S256` | the client certificate's thumbprint |
//! | `requesting_organization` | `https://fhir.nhs.uk/Id/ods-organization-code\|CODE`: the certificate's, or any if the issuer is that organisation's gateway |
//! | `act` `sub` | a gateway's tokens only: `urn:nhs:ods:CODE`, the gateway's organisation |
//! | `requesting_system` | who asks, by machine; required |
//! | `requesting_user`, `requesting_role` | who asks, by person, and as what |
//! | `reason_for_request` | `directcare`, `emergency`, `secondaryuses` or `patientaccess` |
//! | `scope` | SMART scopes |
//!
//! Clocks may differ by half a minute. What a header says beside `alg`, `kid`, `typ` and `crit` is not
//! looked at, `jku`, `x5u` and `jwk` among it; a token with `crit` is refused.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use fhir::identifier::{ODS_CODE, OdsCode};
use futures::future::join_all;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::keys::{Algorithm, Keys};
use super::mandate::{Mandate, Purpose};
use super::scope::Scopes;
use super::seen::{Seen, Sight};
use crate::clock::Clock;
use crate::config::{ConfigError, Issuer};
use crate::reload::Reloaded;
use crate::serve::Shutdown;
use crate::tls::peer::{ORGANISATION, Peer};

/// Longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 8 << 10;
/// Longest life of a token that is good for one request.
const LIFE_S_MAX: i64 = 300;
/// Longest life of one that may be used again.
const REUSABLE_LIFE_S_MAX: i64 = 600;
/// How far clocks may differ.
const LEEWAY_S: i64 = 30;
/// Longest text of a claim that names somebody.
const NAME_BYTES_MAX: usize = 256;

/// Why a caller is not let in. What is logged of it; a caller is told less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum Denied {
    #[error("there is no client certificate")]
    NoCertificate,
    #[error("there is no token")]
    NoToken,
    #[error("the token is malformed, or a claim is missing or of the wrong kind")]
    Malformed,
    #[error("the token's algorithm, type or critical headers are not allowed")]
    Algorithm,
    #[error("the token's issuer is unknown")]
    Issuer,
    #[error("the token's signature is not its issuer's")]
    Signature,
    #[error("the token was made for another service")]
    Audience,
    #[error("the token has expired, is not valid yet, or lives too long")]
    Time,
    #[error("the token is bound to another certificate")]
    Certificate,
    #[error("the token was used before")]
    Replayed,
    #[error("too many tokens are remembered")]
    TooMany,
    #[error("the token is about another organisation than the certificate")]
    OtherOrganisation,
    #[error("a header says another purpose than the token")]
    OtherPurpose,
}

/// Verifies tokens.
#[derive(Debug)]
pub struct Bearer {
    audience: String,
    issuers: Vec<Known>,
    seen: Seen,
    clock: Clock,
}

#[derive(Debug)]
struct Known {
    config: Issuer,
    keys: Arc<Reloaded<Keys>>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    typ: Option<String>,
    crit: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    jti: String,
    cnf: Confirmation,
    act: Option<Actor>,
    scope: String,
    reason_for_request: Purpose,
    requesting_organization: String,
    requesting_system: String,
    requesting_user: Option<String>,
    requesting_role: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Confirmation {
    #[serde(rename = "x5t#S256")]
    thumbprint: String,
}

#[derive(Deserialize)]
struct Actor {
    sub: String,
}

impl Bearer {
    /// Reads the issuers' keys; tokens must be made for `audience`.
    pub fn open(issuers: &[Issuer], audience: &str, clock: &Clock) -> Result<Self, ConfigError> {
        let mut known: Vec<Known> = Vec::with_capacity(issuers.len());
        for issuer in issuers {
            let refused = |error: &str| {
                ConfigError::Refused(format!("security.issuers: {}: {error}", issuer.iss))
            };
            if issuer.iss.is_empty() || known.iter().any(|known| known.config.iss == issuer.iss) {
                return Err(refused("each issuer has a name, and one of its own"));
            }
            if issuer.gateway.is_some() && issuer.reusable {
                return Err(refused("a gateway's tokens are not reusable"));
            }
            let load = |contents: &[Vec<u8>]| Keys::load(&contents[0]);
            let keys =
                Reloaded::open("the keys of an issuer", vec![issuer.jwks_file.clone()], load)
                    .map_err(|error| refused(&error))?;
            known.push(Known { config: issuer.clone(), keys: Arc::new(keys) });
        }
        let (audience, clock) = (audience.to_owned(), clock.clone());
        Ok(Self { audience, issuers: known, seen: Seen::default(), clock })
    }

    /// Keeps up with the issuers' keys until `shutdown`.
    pub async fn keep(&self, every: Duration, shutdown: Shutdown) {
        let keep = |known: &Known| known.keys.clone().keep(every, shutdown.clone());
        join_all(self.issuers.iter().map(keep)).await;
    }

    /// Whom a token that came over this peer's connection is about.
    pub fn verify(&self, token: &str, peer: &Peer) -> Result<(OdsCode, Mandate), Denied> {
        let now_s = self.clock.now_micros().div_euclid(1_000_000);
        let (issuer, claims) = self.proven(token)?;
        let ours = match &claims.aud {
            Audience::One(one) => *one == self.audience,
            Audience::Many(many) => many.contains(&self.audience),
        };
        if !ours {
            return Err(Denied::Audience);
        }
        in_time(&claims, issuer, now_s)?;
        if claims.cnf.thumbprint != peer.thumbprint.to_string() {
            return Err(Denied::Certificate);
        }
        let asked = claims.asked(issuer, peer)?;
        if !issuer.reusable {
            let until_s = claims.exp.saturating_add(LEEWAY_S);
            match self.seen.see(&issuer.iss, &claims.jti, until_s, now_s) {
                Sight::First => {}
                Sight::Again => return Err(Denied::Replayed),
                Sight::Full => return Err(Denied::TooMany),
            }
        }
        Ok(asked)
    }

    /// What a token says, once it is proven that its issuer says so.
    fn proven(&self, token: &str) -> Result<(&Issuer, Claims), Denied> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Denied::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Denied::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Denied::Malformed)?;
        let header: Header = decode(header)?;
        let typ = header.typ.as_deref().unwrap_or("JWT");
        let typed = ["JWT", "at+jwt"].iter().any(|known| typ.eq_ignore_ascii_case(known));
        if !typed || header.crit.is_some() {
            return Err(Denied::Algorithm);
        }
        let how = match header.alg.as_str() {
            "RS512" => Algorithm::RS512,
            "RS384" => Algorithm::RS384,
            "ES384" => Algorithm::ES384,
            _ => return Err(Denied::Algorithm),
        };
        let claims: Claims = decode(claims)?;
        let known = self.issuers.iter().find(|known| known.config.iss == claims.iss);
        let known = known.ok_or(Denied::Issuer)?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| Denied::Malformed)?;
        if known.keys.current().verify(&header.kid, how, signed.as_bytes(), &signature) {
            Ok((&known.config, claims))
        } else {
            Err(Denied::Signature)
        }
    }
}

fn decode<T: DeserializeOwned>(part: &str) -> Result<T, Denied> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Denied::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Denied::Malformed)
}

fn in_time(claims: &Claims, issuer: &Issuer, now_s: i64) -> Result<(), Denied> {
    let Claims { exp, iat, nbf, .. } = *claims;
    let life_s_max = if issuer.reusable { REUSABLE_LIFE_S_MAX } else { LIFE_S_MAX };
    let soon = now_s + LEEWAY_S;
    let begun = iat >= 0 && iat <= soon && nbf.is_none_or(|nbf| nbf <= soon);
    let lasts = exp > now_s - LEEWAY_S && exp > iat && exp <= iat.saturating_add(life_s_max);
    if begun && lasts { Ok(()) } else { Err(Denied::Time) }
}

impl Claims {
    /// Who is said to ask, if that may be said over this peer's connection.
    fn asked(&self, issuer: &Issuer, peer: &Peer) -> Result<(OdsCode, Mandate), Denied> {
        let coded = self.requesting_organization.strip_prefix(ODS_CODE);
        let code = coded.and_then(|rest| rest.strip_prefix('|')).ok_or(Denied::Malformed)?;
        let organisation: OdsCode = code.parse().map_err(|_| Denied::Malformed)?;
        let actor = self.act.as_ref().map(|act| {
            let code = act.sub.strip_prefix(ORGANISATION).and_then(|code| code.parse().ok());
            code.ok_or(Denied::Malformed)
        });
        let actor: Option<OdsCode> = actor.transpose()?;
        let allowed = match &issuer.gateway {
            Some(gateway) => *gateway == *peer.organisation && actor.as_ref() == Some(gateway),
            None => organisation == *peer.organisation && actor.is_none(),
        };
        if !allowed {
            return Err(Denied::OtherOrganisation);
        }
        let named = |name: &str| !name.is_empty() && name.len() <= NAME_BYTES_MAX;
        let names = [&self.requesting_user, &self.requesting_role].into_iter().flatten();
        if !names.chain([&self.requesting_system, &self.jti]).all(|name| named(name)) {
            return Err(Denied::Malformed);
        }
        let mandate = Mandate {
            system: self.requesting_system.clone(),
            user: self.requesting_user.clone(),
            role: self.requesting_role.clone(),
            purpose: self.reason_for_request,
            scopes: Scopes::parse(&self.scope, self.requesting_user.is_some()),
            gateway: actor,
        };
        Ok((organisation, mandate))
    }
}
