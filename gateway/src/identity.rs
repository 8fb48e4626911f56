//! From a number to the regions to ask. Records are located by NHS number; for a CHI or H&C number
//! the home hub is asked first which NHS number its Patient also carries.

use std::sync::Arc;

use fhir::identifier::{NhsNumber, OdsCode, PatientNumber};

use crate::Gateway;
use crate::context::Context;
use crate::directory::Region;
use crate::error::GatewayError;
use crate::kind::Kind;
use crate::locate::{LocatorError, Pointers};
use crate::merge::key::{Reading, identifiers};
use crate::outcome::Gap;
use crate::region::answer::RegionAnswer;
use crate::region::question::HubSearch;
use crate::region::search::search as search_region;

/// Where a patient's records are, as far as that can be known.
#[derive(Debug)]
pub struct Whereabouts {
    /// The numbers by which other regions are asked.
    pub numbers: Vec<PatientNumber>,
    /// The regions that hold something; the home region may be among them.
    pub regions: Vec<Arc<Region>>,
    /// Organisations that hold something and are not in the directory.
    pub unknown: Vec<OdsCode>,
    /// What is not known.
    pub gaps: Vec<Gap>,
}

/// Finds out who holds records of the patient with that number.
pub async fn whereabouts(
    gateway: &Gateway,
    number: PatientNumber,
    context: &Context,
) -> Result<Whereabouts, GatewayError> {
    let mut found = Whereabouts {
        numbers: vec![number],
        regions: Vec::new(),
        unknown: Vec::new(),
        gaps: Vec::new(),
    };
    let nhs = match number {
        PatientNumber::Nhs(nhs) => nhs,
        PatientNumber::Chi(_) | PatientNumber::Hc(_) => {
            match linked(gateway, number, context).await?.as_slice() {
                [] => return Ok(found.with(Gap::NotLinked)),
                [nhs] => *nhs,
                _ => return Ok(found.with(Gap::SeveralLinks)),
            }
        }
    };
    if number != PatientNumber::Nhs(nhs) {
        found.numbers.push(PatientNumber::Nhs(nhs));
    }
    match gateway.locator().locate(nhs, context).await {
        Ok(pointers) => Ok(found.located(gateway, &pointers)),
        Err(error) => found.without_locator(gateway, &error),
    }
}

impl Whereabouts {
    fn with(mut self, gap: Gap) -> Self {
        self.gaps.push(gap);
        self
    }

    fn located(mut self, gateway: &Gateway, pointers: &Pointers) -> Self {
        for custodian in &pointers.custodians {
            match gateway.directory().find(custodian) {
                Some(region) => self.regions.push(region.clone()),
                None => self.unknown.push(custodian.clone()),
            }
        }
        match pointers.unreadable {
            0 => self,
            count => self.with(Gap::UnreadablePointers(count)),
        }
    }

    fn without_locator(
        self,
        gateway: &Gateway,
        error: &LocatorError,
    ) -> Result<Self, GatewayError> {
        tracing::warn!(cause = %error, "the locator could not be asked");
        if gateway.may_answer_without_locator() {
            Ok(self.with(Gap::LocatorFailed))
        } else {
            Err(GatewayError::LocatorUnavailable)
        }
    }
}

/// The NHS numbers that the home hub's Patients with this number carry, each once. A home hub that
/// does not answer links nothing; its silence is told by its own part of the answer.
async fn linked(
    gateway: &Gateway,
    number: PatientNumber,
    context: &Context,
) -> Result<Vec<NhsNumber>, GatewayError> {
    let home = gateway.directory().home().ok_or(GatewayError::NotLinked)?;
    let kind = Kind::of(fhir::definitions::ResourceType::PATIENT)
        .ok_or_else(|| GatewayError::Internal("Patient is not among the types".into()))?;
    let search = HubSearch::of_patient(kind, &[number], &[], gateway.federation().page_size);
    let answer = search_region(gateway.client(), home, &search, context).await;
    Ok(answer.map_or_else(|_| Vec::new(), |answer| links(&answer, number)))
}

fn links(answer: &RegionAnswer, number: PatientNumber) -> Vec<NhsNumber> {
    let mut links = Vec::new();
    let reading = Reading::of_patients();
    for entry in &answer.entries {
        let Ok(key) = reading.read(&entry.resource) else {
            continue;
        };
        let carried = identifiers(key.identifier);
        let is = |i: &crate::merge::key::Identifier<'_>| i.number() == Some(number);
        if key.resource_type != "Patient" || !carried.iter().any(is) {
            continue;
        }
        links.extend(carried.iter().filter_map(|identifier| match identifier.number() {
            Some(PatientNumber::Nhs(nhs)) if !identifier.is_old() => Some(nhs),
            _ => None,
        }));
    }
    links.sort();
    links.dedup();
    links
}
