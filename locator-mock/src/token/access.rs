//! Access tokens: which application one was given to and until when, sealed with a key that lives as
//! long as the process. A locator that was restarted knows none of its earlier tokens.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::SystemRandom;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use service::config::ConfigError;
use service::program::ProgramError;

use super::assertion::Proven;
use super::keys::Keys;
use crate::config::{AccessControl, LocatorConfig};
use crate::error::{LocatorError, TokenFault};

/// An application that may ask for access tokens.
#[derive(Debug)]
pub(crate) struct Application {
    client_id: String,
    /// Its id in the NRL, if it has one.
    pub(crate) app_id: Option<String>,
    /// What it has beside the older form of permission lists.
    pub(crate) access_controls: Vec<AccessControl>,
    /// None where it registered none.
    keys: Option<Keys>,
}

/// Who issues access tokens, and knows its own.
#[derive(Debug)]
pub(crate) struct Issuer {
    applications: Vec<Application>,
    audience: String,
    expires_in_s: u32,
    seal: hmac::Key,
}

impl Issuer {
    /// Loads the applications' keys.
    pub(crate) fn new(config: &LocatorConfig) -> Result<Self, ProgramError> {
        let mut applications: Vec<Application> = Vec::new();
        for application in &config.applications {
            let client_id = application.client_id.clone();
            if client_id.is_empty() || applications.iter().any(|a| a.client_id == client_id) {
                let text = "each of [[applications]] needs a client_id of its own";
                return Err(ConfigError::Refused(text.into()).into());
            }
            applications.push(Application {
                client_id,
                app_id: application.app_id.clone().filter(|id| !id.is_empty()),
                access_controls: application.access_controls.clone(),
                keys: application.jwks.as_deref().map(Keys::load).transpose()?,
            });
        }
        let seal = hmac::Key::generate(HMAC_SHA256, &SystemRandom::new());
        let seal = seal.map_err(|error| ProgramError::failed("making a random key", error))?;
        let (audience, expires_in_s) = (config.audience(), config.token.expires_in_s);
        Ok(Self { applications, audience, expires_in_s, seal })
    }

    /// A token for the application that made an assertion.
    pub(super) fn issue(&self, proven: &Proven, now_micros: i64) -> String {
        let expires_micros = now_micros + i64::from(self.expires_in_s) * 1_000_000;
        let mut token = (proven.application as u32).to_le_bytes().to_vec();
        token.extend_from_slice(&expires_micros.to_le_bytes());
        let seal = hmac::sign(&self.seal, &token);
        token.extend_from_slice(seal.as_ref());
        BASE64_URL_SAFE_NO_PAD.encode(token)
    }

    /// The application that a token was given to.
    pub(crate) fn verify(
        &self,
        token: &str,
        now_micros: i64,
    ) -> Result<&Application, LocatorError> {
        let invalid = || LocatorError::AccessToken(TokenFault::Invalid);
        let token = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
        let (said, seal) = token.split_at_checked(12).ok_or_else(invalid)?;
        hmac::verify(&self.seal, said, seal).map_err(|_| invalid())?;
        let (application, expires_micros) = said.split_at(4);
        let application = u32::from_le_bytes(application.try_into().map_err(|_| invalid())?);
        let expires_micros = expires_micros.try_into().map_err(|_| invalid())?;
        if i64::from_le_bytes(expires_micros) <= now_micros {
            return Err(LocatorError::AccessToken(TokenFault::Expired));
        }
        self.applications.get(application as usize).ok_or_else(invalid)
    }

    /// What an assertion must name as its audience.
    pub(super) fn audience(&self) -> &str {
        &self.audience
    }

    /// How long a token is good for.
    pub(super) fn expires_in_s(&self) -> u32 {
        self.expires_in_s
    }

    /// The application with this client id, by its place.
    pub(super) fn find(&self, client_id: &str) -> Option<usize> {
        self.applications.iter().position(|application| application.client_id == client_id)
    }

    /// An application's public keys, if it registered any.
    pub(super) fn keys(&self, application: usize) -> Option<&Keys> {
        self.applications.get(application)?.keys.as_ref()
    }
}
