//! Who may use which pointer types.
//!
//! The NRL keeps one list for producers and one for consumers, by application and organisation. An
//! organisation whose list is empty is refused everything.

use std::sync::Arc;

use service::config::SecurityMode;

use crate::error::LocatorError;
use crate::pointer::codes;

/// What an organisation comes as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It publishes pointers.
    Producer,
    /// It looks for them.
    Consumer,
}

/// The permissions of all organisations.
#[derive(Debug, Clone)]
pub(crate) struct Permissions {
    mode: SecurityMode,
    every_type: Arc<[String]>,
}

/// What one organisation may do.
#[derive(Debug, Clone)]
pub(crate) struct Rights {
    types: Arc<[String]>,
}

impl Permissions {
    /// The permissions of this mode.
    pub(crate) fn new(mode: SecurityMode) -> Self {
        Self { mode, every_type: codes::pointer_types().collect() }
    }

    /// The rights of an organisation, or its refusal.
    pub(crate) fn of(&self, role: Role, organisation: &str) -> Result<Rights, LocatorError> {
        let types = match (self.mode, role) {
            (SecurityMode::Open, Role::Producer | Role::Consumer) => self.every_type.clone(),
            // Nobody has been granted anything yet.
            (SecurityMode::Enforced, Role::Producer | Role::Consumer) => Arc::default(),
        };
        if types.is_empty() {
            let organisation = organisation.to_owned();
            return Err(LocatorError::NoPermission { organisation });
        }
        Ok(Rights { types })
    }
}

impl Rights {
    /// The permitted types, as `system|code`.
    pub(crate) fn types(&self) -> &[String] {
        &self.types
    }

    /// Whether this type is among them.
    pub(crate) fn permit(&self, kind: &str) -> bool {
        self.types.iter().any(|permitted| permitted == kind)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn in_open_mode_every_organisation_may_use_every_type() {
        let permissions = Permissions::new(SecurityMode::Open);
        for role in [Role::Producer, Role::Consumer] {
            let rights = permissions.of(role, "QWO").unwrap();
            assert_eq!(rights.types().len(), 16);
            assert!(rights.permit("http://snomed.info/sct|887181000000106"));
            assert!(!rights.permit("http://snomed.info/sct|1"));
        }
    }

    #[test]
    fn without_a_grant_an_organisation_is_refused() {
        let permissions = Permissions::new(SecurityMode::Enforced);
        assert!(matches!(
            permissions.of(Role::Consumer, "QWO"),
            Err(LocatorError::NoPermission { organisation }) if organisation == "QWO"
        ));
    }
}
