#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use fhir::bundle::SearchMode;
use fhir::identifier::{NHS_NUMBER, PatientNumber};
use proptest::prelude::*;
use service::config::Nation;

use super::check::{Expected, check};
use super::key::Reading;
use super::*;
use crate::kind::{Kind, Pick};
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
    let expected = Expected {
        resource_type: "Observation",
        numbers: &[number],
        reading: Reading {
            subjects: &kind.subjects,
            dates: kind.date("date").unwrap(),
            pick: Pick::Clinical,
        },
    };
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
    assert_eq!(ends(Dedup::Link), (2, vec![Finding::Duplicate(0, 1)]));
    assert_eq!(ends(Dedup::Fold), (1, vec![Finding::Folded(0, 1)]));
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
        assert_eq!(m.findings, [Finding::Conflict(1, 0), Finding::Folded(1, 2)]);
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
                let folds = m.findings.iter().filter(|f| matches!(f, Finding::Folded(..)));
                assert_eq!(folds.count(), m.folded.iter().filter(|f| **f).count());
            });
        }
    }
}
