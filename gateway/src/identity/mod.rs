//! From a number to the regions to ask, and the numbers to ask by. Records are located by NHS
//! number; a file and the home hub say which numbers are one person's: a CHI or H&C number leads to
//! an NHS number and back, and a number that has been replaced to the one in its place.
//!
//! | room | what lives there |
//! |---|---|
//! | [`person`] | what Patients say of a number |
//! | [`links`] | the file of linked numbers |
//!
//! The home hub is asked beside the locator, so that it costs no time.

pub mod links;
pub mod person;

use std::sync::Arc;

use fhir::definitions::ResourceType;
use fhir::identifier::{NhsNumber, OdsCode, PatientNumber};
use futures::future::try_join_all;
use tokio::time::{Instant, timeout_at};

use self::person::{Linked, Numbered, Person};
use crate::Gateway;
use crate::context::Context;
use crate::directory::Region;
use crate::error::GatewayError;
use crate::kind::Kind;
use crate::locate::{LocatorError, Pointers};
use crate::outcome::Gap;
use crate::region::flight::ask as ask_region;
use crate::region::question::HubSearch;

/// Where a patient's records are, as far as that can be known.
#[derive(Debug, Default)]
pub struct Whereabouts {
    /// The numbers by which regions are asked.
    pub numbers: Vec<PatientNumber>,
    /// The number that was asked for is no longer in use.
    pub superseded: bool,
    /// The home hub has to be asked by all of the numbers: they are those of several Patients.
    pub home_again: bool,
    /// The regions that hold something; the home region may be among them.
    pub regions: Vec<Arc<Region>>,
    /// Organisations that hold something and are not in the directory.
    pub unknown: Vec<OdsCode>,
    /// What is not known.
    pub gaps: Vec<Gap>,
}

/// Finds out who holds records of a person.
pub async fn whereabouts(
    gateway: &Gateway,
    mut person: Person,
    context: &Context,
) -> Result<Whereabouts, GatewayError> {
    let early = person.nhs_numbers();
    let home = linking_home(gateway);
    if home.is_none() && early.is_empty() && !person.is_ambiguous() {
        return Err(GatewayError::NotLinked);
    }
    let linking = async {
        match home {
            Some(home) => at_home(gateway, &home, &person, context).await.map(Some),
            None => Ok(None),
        }
    };
    let (linked, located) = tokio::join!(linking, locate(gateway, &early, context));
    let mut found = Whereabouts::default();
    match linked {
        Ok(Some(linked)) => {
            found.home_again = !linked.replaced.is_empty();
            person.learn(linked);
        }
        Ok(None) => {}
        Err(gap) => found.gaps.push(gap),
    }
    found.numbers = person.numbers();
    found.superseded = person.is_superseded();
    found.gaps.extend(ambiguity(&person));
    let numbers = person.nhs_numbers();
    let late: Vec<_> = numbers.iter().copied().filter(|n| !early.contains(n)).collect();
    let located = match located {
        Ok(pointers) => locate(gateway, &late, context).await.map(|more| [pointers, more].concat()),
        Err(error) => Err(error),
    };
    match located {
        Ok(pointers) => found.located(gateway, &pointers),
        Err(error) => found.without_locator(gateway, &error)?,
    }
    Ok(found)
}

impl Whereabouts {
    fn located(&mut self, gateway: &Gateway, pointers: &[Arc<Pointers>]) {
        let mut custodians: Vec<_> = pointers.iter().flat_map(|p| p.custodians.iter()).collect();
        custodians.sort();
        custodians.dedup();
        for custodian in custodians {
            match gateway.directory().find(custodian) {
                Some(region) => self.regions.push(region),
                None => self.unknown.push(custodian.clone()),
            }
        }
        let unreadable = pointers.iter().map(|pointers| pointers.unreadable).sum();
        if unreadable > 0 {
            self.gaps.push(Gap::UnreadablePointers(unreadable));
        }
    }

    fn without_locator(
        &mut self,
        gateway: &Gateway,
        error: &LocatorError,
    ) -> Result<(), GatewayError> {
        tracing::warn!(cause = %error, "the locator could not be asked");
        if !gateway.may_answer_without_locator() {
            return Err(GatewayError::LocatorUnavailable(error.retry_after_s()));
        }
        self.gaps.push(Gap::LocatorFailed);
        Ok(())
    }
}

/// What is not known because of a person's numbers.
fn ambiguity(person: &Person) -> Option<Gap> {
    let by_nhs_number = matches!(person.asked(), PatientNumber::Nhs(_));
    match (person.is_ambiguous(), by_nhs_number) {
        (true, true) => Some(Gap::OtherNumber),
        (true, false) => Some(Gap::SeveralLinks),
        (false, _) if person.nhs_numbers().is_empty() => Some(Gap::NotLinked),
        (false, _) => None,
    }
}

/// Asks the locator about each of these numbers.
async fn locate(
    gateway: &Gateway,
    numbers: &[NhsNumber],
    context: &Context,
) -> Result<Vec<Arc<Pointers>>, Arc<LocatorError>> {
    try_join_all(numbers.iter().map(|number| gateway.locator().locate(*number, context))).await
}

/// The hub that is asked which numbers are one person's.
fn linking_home(gateway: &Gateway) -> Option<Arc<Region>> {
    gateway.directory().home().filter(|_| gateway.identity().home)
}

/// What the home hub's Patients say. Without an NHS number other regions cannot be asked at all;
/// with one they wait for a moment, and keep most of the time for themselves.
async fn at_home(
    gateway: &Gateway,
    home: &Arc<Region>,
    person: &Person,
    context: &Context,
) -> Result<Linked, Gap> {
    let numbers = person.numbers();
    let kind = Kind::of(ResourceType::PATIENT).expect("Patient can be asked for");
    let replacements = [("_include".to_owned(), "Patient:link".to_owned())];
    let page_size = gateway.federation().page_size;
    let search = HubSearch::of_patient(kind, &numbers, &replacements, page_size);
    let (now, deadline) = (Instant::now(), context.region_deadline());
    let moment = gateway.identity().wait().min(deadline.saturating_duration_since(now) / 4);
    let patience = if person.nhs_numbers().is_empty() { deadline } else { now + moment };
    let answer = timeout_at(patience, ask_region(gateway, home, &search, context)).await;
    let Ok(Ok(answer)) = answer else {
        return Err(Gap::LinksUnknown);
    };
    let patients: Vec<_> =
        answer.entries.iter().filter_map(|entry| Numbered::read(&entry.resource)).collect();
    Ok(Linked::of(&patients, &numbers))
}
