//! `[custody]`: what another organisation may do to a resource, type by type. In open mode nothing of it
//! applies.

use std::collections::BTreeMap;

use fhir::definitions::ResourceType;
use serde::{Deserialize, Serialize};
use service::config::ConfigError;

use super::May;

/// `[custody]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CustodyConfig {
    /// Of all types that are not named.
    pub default: Policy,
    /// Of these types.
    pub types: BTreeMap<String, Policy>,
}

/// What becomes of another organisation's edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// It is stored; the resource stays its custodian's.
    Any,
    /// It is refused.
    #[default]
    Custodian,
}

impl CustodyConfig {
    /// Refuses names that are no resource type's.
    pub fn check(&self) -> Result<(), ConfigError> {
        match self.types.keys().find(|name| name.parse::<ResourceType>().is_err()) {
            None => Ok(()),
            Some(name) => {
                let text =
                    format!("custody.types.{name}: FHIR R4 has no resource type of this name");
                Err(ConfigError::Refused(text))
            }
        }
    }

    /// The policy of a type.
    pub fn of(&self, resource_type: ResourceType) -> Policy {
        self.types.get(resource_type.as_str()).copied().unwrap_or(self.default)
    }
}

impl Policy {
    /// What it allows of a write to the resource itself.
    pub fn may(self) -> May {
        match self {
            Self::Any => May::Edit,
            Self::Custodian => May::Own,
        }
    }
}
