//! Whatever regions hold, whichever of them fails and when: the pages, and those that
//! `retry-missing` leads to, show it all, and nothing twice.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::before;
use super::stub::{Fact, Stub, Style};
use crate::world::{Answer, World};

const NAMES: [&str; 3] = ["HOME", "FAR", "NEAR"];
/// More pages than any walk here can have.
const PAGES_MAX: usize = 400;

/// A region: its style, its facts, and which of the requests to it fail.
type Plan = (Style, Vec<Fact>, Vec<bool>);

fn plan() -> impl Strategy<Value = Plan> {
    let style = prop_oneof![
        3 => Just(Style::Ours),
        2 => Just(Style::Foreign),
        1 => Just(Style::Unordered)
    ];
    let fact = (prop::option::weighted(0.8, 1..6_u8), prop::option::of(0..4_u8), 0..2_u8);
    let facts = prop::collection::vec(fact, 0..14);
    let fails = prop::collection::vec(prop::bool::weighted(0.3), 0..10);
    (style, facts, fails).prop_map(|(style, facts, fails)| {
        let fact = |(at, (day, name, value))| Fact { id: format!("i{at}"), day, name, value };
        (style, facts.into_iter().enumerate().map(fact).collect(), fails)
    })
}

/// What the pages of a walk showed, in order, and how much they folded.
#[derive(Default)]
struct Walked {
    shown: Vec<String>,
    folded: usize,
    retry: Option<String>,
}

/// Follows a link to the last page; a page that no region answers is asked for again.
async fn walk(world: &World, first: &str, count: usize, folds: bool) -> Walked {
    let (mut walked, mut next, mut turns) = (Walked::default(), Some(first.to_owned()), 0);
    while let Some(link) = next {
        turns += 1;
        assert!(turns < PAGES_MAX, "the walk does not end");
        let page = world.get(&link).await;
        if page.status == 502 {
            next = Some(link);
            continue;
        }
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(page.matches().len() <= count, "{:?}", page.ids());
        let missing = page.link("retry-missing");
        assert_eq!(page.header("x-federation-complete") == "true", missing.is_none());
        walked.shown.extend(page.ids());
        walked.folded += if folds { folded(&page) } else { 0 };
        (next, walked.retry) = (page.link("next"), missing);
    }
    walked
}

fn folded(page: &Answer) -> usize {
    page.issues().iter().filter(|issue| issue["code"] == "duplicate").count()
}

async fn holds(plans: Vec<Plan>, count: usize, ascending: bool, folds: bool) {
    let mut stubs = Vec::new();
    for (style, facts, fails) in &plans {
        stubs.push(Stub::failing(*style, facts.clone(), fails.clone()).await);
    }
    let pairs: Vec<_> = NAMES.into_iter().zip(&stubs).collect();
    let world = before(&pairs).await;
    let sort = if ascending { "&_sort=date" } else { "" };
    let dedup = if folds { "&dedup=fold" } else { "" };
    let first = format!(
        "Observation?patient.identifier={}|{}&_count={count}{sort}{dedup}",
        fhir::identifier::NHS_NUMBER,
        crate::world::NUMBER
    );
    let main = walk(&world, &first, count, folds).await;
    let (mut shown, mut folded, mut retry) = (main.shown.clone(), main.folded, main.retry);
    while let Some(link) = retry {
        let more = walk(&world, &link, count, folds).await;
        shown.extend(more.shown);
        folded += more.folded;
        retry = more.retry;
    }
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for id in &shown {
        *times.entry(id).or_default() += 1;
    }
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    let held: usize = plans.iter().map(|(_, facts, _)| facts.len()).sum();
    assert_eq!(shown.len() + folded, held, "{shown:?}");
    // In order, region by region among equals, but for what was found out of order too late.
    let place = |id: &String| {
        let (ods, id) = id.split_once('/').unwrap();
        let turn = NAMES.iter().position(|name| *name == ods).unwrap();
        let (_, facts, _) = &plans[turn];
        let day = facts.iter().find(|fact| fact.id == id).unwrap().day;
        let rank = day.map_or(999, |day| if ascending { i32::from(day) } else { -i32::from(day) });
        (rank, turn)
    };
    if plans.iter().all(|(style, _, _)| *style != Style::Unordered) {
        assert!(main.shown.iter().map(place).is_sorted(), "{:?}", main.shown);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_pages_are_the_union_of_the_regions_without_loss_or_repeat(
        plans in prop::collection::vec(plan(), 3),
        count in 1..8_usize,
        ascending: bool,
        folds: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(holds(plans, count, ascending, folds));
    }
}
