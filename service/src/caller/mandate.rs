//! In whose name a caller asks, why, and what it may do.

use fhir::identifier::OdsCode;
use serde::{Deserialize, Serialize};

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
            scopes: Scopes::parse("system/*.cruds", false),
            gateway: None,
        }
    }

    /// Whether it is the region's own, which no policy binds: a token always names a system.
    pub fn is_own(&self) -> bool {
        self.system.is_empty()
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
