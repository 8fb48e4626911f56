//! Records into hubs, over HTTP, as any client would send them; then a count of what came out.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use fhir::bundle::Bundle;
use fhir::definitions::ResourceType;
use fhir::identifier::PatientNumber;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use service::config::Nation;
use service::program::ProgramError;

use super::bundles::{self, Deal};
use super::population;
use crate::world::{Site, World};

/// Chance and date of the invented people: the same people every time.
const SEED: u64 = 2_026;
const TODAY: jiff::civil::Date = jiff::civil::date(2026, 11, 23);
/// Bundles sent at the same time.
const CONCURRENT: usize = 8;
/// How long one Bundle may take.
const BUNDLE_TIME_MAX: Duration = Duration::from_mins(1);
/// How long the locator may take to learn of everyone.
const REGISTRATION_TIME_MAX: Duration = Duration::from_mins(1);

/// What is loaded, and what is asked afterwards.
#[derive(Debug)]
pub(super) struct Plan {
    records: Vec<(usize, String)>,
    people: usize,
    pub(super) question: Question,
    /// The same of a patient who lives in one nation and was treated in another.
    pub(super) across_the_border: Option<Question>,
}

/// About whom the gateway is asked.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// The number by which they are known.
    pub(super) number: PatientNumber,
    /// What is said of them.
    pub(super) who: String,
}

impl Plan {
    /// Invented people; asks about the one who is known everywhere.
    pub(super) fn of_invented_people(patients: usize, sites: &[Site]) -> Self {
        let regions: Vec<population::Region<'_>> = sites
            .iter()
            .map(|site| population::Region {
                ods: site.region.ods.as_str(),
                name: &site.region.name,
                nation: match site.region.nation {
                    Nation::Scotland => population::Nation::Scotland,
                    _ => population::Nation::England,
                },
            })
            .collect();
        let people = population::population(SEED, patients.max(1), &regions, TODAY);
        let first = &people[0];
        let number = first.nhs_number.map(PatientNumber::Nhs);
        let question = Question {
            number: number.expect("who is known everywhere is known in England"),
            who: format!("{}, who is known in every region", first.name),
        };
        let across_the_border = people.iter().find(|person| {
            person.chi_number.is_some()
                && person.nhs_number != first.nhs_number
                && person.nhs_number.is_some()
        });
        let across_the_border = across_the_border.and_then(|person| {
            let who = format!("{}, who lives in Scotland and was treated in England", person.name);
            Some(Question { number: PatientNumber::Chi(person.chi_number?), who })
        });
        let count = people.len();
        let records = people.into_iter().flat_map(|person| person.records);
        let records = records.map(|record| (record.region, record.bundle)).collect();
        Self { records, people: count, question, across_the_border }
    }

    /// The Bundles of a folder; asks about the first patient who was cut in two.
    pub(super) fn from_folder(folder: &Path, regions: usize) -> Result<Self, ProgramError> {
        let failed = |error| ProgramError::failed(&format!("reading {}", folder.display()), error);
        let entries = std::fs::read_dir(folder).map_err(failed)?;
        let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let (mut records, mut question) = (Vec::new(), None);
        for (index, file) in files.iter().enumerate() {
            let unusable = |error: &dyn std::fmt::Display| {
                ProgramError::failed(&format!("reading {}", file.display()), error)
            };
            let text = std::fs::read_to_string(file).map_err(|error| unusable(&error))?;
            let text = bundles::number(&text, index).map_err(|error| unusable(&error))?;
            let deal = bundles::deal(index, regions);
            let is_cut = matches!(deal, Deal::Cut(..));
            if question.is_none() || is_cut && question.as_ref().is_some_and(|(cut, _)| !cut) {
                question = patient_number(&text).map(|number| (is_cut, number)).or(question);
            }
            match deal {
                Deal::Whole(region) => records.push((region, text.into_owned())),
                Deal::Cut(first, second) => {
                    let (a, b) = bundles::cut(&text).map_err(|error| unusable(&error))?;
                    records.extend([(first, a.bundle), (second, b.bundle)]);
                }
            }
        }
        let Some((is_cut, number)) = question else {
            let text = format!("{} holds no FHIR Bundle with a Patient", folder.display());
            return Err(ProgramError::Failed(text));
        };
        let who = if is_cut { "a patient who lives in two regions" } else { "a patient" };
        let question = Question { number, who: who.into() };
        Ok(Self { records, people: files.len(), question, across_the_border: None })
    }
}

/// The national number of a Bundle's Patient.
fn patient_number(text: &str) -> Option<PatientNumber> {
    let bundle: Bundle<'_> = serde_json::from_str(text).ok()?;
    let resources = bundle.entry.iter().filter_map(|entry| entry.resource);
    let mut resources = resources.filter_map(|r| serde_json::from_str::<Value>(r.get()).ok());
    let patient = resources.find(|resource| resource["resourceType"] == "Patient")?;
    let identifiers = patient["identifier"].as_array()?;
    identifiers.iter().find_map(|identifier| {
        PatientNumber::parse(identifier["system"].as_str()?, identifier["value"].as_str()?).ok()
    })
}

/// How many resources of each type.
type Counts = BTreeMap<String, u64>;

/// What was loaded.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Patients' Bundles, before they were cut.
    pub(super) people: usize,
    /// Bundles accepted.
    pub(super) bundles: usize,
    /// Bundles of patients that were there already.
    pub(super) known: usize,
    /// How long that took.
    pub(super) loading: Duration,
    /// How long it took from there until the locator knew everyone.
    pub(super) registering: Duration,
    /// For each region, what its hub said it created.
    pub(super) created: Vec<Counts>,
    /// For each region, what its hub has more of than before.
    pub(super) found: Vec<Counts>,
}

impl Loaded {
    /// Resources created in all regions.
    pub(super) fn resources(&self) -> u64 {
        self.created.iter().flat_map(BTreeMap::values).sum()
    }

    /// Fails if a hub has not what it said it created.
    pub(super) fn assert_nothing_lost(&self) -> Result<(), ProgramError> {
        if self.created == self.found {
            return Ok(());
        }
        Err(ProgramError::Failed("a hub does not have what it said it created".into()))
    }
}

/// Sends every record to its region's hub, and waits until the locator knows every patient.
pub(super) async fn load(
    client: &reqwest::Client,
    world: &World,
    plan: &Plan,
) -> Result<Loaded, ProgramError> {
    let before = count_all(client, world).await?;
    let started = Instant::now();
    let sent: Vec<(usize, Option<Counts>)> = stream::iter(&plan.records)
        .map(|(region, bundle)| send(client, world, *region, bundle))
        .buffer_unordered(CONCURRENT)
        .try_collect()
        .await?;
    let loading = started.elapsed();
    let mut created = vec![Counts::new(); world.sites.len()];
    let known = sent.iter().filter(|(_, counts)| counts.is_none()).count();
    for (region, counts) in sent.iter().filter_map(|(r, counts)| Some((r, counts.as_ref()?))) {
        for (name, count) in counts {
            *created[*region].entry(name.clone()).or_default() += count;
        }
    }
    let registering = Instant::now();
    registered(world).await?;
    let registering = registering.elapsed();
    let mut found = count_all(client, world).await?;
    for (found, before) in found.iter_mut().zip(&before) {
        for (name, count) in found.iter_mut() {
            *count -= before.get(name).copied().unwrap_or_default();
        }
        found.retain(|_, count| *count > 0);
    }
    let (people, bundles) = (plan.people, sent.len() - known);
    Ok(Loaded { people, bundles, known, loading, registering, created, found })
}

/// Sends one Bundle; `None` if its patient is in the record already.
async fn send(
    client: &reqwest::Client,
    world: &World,
    region: usize,
    bundle: &str,
) -> Result<(usize, Option<Counts>), ProgramError> {
    let hub = &world.sites[region].hub_url;
    let request = client.post(hub).header("content-type", fhir::FHIR_JSON).body(bundle.to_owned());
    let (status, body) = exchange(request, "sending a Bundle").await?;
    if status == 409 {
        return Ok((region, None));
    }
    if status != 200 {
        let text = format!("a hub refused a Bundle with {status}: {}", diagnostics(&body));
        return Err(ProgramError::Failed(text));
    }
    let mut counts = Counts::new();
    for entry in body["entry"].as_array().into_iter().flatten() {
        let response = &entry["response"];
        let is_new = response["status"].as_str().is_some_and(|s| s.starts_with("201"));
        let kind = response["location"].as_str().and_then(|location| location.split('/').next());
        if let Some(kind) = kind.filter(|_| is_new) {
            *counts.entry(kind.to_owned()).or_default() += 1;
        }
    }
    Ok((region, Some(counts)))
}

/// Counts every type of what was loaded in every hub.
async fn count_all(client: &reqwest::Client, world: &World) -> Result<Vec<Counts>, ProgramError> {
    let mut all = Vec::with_capacity(world.sites.len());
    for site in &world.sites {
        let mut counts = Counts::new();
        // The audit trail grows with every question, this one too.
        let types = ResourceType::all().filter(|name| *name != ResourceType::AUDIT_EVENT);
        for resource_type in types {
            let url = format!("{}/{resource_type}?_summary=count", site.hub_url);
            let (_, body) = exchange(client.get(url), "counting").await?;
            let total = body["total"].as_u64().ok_or_else(|| {
                ProgramError::Failed(format!("a hub does not count: {}", diagnostics(&body)))
            })?;
            if total > 0 {
                counts.insert(resource_type.to_string(), total);
            }
        }
        all.push(counts);
    }
    Ok(all)
}

/// Waits until no registration is left to be done.
async fn registered(world: &World) -> Result<(), ProgramError> {
    let wait = async {
        loop {
            let mut waiting = 0;
            for site in &world.sites {
                let depth = site.hub.store.registration_depth().await;
                waiting +=
                    depth.map_err(|error| ProgramError::failed("registering", error))?.waiting;
            }
            if waiting == 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(REGISTRATION_TIME_MAX, wait).await.unwrap_or_else(|_| {
        Err(ProgramError::Failed("the locator did not take all registrations in time".into()))
    })
}

/// Sends a request and reads its JSON answer.
pub(super) async fn exchange(
    request: reqwest::RequestBuilder,
    doing: &str,
) -> Result<(u16, Value), ProgramError> {
    let failed = |error| ProgramError::failed(doing, error);
    let response = request.timeout(BUNDLE_TIME_MAX).send().await.map_err(failed)?;
    let status = response.status().as_u16();
    Ok((status, response.json().await.map_err(failed)?))
}

/// What an OperationOutcome says first.
pub(super) fn diagnostics(body: &Value) -> &str {
    body["issue"][0]["diagnostics"].as_str().unwrap_or("no reason was given")
}
