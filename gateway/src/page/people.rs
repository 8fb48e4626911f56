//! Whose matches a region counts. Who once had the number that another Patient has now is left out of the
//! pages, and a hub that is asked by number counts that person's matches all the same.

use std::sync::Arc;

use fhir::bundle::SearchMode;
use fhir::definitions::ResourceType;
use fhir::identifier::PatientNumber;
use futures::future::join_all;

use crate::Gateway;
use crate::context::Context;
use crate::directory::Region;
use crate::fan_out::Collected;
use crate::identity::person::Numbered;
use crate::kind::Kind;
use crate::region::answer::RegionAnswer;
use crate::region::flight::ask;
use crate::region::question::HubSearch;

/// The regions that have answered, and by which numbers each is asked.
pub(super) fn counting(
    gateway: &Gateway,
    collected: &Collected,
) -> Vec<(Arc<Region>, Vec<PatientNumber>)> {
    let home = gateway.directory().home();
    let at_home = |region: &Region| home.as_ref().is_some_and(|home| home.ods == region.ods);
    let answered = collected.answers.iter().filter(|answer| answer.result.is_ok());
    answered
        .map(|answer| {
            let is_home = at_home(&answer.region);
            let numbers = if is_home { &collected.numbers_at_home } else { &collected.numbers };
            (answer.region.clone(), numbers.clone())
        })
        .collect()
}

/// Whether the asked patient's matches are all that these regions count, as far as their Patients say.
pub(super) async fn are_one(
    gateway: &Gateway,
    context: &Context,
    regions: &[(Arc<Region>, Vec<PatientNumber>)],
) -> bool {
    let kind = Kind::of(ResourceType::PATIENT).expect("Patient can be asked for");
    let page_size = gateway.federation().page_size;
    let asked = regions.iter().map(|(region, numbers)| async move {
        let search = HubSearch::of_patient(kind, numbers, &[], page_size);
        let answer = ask(gateway, region, &search, context).await;
        answer.is_ok_and(|answer| is_one(&answer, numbers))
    });
    join_all(asked).await.into_iter().all(|one| one)
}

/// Whether the Patients found by number either all have it now, or all had it once.
fn is_one(answer: &RegionAnswer, numbers: &[PatientNumber]) -> bool {
    let found = answer.entries.iter().filter(|entry| entry.mode != Some(SearchMode::Include));
    let people: Option<Vec<_>> = found.map(|entry| Numbered::read(&entry.resource)).collect();
    let has = |person: &Numbered| person.current.iter().any(|number| numbers.contains(number));
    people.is_some_and(|people| people.iter().all(has) || !people.iter().any(has))
}
