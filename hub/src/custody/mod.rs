//! Whose a resource is, and what others may do to it. <https://hl7.org/fhir/R4/provenance.html>
//!
//! | room | what lives there |
//! |---|---|
//! | here | the custodian: an organisation, shown as a tag |
//! | [`hand`] | who writes, and what that allows; decided in the write's own transaction; pure |
//! | [`policy`] | what another organisation may do, type by type |
//! | [`detour`] | where another organisation's edit leads, if it is neither stored nor refused |
//! | [`supersede`] | to a resource of its own, which replaces the other |
//! | [`amendment`] | to a proposal that the custodian accepts or rejects |
//! | [`transfer`] | custody that is offered and taken over |
//! | [`task`] | the Tasks by which both are asked for |
//! | [`provenance`] | who is behind what the hub does in others' names |
//!
//! **Invariants.** A resource has one custodian from its first version on: the organisation that created
//! it. Whoever writes, it stays the custodian's, until another accepts what the custodian has offered.

pub mod amendment;
pub mod detour;
pub mod hand;
pub mod policy;
pub mod provenance;
pub mod supersede;
pub mod task;
pub mod transfer;

use std::sync::Arc;

use fhir::identifier::OdsCode;

pub use hand::{Hand, May, permit};

/// The system of the tag that shows a custodian.
pub const SYSTEM: &str = "urn:shared-record:custodian";

/// The organisation that a resource belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Custodian(Option<Arc<str>>);

impl Custodian {
    /// An organisation in the record of `region`, which shows only others.
    pub fn of(organisation: &OdsCode, region: &OdsCode) -> Self {
        if organisation == region { Self::default() } else { Self::stored(organisation.as_str()) }
    }

    /// As it is stored: empty for the region's own organisation.
    pub fn stored(code: &str) -> Self {
        Self(Some(code).filter(|code| !code.is_empty()).map(Arc::from))
    }

    /// As it is stored.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// Its tag as JSON; empty for the region's own organisation.
    pub fn tag(&self) -> Vec<u8> {
        let Some(code) = &self.0 else { return Vec::new() };
        let mut tag = format!(r#"{{"system":"{SYSTEM}","code":"#).into_bytes();
        fhir::json::push_string(&mut tag, code);
        tag.push(b'}');
        tag
    }
}
