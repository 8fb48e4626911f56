//! Every search is asked twice: of a hub, and of the specification's text.
//!
//! | room | what lives there |
//! |---|---|
//! | `dice` | chance that can be thrown again |
//! | `world` | small random records in which much collides |
//! | `parameters` | the search parameters that are asked for, written out anew |
//! | `question` | random questions, and how they are written |
//! | `judge` | which resources a question's answer must hold, and in which order |
//! | `scale` | dates and decimals, exactly |
//! | `hidden` | two records that differ only in what is hidden |
//!
//! Nothing here but the hub itself reads an index, a table of `fhir` or a line of its search. Where the
//! specification leaves a choice, the hub's is followed: a resource without a sort value comes last
//! either way; a stored number is what it says, however precisely, and what is asked spans its
//! precision; texts are compared by their beginnings, without case and marks; dates without a zone are
//! in UTC; what happened last comes first unless asked otherwise.
//!
//! `ORACLE_CASES` says how many worlds there are (3), `ORACLE_SEED` which is the first (1). A question that
//! is answered otherwise is cut down part by part before it is shown.

mod dice;
mod hidden;
mod judge;
mod parameters;
mod question;
mod scale;
mod world;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use http::StatusCode;
use serde_json::{Value, json};

use crate::kit::{Kit, link};
use dice::Dice;
use judge::{Name, in_order, included, matches, ranks};
use question::Question;
use world::World;

/// Questions asked of each world.
const QUESTIONS: usize = 150;

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_answers_as_the_specification_reads() {
    for seed in seeds() {
        examine(&Kit::sqlite().await, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_answers_as_the_specification_reads() {
    for seed in seeds() {
        let Some(kit) = Kit::postgres().await else { return };
        examine(&kit, seed).await;
    }
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name, default| {
        std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
    };
    let first = number("ORACLE_SEED", 1);
    first..first + number("ORACLE_CASES", 3)
}

/// One world, and many questions of it.
async fn examine(kit: &Kit, seed: u64) {
    let mut dice = Dice::new(seed);
    let world = told(kit, &mut dice).await;
    let (mut wrong, mut found) = (Vec::new(), 0);
    for _ in 0..QUESTIONS {
        let question = question::thrown(&mut dice);
        found += usize::from(!matches(&world, &question).is_empty());
        if let Err(why) = check(kit, &world, &question).await {
            wrong.push(shrunk(kit, &world, question, why).await);
        }
    }
    // Questions that find nothing prove little.
    assert!(found > QUESTIONS / 5, "only {found} of {QUESTIONS} questions found anything");
    assert!(wrong.is_empty(), "seed {seed}, {} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Tells the hub of a new world: everything in one transaction, then some of it otherwise or not at all.
async fn told(kit: &Kit, dice: &mut Dice) -> World {
    let mut world = world::made(dice);
    send(kit, world.values().map(put).collect()).await;
    let mut changes = Vec::new();
    for (of, id) in world.keys().cloned().collect::<Vec<Name>>() {
        if dice.percent(8) {
            let url = format!("{of}/{id}");
            changes.push(json!({"request": {"method": "DELETE", "url": url}}));
            world.remove(&(of, id));
        } else if dice.percent(15) {
            let changed = world::resource(dice, &of, &id);
            changes.push(put(&changed));
            world.insert((of, id), changed);
        }
    }
    send(kit, changes).await;
    world
}

fn put(resource: &Value) -> Value {
    let text = |name: &str| resource[name].as_str().unwrap().to_owned();
    let url = format!("{}/{}", text("resourceType"), text("id"));
    json!({"resource": resource, "request": {"method": "PUT", "url": url}})
}

async fn send(kit: &Kit, entries: Vec<Value>) {
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    let response = kit.post("", &bundle.to_string()).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.text);
}

/// What the hub answers on all pages together.
struct Answered {
    matches: Vec<(Name, Value)>,
    included: Vec<Name>,
    total: Option<u64>,
}

async fn ask(kit: &Kit, question: &Question) -> Result<Answered, String> {
    let mut answered = Answered { matches: Vec::new(), included: Vec::new(), total: None };
    let mut next = Some(question.url());
    while let Some(url) = next {
        let response = kit.get(&url).await;
        if response.status != StatusCode::OK {
            return Err(format!("{}: {}", response.status, response.text));
        }
        let bundle = response.json();
        answered.total = answered.total.or_else(|| bundle["total"].as_u64());
        for entry in bundle["entry"].as_array().into_iter().flatten() {
            let resource = entry["resource"].clone();
            let text = |name: &str| resource[name].as_str().unwrap_or_default().to_owned();
            let name = (text("resourceType"), text("id"));
            match entry["search"]["mode"].as_str() {
                Some("match") => answered.matches.push((name, resource)),
                Some("include") => answered.included.push(name),
                _ => return Err(format!("a part was left out: {resource}")),
            }
        }
        let page = bundle["entry"].as_array().map_or(0, Vec::len);
        if page > question.count && question.include.is_empty() {
            return Err(format!("a page of {page}"));
        }
        next = link(&bundle, "next");
    }
    Ok(answered)
}

/// Whether the hub's answer is the specification's.
async fn check(kit: &Kit, world: &World, question: &Question) -> Result<(), String> {
    let expected = matches(world, question);
    let answered = ask(kit, question).await?;
    let names: BTreeSet<Name> = answered.matches.iter().map(|(name, _)| name.clone()).collect();
    if names != expected {
        return Err(differing(world, &expected, &names));
    }
    if names.len() != answered.matches.len() {
        return Err("a match came twice".to_owned());
    }
    if answered.total != Some(expected.len() as u64) {
        return Err(format!("the total is {:?}, not {}", answered.total, expected.len()));
    }
    for pair in answered.matches.windows(2) {
        let (a, b) = (ranks(&pair[0].1, question), ranks(&pair[1].1, question));
        if !in_order(&a, &b) {
            return Err(format!("out of order: {a:?} before {b:?}"));
        }
    }
    let along: BTreeSet<Name> = answered.included.iter().cloned().collect();
    let expected = included(world, question, &names);
    if along != expected {
        return Err(format!("along went {along:?}, not {expected:?}"));
    }
    Ok(())
}

/// The resources that only one of the two answers holds.
fn differing(world: &World, expected: &BTreeSet<Name>, found: &BTreeSet<Name>) -> String {
    let mut text = format!("expected {} matches, found {}", expected.len(), found.len());
    for name in expected.symmetric_difference(found).take(3) {
        let what = if expected.contains(name) { "missed" } else { "wrongly found" };
        let resource = world.get(name).map(Value::to_string).unwrap_or_default();
        let _ = write!(text, "\n  {what}: {resource}");
    }
    text
}

/// The least part of a question that is still answered otherwise.
async fn shrunk(kit: &Kit, world: &World, mut question: Question, mut why: String) -> String {
    'smaller: loop {
        for smaller in question.smaller() {
            if let Err(still) = check(kit, world, &smaller).await {
                (question, why) = (smaller, still);
                continue 'smaller;
            }
        }
        let url = question.url();
        return format!("{url}\n  {why}\n  {:?}", question.asks);
    }
}
