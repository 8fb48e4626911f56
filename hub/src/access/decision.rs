//! The decision: who asks, and why, to what may be seen. Whoever is responsible for it reads this file.
//!
//! | purpose | labels R, V and sensitivity | Consents for privacy | national data opt-out |
//! |---|---|---|---|
//! | direct care | hide, unless the person's role is cleared | bind | does not bind |
//! | emergency | hide, unless the person's role is cleared | bind | does not bind |
//! | secondary uses | hide, whatever the role | bind | binds |
//! | patient access | 403: a token does not yet say of which patient | | |
//!
//! Which role is cleared for which label stands in the configuration (`[access.clearance]`); a system
//! without a person is cleared for none. A label that is not understood hides from everyone. Purposes
//! other than these, and tokens without one, are refused before anything is decided. A Patient's
//! restricted place is withheld from everyone: see [`super::place`].
//!
//! The purpose of emergency alone lifts nothing.

use std::collections::BTreeMap;

use fhir::outcome::IssueCode;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use service::caller::mandate::{Mandate, Purpose};
use service::config::ConfigError;
use service::refusal::Refusal;

use super::consent::{self, Lane};
use super::label;

/// `[access]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessConfig {
    /// For which labels a role is cleared: R, V and the codes of [`label::SENSITIVITY`].
    pub clearance: BTreeMap<String, Vec<String>>,
}

impl AccessConfig {
    /// Refuses labels that no role can be cleared for.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut all =
            self.clearance.iter().flat_map(|(role, codes)| codes.iter().map(move |c| (role, c)));
        match all.find(|(_, code)| label::class(code).is_none()) {
            None => Ok(()),
            Some((role, code)) => {
                let text = format!(
                    "access.clearance: {role}: {code} is none of R, V, {}",
                    label::SENSITIVITY.join(", ")
                );
                Err(ConfigError::Refused(text))
            }
        }
    }

    fn cleared(&self, role: &str) -> i64 {
        let codes = self.clearance.get(role).into_iter().flatten();
        codes.filter_map(|code| label::class(code)).fold(0, |all, class| all | class)
    }
}

/// What is decided of a caller, whatever it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// Classes of labels that hide.
    pub withheld: i64,
    /// The kinds of Consents that count.
    pub lanes: &'static [i64],
    /// Its purpose, as rules know it.
    pub purpose: i64,
}

/// Decides what a caller with a token may see.
pub fn decide(mandate: &Mandate, config: &AccessConfig) -> Result<Decided, Refusal> {
    let role = mandate.role.as_deref().filter(|_| mandate.user.is_some());
    let cleared = role.map_or(0, |role| config.cleared(role));
    let purpose = consent::purpose(mandate.purpose);
    let (withheld, lanes): (i64, &'static [i64]) = match mandate.purpose {
        Purpose::DirectCare | Purpose::Emergency => (label::HIDING & !cleared, &[Lane::PRIVACY]),
        Purpose::SecondaryUses => (label::HIDING, &[Lane::PRIVACY, Lane::OPT_OUT]),
        Purpose::PatientAccess => return Err(unnamed_patient()),
    };
    Ok(Decided { withheld, lanes, purpose })
}

fn unnamed_patient() -> Refusal {
    let text = "A token for patient access must be for one patient, and tokens here name none: no \
                resource can be given for this purpose.";
    Refusal::error(StatusCode::FORBIDDEN, IssueCode::Forbidden, text)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use service::caller::scope::Scopes;

    use super::*;

    fn mandate(purpose: Purpose, user: Option<&str>, role: Option<&str>) -> Mandate {
        let (user, role) = (user.map(str::to_owned), role.map(str::to_owned));
        let scopes = Scopes::parse("system/*.rs", false);
        Mandate { system: "s".into(), user, role, purpose, scopes, ..Mandate::unlimited() }
    }

    #[test]
    fn a_role_is_cleared_for_what_the_table_says_and_only_in_a_persons_name() {
        let clearance =
            BTreeMap::from([("R8000".to_owned(), vec!["R".to_owned(), "HIV".to_owned()])]);
        let config = AccessConfig { clearance };
        config.check().unwrap();
        let withheld =
            |purpose, user, role| decide(&mandate(purpose, user, role), &config).unwrap().withheld;
        let cleared = label::R | label::class("HIV").unwrap();
        assert_eq!(
            withheld(Purpose::DirectCare, Some("u"), Some("R8000")),
            label::HIDING & !cleared
        );
        for (user, role) in [(None, Some("R8000")), (Some("u"), Some("R1")), (Some("u"), None)] {
            assert_eq!(withheld(Purpose::Emergency, user, role), label::HIDING);
        }
        let research = withheld(Purpose::SecondaryUses, Some("u"), Some("R8000"));
        assert_eq!(research, label::HIDING);
    }

    #[test]
    fn the_opt_out_binds_secondary_uses_alone() {
        let lanes = |purpose| {
            decide(&mandate(purpose, None, None), &AccessConfig::default()).unwrap().lanes
        };
        assert_eq!(lanes(Purpose::DirectCare), [Lane::PRIVACY]);
        assert_eq!(lanes(Purpose::SecondaryUses), [Lane::PRIVACY, Lane::OPT_OUT]);
        let patient = mandate(Purpose::PatientAccess, None, None);
        let refused = decide(&patient, &AccessConfig::default()).unwrap_err();
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
    }

    #[test]
    fn no_role_is_cleared_for_what_is_not_known() {
        let clearance = BTreeMap::from([("R8000".to_owned(), vec!["SECRET".to_owned()])]);
        assert!(AccessConfig { clearance }.check().is_err());
    }
}
