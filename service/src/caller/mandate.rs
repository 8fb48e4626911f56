//! In whose name a caller asks, why, and what it may do.

use fhir::identifier::OdsCode;
use serde::{Deserialize, Serialize};

use super::Caller;
use super::scope::Scopes;

/// What a token says beside the organisation. Two that are equal have the same rights.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mandate {
    /// The system that asks.
    pub system: String,
    /// The person who asks, if there is one.
    pub user: Option<String>,
    /// The person's role.
    pub role: Option<String>,
    /// Why.
    pub purpose: Purpose,
    /// What is allowed.
    pub scopes: Scopes,
    /// The organisation whose gateway passed the question on.
    pub gateway: Option<OdsCode>,
}

impl Mandate {
    /// All rights, for direct care.
    pub fn unlimited() -> Self {
        Self {
            system: String::new(),
            user: None,
            role: None,
            purpose: Purpose::DirectCare,
            scopes: Scopes::parse("system/*.cruds system/AuditEvent.rs", false),
            gateway: None,
        }
    }

    /// Whether it is the region's own, which no policy binds: a token always names a system.
    pub fn is_own(&self) -> bool {
        self.system.is_empty()
    }
}

/// Who asks, as the audit trail has it. What nobody said is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asker {
    /// The organisation's ODS code; empty if it is not known who asked.
    pub organisation: String,
    /// The system.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub system: String,
    /// The person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The person's role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// The organisation whose gateway passed the question on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
}

impl From<&Caller> for Asker {
    fn from(Caller { organisation, mandate, .. }: &Caller) -> Self {
        let Mandate { system, user, role, purpose, gateway, .. } = &**mandate;
        Self {
            organisation: organisation.as_str().to_owned(),
            system: system.clone(),
            user: user.clone(),
            role: role.clone(),
            // A caller of open mode brings no token, and so no purpose.
            purpose: (!system.is_empty()).then_some(*purpose),
            gateway: gateway.as_ref().map(|gateway| gateway.as_str().to_owned()),
        }
    }
}

/// Why a record is asked for: `reason_for_request`, as Spine's tokens have it, and emergencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Somebody is being cared for.
    DirectCare,
    /// Somebody is in danger.
    Emergency,
    /// Planning or research.
    SecondaryUses,
    /// The patient asks.
    PatientAccess,
}

impl Purpose {
    /// As the claim has it.
    pub fn claim(self) -> &'static str {
        match self {
            Self::DirectCare => "directcare",
            Self::Emergency => "emergency",
            Self::SecondaryUses => "secondaryuses",
            Self::PatientAccess => "patientaccess",
        }
    }

    /// As a purpose of use. <https://terminology.hl7.org/ValueSet-v3-PurposeOfUse.html>
    pub fn code(self) -> &'static str {
        match self {
            Self::DirectCare => "TREAT",
            Self::Emergency => "ETREAT",
            Self::SecondaryUses => "HRESCH",
            Self::PatientAccess => "PATRQT",
        }
    }
}
