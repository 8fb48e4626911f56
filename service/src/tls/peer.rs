//! The organisation in a certificate: its one subject alternative name of the form
//! `urn:nhs:ods:CODE`. The subject is not looked at: its common name is a label that anyone chooses.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use fhir::identifier::OdsCode;
use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

/// What stands before the organisation's code.
pub const ORGANISATION: &str = "urn:nhs:ods:";

/// Who is at the other end of a connection, by its certificate.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The organisation.
    pub organisation: Arc<OdsCode>,
    /// What tokens for it are bound to.
    pub thumbprint: Thumbprint,
}

impl Peer {
    /// Whom a verified certificate is about; nothing unless it names one organisation.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let organisation = Arc::new(organisation(certificate)?);
        Some(Self { organisation, thumbprint: Thumbprint::of(certificate) })
    }
}

/// The organisation that a certificate names, if it names one and no other.
pub fn organisation(certificate: &CertificateDer<'_>) -> Option<OdsCode> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let mut codes =
        certificate.valid_uri_names().filter_map(|name| name.strip_prefix(ORGANISATION));
    let code = codes.next()?;
    if codes.next().is_some() {
        return None;
    }
    code.parse().ok()
}

/// `x5t#S256`: the SHA-256 of a certificate. <https://www.rfc-editor.org/rfc/rfc8705#section-3.1>
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    /// A certificate's.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let hash = digest(&SHA256, certificate);
        Self(*hash.as_ref().first_chunk().expect("SHA-256 has 32 bytes"))
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbprint({self})")
    }
}
