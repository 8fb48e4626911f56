#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use fhir::bundle::SearchMode;
use fhir::identifier::{NHS_NUMBER, PatientNumber};
use proptest::prelude::*;
use service::config::Nation;

use super::check::{Asked, Expected, check};
use super::found::Role;
use super::key::Reading;
use super::*;
use crate::kind::Kind;
use crate::region::answer::RawEntry;

const GUID: &str = "https://fhir.nhs.uk/Id/cross-care-setting-identifier";

/// An Observation of a made-up region.
#[derive(Debug, Clone)]
struct Fact {
    id: String,
    day: Option<u8>,
    name: Option<u8>,
    value: u8,
}

fn fact(id: &str, day: u8, name: Option<u8>, value: u8) -> Fact {
    Fact { id: id.into(), day: (day > 0).then_some(day), name, value }
}

fn entries(facts: &[Fact]) -> Vec<RawEntry> {
    let patient = format!(
        r#"{{"resourceType":"Patient","id":"p","identifier":[{{"system":"{NHS_NUMBER}","value":"9434765919"}}]}}"#
    );
    let observation = |fact: &Fact| {
        let date = fact
            .day
            .map_or(String::new(), |day| format!(r#""effectiveDateTime":"2026-01-{day:02}","#));
        let name = fact.name.map_or(String::new(), |name| {
            format!(r#""identifier":[{{"system":"{GUID}","value":"{name}"}}],"#)
        });
        format!(
            r#"{{"resourceType":"Observation","id":"{}",{date}{name}"valueInteger":{},"subject":{{"reference":"Patient/p"}}}}"#,
            fact.id, fact.value
        )
    };
    let raw = |mode, text: String| RawEntry { mode: Some(mode), resource: Bytes::from(text) };
    let observations = facts.iter().map(|f| raw(SearchMode::Match, observation(f)));
    observations.chain([raw(SearchMode::Include, patient)]).collect()
}

fn region(place: usize) -> Region {
    Region {
        ods: format!("R{place}").parse().unwrap(),
        name: format!("Region {place}"),
        nation: Nation::England,
        url: format!("http://r{place}/FHIR/R4"),
    }
}

/// Merges and hands the result to `look`.
fn merged<T>(regions: &[Vec<Fact>], dedup: Dedup, look: impl Fn(&Merged<'_>) -> T) -> T {
    let kind = Kind::of("Observation".parse().unwrap()).unwrap();
    let number = PatientNumber::parse(NHS_NUMBER, "9434765919").unwrap();
    let members = rules::members(kind.resource_type);
    let (dates, pick) = kind.newest_first();
    let reading = Reading { subjects: &kind.subjects, dates, pick, members };
    let asked = Asked::Type(kind.resource_type, reading);
    let expected = Expected { asked, numbers: &[number], includes: false, told_apart: true };
    let names: Vec<_> = (0..regions.len()).map(region).collect();
    let answers: Vec<_> = regions.iter().map(|facts| entries(facts)).collect();
    let sources = names.iter().zip(&answers).map(|(region, entries)| Source {
        region,
        checked: check(entries, region.base(), &expected).unwrap(),
    });
    look(&merge(sources.collect(), dedup, true))
}

fn ids(merged: &Merged<'_>) -> Vec<String> {
    let id = |shown: &Shown<'_>| format!("{}/{}", shown.region.ods, shown.candidate.key.id);
    merged.shown().map(id).collect()
}

#[test]
fn entries_stand_newest_first_then_by_region_then_by_id_and_undated_ones_last() {
    let regions = [
        vec![fact("b", 2, None, 1), fact("a", 2, None, 2), fact("u", 0, None, 3)],
        vec![fact("a", 2, None, 4), fact("c", 9, None, 5), fact("d", 1, None, 6)],
    ];
    let order = merged(&regions, Dedup::Link, ids);
    assert_eq!(order, ["R1/c", "R0/a", "R0/b", "R1/a", "R1/d", "R0/u"]);
}

#[test]
fn the_same_fact_is_linked_folded_or_left_alone_as_asked() {
    let regions = [vec![fact("a", 1, Some(7), 1)], vec![fact("b", 1, Some(7), 1)]];
    let ends = |dedup| merged(&regions, dedup, |m| (m.shown_count(), m.findings.clone()));
    assert_eq!(ends(Dedup::Off), (2, vec![]));
    assert_eq!(ends(Dedup::Link), (2, vec![Finding::new(What::Duplicate, 0, 1)]));
    assert_eq!(ends(Dedup::Fold), (1, vec![Finding::new(What::Folded, 0, 1)]));
    assert_eq!(merged(&regions, Dedup::Fold, ids), ["R0/a"]);
}

#[test]
fn the_same_fact_with_another_value_is_a_conflict_and_both_are_shown() {
    let regions = [
        vec![fact("a", 1, Some(7), 1)],
        vec![fact("b", 3, Some(7), 2)],
        vec![fact("c", 1, Some(7), 1)],
    ];
    merged(&regions, Dedup::Fold, |m| {
        assert_eq!(ids(m), ["R1/b", "R0/a"]);
        let fields = vec!["valueInteger".to_owned()];
        let conflict = Finding { what: What::Conflict, first: 1, second: 0, fields };
        assert_eq!(m.findings, [conflict, Finding::new(What::Folded, 1, 2)]);
        assert_eq!(m.groups, [[(1, Role::Source), (0, Role::Alternate), (2, Role::Alternate)]]);
    });
}

#[test]
fn equal_content_without_a_shared_identity_is_never_folded() {
    let regions = [vec![fact("a", 1, None, 1)], vec![fact("a", 1, None, 1)]];
    merged(&regions, Dedup::Fold, |m| {
        assert_eq!((m.shown_count(), m.findings.len()), (2, 0));
    });
}

fn facts() -> impl Strategy<Value = Vec<Fact>> {
    let fact = (0..20_u8, 0..6_u8, prop::option::of(0..5_u8), 0..2_u8)
        .prop_map(|(id, day, name, value)| fact(&format!("i{id}"), day, name, value));
    prop::collection::vec(fact, 0..25)
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nothing_is_added(regions in prop::collection::vec(facts(), 1..5)) {
        for dedup in [Dedup::Off, Dedup::Link, Dedup::Fold] {
            merged(&regions, dedup, |m| {
                for (place, facts) in regions.iter().enumerate() {
                    let of_region = |shown: &&Shown<'_>| shown.source == place;
                    let shown = m.shown().filter(of_region).count();
                    let folded = m.matches.iter().zip(&m.folded)
                        .filter(|(entry, folded)| **folded && of_region(entry))
                        .count();
                    let distinct: std::collections::HashSet<_> = facts.iter().map(|f| &f.id).collect();
                    assert_eq!(shown + folded, distinct.len());
                }
                let sent: usize = regions.iter().map(Vec::len).sum();
                assert_eq!(m.matches.len() + m.repeated, sent);
                let folds = m.findings.iter().filter(|f| f.what == What::Folded);
                assert_eq!(folds.count(), m.folded.iter().filter(|f| **f).count());
            });
        }
    }
}

/// A resource of some type whose parts come from small sets, so that many are the same or alike.
fn resource() -> impl Strategy<Value = (String, String)> {
    let parts = (0..6_usize, 0..12_u8, 0..4_u8, 0..3_u8, 0..3_u8, 0..3_u8, 0..4_u8);
    parts.prop_map(|(kind, id, name, code, day, value, updated)| {
        let code = format!(r#"{{"coding":[{{"system":"http://snomed.info/sct","code":"{code}"}}]}}"#);
        let status = ["active", "stopped", "entered-in-error"][usize::from(value)];
        let (kind, rest) = match kind {
            0 => ("Observation", format!(
                r#""subject":{{"reference":"Patient/p"}},"code":{code},"effectiveDateTime":"2026-01-0{}","valueInteger":{value}"#, day + 1)),
            1 => ("MedicationRequest", format!(
                r#""subject":{{"reference":"Patient/p"}},"medicationCodeableConcept":{code},"status":"{status}","authoredOn":"2026-01-0{}","dosageInstruction":[{{"text":"{day}"}}]"#, day + 1)),
            2 => ("AllergyIntolerance", format!(
                r#""patient":{{"reference":"Patient/p"}},"code":{code},"clinicalStatus":{{"coding":[{{"code":"{status}"}}]}}"#)),
            3 => ("AllergyIntolerance",
                r#""patient":{"reference":"Patient/p"},"code":{"coding":[{"system":"http://snomed.info/sct","code":"716186003"}]}"#.to_owned()),
            4 => ("DocumentReference", format!(
                r#""subject":{{"reference":"Patient/p"}},"status":"current","relatesTo":[{{"code":"replaces","target":{{"reference":"DocumentReference/i{value}"}}}}]"#)),
            _ => ("Organization", format!(r#""name":"{value}""#)),
        };
        let name = if name == 0 { String::new() } else {
            format!(r#""identifier":[{{"system":"{GUID}","value":"{name}"}}],"#)
        };
        let text = format!(
            r#"{{"resourceType":"{kind}","id":"i{id}","meta":{{"lastUpdated":"2026-02-0{}T00:00:00Z"}},{name}{rest}}}"#,
            updated + 1
        );
        (format!("{kind}/i{id}"), text)
    })
}

/// Everything that a merge says, by the names of the entries.
fn all_of(regions: &[Vec<String>], dedup: Dedup) -> (String, Vec<usize>) {
    let number = PatientNumber::parse(NHS_NUMBER, "9434765919").unwrap();
    let (asked, numbers) = (Asked::Everything, &[number][..]);
    let expected = Expected { asked, numbers, includes: true, told_apart: true };
    let names: Vec<_> = (0..regions.len()).map(region).collect();
    let patient = entries(&[]);
    let answers: Vec<Vec<RawEntry>> = regions
        .iter()
        .map(|texts| {
            let raw = |text: &String| RawEntry { mode: None, resource: Bytes::from(text.clone()) };
            texts.iter().map(raw).chain(patient.clone()).collect()
        })
        .collect();
    let sources = names.iter().zip(&answers).map(|(region, entries)| {
        let checked = check(entries, region.base(), &expected).unwrap();
        Source { region, checked }
    });
    let m = merge(sources.collect(), dedup, true);
    let url = |place: usize| m.entry(place).canonical_url();
    let mut said: Vec<_> = m.shown().chain(&m.includes).map(Shown::canonical_url).collect();
    said.extend(
        m.findings
            .iter()
            .map(|f| format!("{:?} {} {} {:?}", f.what, url(f.first), url(f.second), f.fields)),
    );
    said.extend(m.groups.iter().map(|group| {
        let item = |(place, role): &(usize, Role)| format!("{} {role:?}", url(*place));
        group.iter().map(item).collect::<Vec<_>>().join(" ")
    }));
    let texts = m.shown().chain(&m.includes).map(|shown| shown.candidate.resource);
    said.extend(texts.map(|text| String::from_utf8_lossy(text).into_owned()));
    let of_region = |place: usize| {
        let all = m.matches.iter().zip(&m.folded).map(|(entry, _)| entry).chain(&m.includes);
        all.filter(|entry| entry.source == place).count()
    };
    let counts = (0..regions.len()).map(of_region).collect();
    (said.join("\n"), counts)
}

proptest! {
    #[test]
    fn the_order_in_which_entries_arrive_changes_nothing(
        regions in prop::collection::vec(prop::collection::vec(resource(), 0..20), 1..4),
        seeds in prop::collection::vec(any::<prop::sample::Index>(), 20),
    ) {
        let texts: Vec<Vec<String>> =
            regions.iter().map(|r| r.iter().map(|(_, text)| text.clone()).collect()).collect();
        let mut shuffled = texts.clone();
        for region in shuffled.iter_mut().filter(|region| !region.is_empty()) {
            for (place, seed) in seeds.iter().enumerate().take(region.len()) {
                let other = seed.index(region.len());
                region.swap(place, other);
            }
        }
        for dedup in [Dedup::Off, Dedup::Link, Dedup::Fold] {
            let (said, counts) = all_of(&texts, dedup);
            prop_assert_eq!(&said, &all_of(&shuffled, dedup).0);
            for (region, count) in regions.iter().zip(counts) {
                let distinct: std::collections::HashSet<_> = region.iter().map(|(id, _)| id).collect();
                prop_assert_eq!(distinct.len(), count);
            }
        }
    }
}
