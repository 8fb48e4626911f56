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
    /// It becomes a resource of its own, which replaces the other.
    Supersede,
    /// It becomes a proposal, which the custodian accepts or rejects.
    Request,
}

impl CustodyConfig {
    /// Refuses names that are no resource type's, and to supersede a Patient: all that is recorded of
    /// one refers to it, and would be left behind.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.of(ResourceType::PATIENT) == Policy::Supersede {
            let text = "a Patient cannot be superseded, for its record would be left behind: set \
                        custody.types.Patient to any, custodian or request";
            return Err(ConfigError::Refused(text.into()));
        }
        let named = |name: &str| ResourceType::all().any(|t| is_named(t, name));
        match self.types.keys().find(|name| !named(name)) {
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
        // Of two that differ in case, the one that a variable sets is last.
        let mut own = self.types.iter().rev().filter(|(name, _)| is_named(resource_type, name));
        own.next().map_or(self.default, |(_, policy)| *policy)
    }
}

/// Variables know no case.
fn is_named(resource_type: ResourceType, name: &str) -> bool {
    resource_type.as_str().eq_ignore_ascii_case(name)
}

impl Policy {
    /// What it allows of a write to the resource itself.
    pub fn may(self) -> May {
        match self {
            Self::Any => May::Edit,
            Self::Custodian | Self::Supersede | Self::Request => May::Own,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn custody(toml: &str) -> CustodyConfig {
        service::config::parse(toml, "HUB_TEST_NONE__").unwrap()
    }

    #[test]
    fn a_type_has_its_own_policy_or_that_of_all_others() {
        let some = custody("default = \"request\"\ntypes = { Flag = \"any\" }");
        some.check().unwrap();
        assert_eq!(some.of("Flag".parse().unwrap()), Policy::Any);
        let overridden = custody("types = { Flag = \"any\", flag = \"request\" }");
        assert_eq!(overridden.of("Flag".parse().unwrap()), Policy::Request);
        assert_eq!(some.of(ResourceType::PATIENT), Policy::Request);
        assert_eq!(CustodyConfig::default().of(ResourceType::PATIENT), Policy::Custodian);
    }

    #[test]
    fn what_would_leave_a_record_behind_is_refused_and_so_is_what_does_not_exist() {
        for refused in [
            "default = \"supersede\"",
            "types = { Patient = \"supersede\" }",
            "types = { Patients = \"any\" }",
        ] {
            assert!(custody(refused).check().is_err(), "{refused}");
        }
        let spared = "default = \"supersede\"\ntypes = { Patient = \"custodian\" }";
        custody(spared).check().unwrap();
    }
}
