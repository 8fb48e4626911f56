//! SMART scopes, version 2: `system/Patient.rs`, `user/*.cruds`.
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html>
//!
//! A scope that is not understood grants nothing. So does one with a query (`.rs?category=…`) and one
//! for a patient (`patient/…`): both would have to narrow what is found, and a wider answer than was
//! granted is worse than none. A `user/` scope counts only if the token names a user.

use std::fmt;

use axum::extract::{RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Caller;

/// All types.
pub const ANY: &str = "*";
const LETTERS: [char; 5] = ['c', 'r', 'u', 'd', 's'];

/// Some of create, read, update, delete and search. Read includes the history of one resource, search
/// that of many.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rights(u8);

impl Rights {
    /// To create.
    pub const CREATE: Self = Self(1);
    /// To read.
    pub const READ: Self = Self(1 << 1);
    /// To update and patch.
    pub const UPDATE: Self = Self(1 << 2);
    /// To delete.
    pub const DELETE: Self = Self(1 << 3);
    /// To search.
    pub const SEARCH: Self = Self(1 << 4);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Reads `rs`: one letter or more, in the order of `cruds`.
    fn parse(text: &str) -> Option<Self> {
        let places = text.chars().map(|letter| LETTERS.iter().position(|known| *known == letter));
        let places: Vec<usize> = places.collect::<Option<_>>()?;
        let ordered = !places.is_empty() && places.is_sorted_by(|a, b| a < b);
        ordered.then(|| Self(places.iter().fold(0, |all, place| all | 1 << place)))
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = |(place, letter): (usize, &char)| (self.0 & 1 << place != 0).then_some(*letter);
        f.write_str(&LETTERS.iter().enumerate().filter_map(set).collect::<String>())
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rights({self})")
    }
}

/// What a token's scopes grant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scopes {
    text: String,
    granted: Vec<(String, Rights)>,
}

impl Scopes {
    /// Reads a `scope` claim; `user`: whether the token names one.
    pub fn parse(text: &str, user: bool) -> Self {
        let granted = text.split(' ').filter_map(|scope| {
            let (context, what) = scope.split_once('/')?;
            if context != "system" && (context != "user" || !user) {
                return None;
            }
            let (resource_type, rights) = what.rsplit_once('.')?;
            Some((resource_type.to_owned(), Rights::parse(rights)?))
        });
        Self { text: text.to_owned(), granted: granted.collect() }
    }

    /// As the token has them.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether they grant these rights on a type, or on all.
    pub fn allow(&self, resource_type: &str, rights: Rights) -> bool {
        let fits = |name: &str| name == ANY || name == resource_type;
        let here = self.granted.iter().filter(|(name, _)| fits(name));
        here.fold(Rights(0), |all, (_, rights)| all.and(*rights)).has(rights)
    }

    /// Whether they grant these rights on a type by its name: `*` does not.
    pub fn name(&self, resource_type: &str, rights: Rights) -> bool {
        let here = self.granted.iter().filter(|(name, _)| name == resource_type);
        here.fold(Rights(0), |all, (_, rights)| all.and(*rights)).has(rights)
    }

    /// Whether they grant anything at all.
    pub fn grant_something(&self) -> bool {
        !self.granted.is_empty()
    }
}

/// What a route asks of its caller's scopes, before anything else of a request is read.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    /// The rights.
    pub rights: Rights,
    /// On what.
    pub on: On,
}

/// What rights are needed on.
#[derive(Debug, Clone, Copy)]
pub enum On {
    /// Every type.
    Everything,
    /// This type.
    Type(&'static str),
    /// This type, which a scope must name: one for all types does not do.
    Named(&'static str),
    /// The type that this part of the URL names.
    Part(&'static str),
    /// Something, whatever it is: each entry of a Bundle has needs of its own.
    Entries,
}

/// Middleware: refuses with 403 what the scopes do not allow.
pub async fn permit(
    State(needs): State<Needs>,
    caller: Caller,
    path: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    let named = |part| path.iter().find(|(name, _)| *name == part).map_or(ANY, |(_, value)| value);
    let resource_type = match needs.on {
        On::Entries if caller.mandate.scopes.grant_something() => return next.run(request).await,
        On::Everything | On::Entries => ANY,
        On::Type(resource_type) | On::Named(resource_type) => resource_type,
        On::Part(part) => named(part),
    };
    let permitted = match needs.on {
        On::Named(resource_type) => caller.require_named(resource_type, needs.rights),
        _ => caller.require(resource_type, needs.rights),
    };
    match permitted {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RS: Rights = Rights::READ.and(Rights::SEARCH);

    #[test]
    fn scopes_grant_what_they_say_and_no_more() {
        let scopes = Scopes::parse("system/Patient.rs user/*.r system/Observation.cruds", true);
        assert!(scopes.allow("Patient", RS) && scopes.allow("Observation", Rights::DELETE));
        assert!(scopes.allow("Condition", Rights::READ) && scopes.allow(ANY, Rights::READ));
        assert!(!scopes.allow("Condition", Rights::SEARCH) && !scopes.allow(ANY, RS));
        assert!(!scopes.allow("Patient", Rights::UPDATE));
    }

    #[test]
    fn a_type_is_named_by_a_scope_of_its_own_alone() {
        let scopes = Scopes::parse("system/*.cruds system/AuditEvent.s", false);
        assert!(scopes.name("AuditEvent", Rights::SEARCH));
        assert!(!scopes.name("AuditEvent", RS) && !scopes.name("Patient", Rights::READ));
    }

    #[test]
    fn rights_add_up_over_scopes() {
        let scopes = Scopes::parse("system/Patient.r system/*.s", false);
        assert!(scopes.allow("Patient", RS) && !scopes.allow("Condition", RS));
    }

    #[test]
    fn what_is_not_understood_grants_nothing() {
        for text in [
            "",
            "user/*.cruds",
            "patient/*.cruds",
            "system/*.*",
            "system/*.read",
            "system/*.sr",
            "system/*.rr",
            "system/*.",
            "system/Patient",
            "system/*.rs?category=laboratory",
            "SYSTEM/*.rs",
            "launch openid fhirUser",
        ] {
            let scopes = Scopes::parse(text, false);
            assert!(!scopes.grant_something(), "{text}");
            assert!(!scopes.allow("Patient", Rights::READ), "{text}");
        }
    }
}
