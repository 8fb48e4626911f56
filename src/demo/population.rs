//! Synthetic UK Core patients for the demonstration: nobody in here exists.
//!
//! | room | what lives there |
//! |---|---|
//! | [`numbers`] | NHS numbers of the 999 test range and CHI numbers, each handed out once |
//! | [`people`] | who a person is: name, birth, address, health; where they are known |
//! | [`record`] | one person's record in one region, as a closed transaction Bundle |
//! | [`staff`] | practices, hospitals and the doctors in them |
//! | [`resources`], [`medication`], [`observations`] | the shape of each UK Core resource |
//! | [`catalogue`] | the few codes that occur, each taken from UK Core's examples or SNOMED CT |
//! | [`random`], [`json`] | chance from a seed, and JSON text that keeps its digits |
//!
//! Pure: the same seed, regions and date give the same bytes. Person 0 is known in every region;
//! two regions hold the same HbA1c result and the same allergy (one business identifier, equal
//! content) and disagree about one dose. Person 1 lives in Scotland and has been treated in
//! England. Of the others, every seventh is known in two regions.

mod catalogue;
mod json;
mod medication;
pub(crate) mod numbers;
mod observations;
mod people;
mod random;
mod record;
mod resources;
mod staff;

use fhir::identifier::{ChiNumber, NhsNumber};
use jiff::civil::Date;

use numbers::Numbers;
use random::Random;
use record::Shared;

/// The health service a region belongs to; it decides which number its patients carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nation {
    /// Patients carry an NHS number.
    England,
    /// Patients carry a CHI number, and an NHS number where one is linked with it.
    Scotland,
}

/// A region that holds records: an English ICS or a Scottish board.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Region<'a> {
    /// Its ODS code.
    pub(crate) ods: &'a str,
    /// Its name, as people say it.
    pub(crate) name: &'a str,
    /// The health service it belongs to.
    pub(crate) nation: Nation,
}

/// An invented person and the records that regions hold about them.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// Given and family name.
    pub(crate) name: String,
    /// Present if an English region knows them.
    pub(crate) nhs_number: Option<NhsNumber>,
    /// Present if a Scottish region knows them.
    pub(crate) chi_number: Option<ChiNumber>,
    /// One record for each region in which they are known, the home region first.
    pub(crate) records: Vec<Record>,
}

/// What one region holds about a person.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// Index into the regions given to [`population`].
    pub(crate) region: usize,
    /// A FHIR R4 transaction Bundle whose references all resolve inside it.
    pub(crate) bundle: String,
}

/// Makes `patients` people who are known in some of `regions`, with histories that end at `today`.
///
/// Practices and practitioners are put under ids of their own, so that the Bundles of a region
/// share them.
pub(crate) fn population(
    seed: u64,
    patients: usize,
    regions: &[Region<'_>],
    today: Date,
) -> Vec<Person> {
    if regions.is_empty() {
        return Vec::new();
    }
    let mut numbers = Numbers::new(seed);
    let shared = Shared::new(Random::new(seed, u64::MAX), today);
    (0..patients)
        .map(|index| {
            let mut random = Random::new(seed, index as u64);
            let known_in = people::known_in(index, regions);
            let world = people::World { regions, today };
            let identity = people::identity(index, &known_in, &world, &mut numbers, &mut random);
            let records = known_in
                .iter()
                .enumerate()
                .map(|(visited, &region)| {
                    let setting = record::Setting {
                        identity: &identity,
                        place: region,
                        region: regions[region],
                        at_home: visited == 0,
                        shared: (index == 0 && visited < 2).then_some(&shared),
                        today,
                    };
                    Record { region, bundle: record::bundle(&setting, &mut random) }
                })
                .collect();
            Person {
                name: identity.full_name(),
                nhs_number: identity.nhs_number,
                chi_number: identity.chi_number,
                records,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
