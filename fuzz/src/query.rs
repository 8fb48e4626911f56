//! A query string: understood or refused, and if understood then as SQL.

use std::cell::RefCell;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use fhir::definitions::ResourceType;
use hub::access::consent::Lane;
use hub::access::{Bound, View, label};
use hub::interaction::search::decode;
use hub::search::order::Position;
use hub::search::parameters::{Place, Search, parse};
use hub::search::plan::{Plan, Scope};
use hub::search::predicate::KnownUnit;
use hub::store::Engine;
use hub::store::query::{Query, Value};
use hub::store::sqlite::MIGRATIONS;
use rusqlite::Connection;

use crate::{BASE, NOW, TERMS};

/// Of a query's first byte: the caller is strict.
const STRICT: u8 = 0x80;
/// The rest of it: all types are searched. Only this byte says so, for its SQL is long.
const ALL_TYPES: u8 = 0x7f;
/// The types searched, one for each other first byte.
const TYPES: [&str; 15] = [
    "Patient",
    "Observation",
    "Encounter",
    "MedicationRequest",
    "Location",
    "Condition",
    "Task",
    "ValueSet",
    "Group",
    "RiskAssessment",
    "List",
    "Composition",
    "Practitioner",
    "Substance",
    "ImagingStudy",
];

/// An empty record, and what it was asked to prepare.
struct Database {
    connection: Connection,
    hasher: RandomState,
    /// The hashes of SQL that was prepared: most queries differ from others in values alone.
    seen: RefCell<HashSet<u64>>,
}

thread_local! {
    static DATABASE: Database = Database::new();
}

impl Database {
    fn new() -> Self {
        let connection =
            Connection::open_in_memory().expect("memory is no file that may be missing");
        for schema in MIGRATIONS {
            connection.execute_batch(schema).expect("the schema is SQL");
        }
        Self { connection, hasher: RandomState::new(), seen: RefCell::default() }
    }

    fn prepare(&self, query: &Query) {
        let sql = query.sql();
        if !self.seen.borrow_mut().insert(self.hasher.hash_one(sql)) {
            return;
        }
        let statement = self.connection.prepare(sql);
        let statement = statement.unwrap_or_else(|error| panic!("{error}: {sql}"));
        assert_eq!(statement.parameter_count(), query.arguments().len(), "{sql}");
    }
}

/// Reads a query and writes all its SQL; whether it was one that is understood.
pub fn search(input: &[u8]) -> bool {
    let Some((&byte, query)) = input.split_first() else { return false };
    let Ok(search) = parse(place(byte), &decode(query), byte & STRICT != 0, &TERMS, BASE) else {
        return false;
    };
    written(&search, None);
    // What the self link and the page links say is the same search.
    let again = parse(place(byte), &search.executed, true, &TERMS, BASE);
    let again = again.unwrap_or_else(|_| panic!("{:?} is refused", search.executed));
    assert_eq!(again.executed, search.executed);
    assert_eq!(format!("{:?}", again.matching), format!("{:?}", search.matching));
    assert_eq!(format!("{:?}", again.order), format!("{:?}", search.order));
    true
}

/// The place that a byte stands for.
fn place(byte: u8) -> Place {
    let byte = byte & !STRICT;
    if byte == ALL_TYPES {
        return Place {
            path: String::new(),
            types: ResourceType::all().collect(),
            compartment: None,
        };
    }
    let name = TYPES[usize::from(byte) % TYPES.len()];
    Place::of_type(name.parse().expect("R4 has these types"))
}

/// Every query of a search is SQL that SQLite prepares.
pub(crate) fn written(search: &Search, after: Option<&Position>) {
    let unit = |key, system: &str, code: &str| KnownUnit {
        key,
        system: system.to_owned(),
        code: code.to_owned(),
        unit: code.to_owned(),
    };
    let ucum = "http://unitsofmeasure.org";
    let units = [unit(1, ucum, "mg"), unit(2, ucum, "kg"), unit(3, "", "tablet")];
    let views = [View::whole(), bound()];
    for view in &views {
        let plan = |engine| Plan {
            engine,
            view,
            matching: &search.matching,
            order: &search.order,
            units: &units,
            now: NOW,
        };
        prepared(&plan(Engine::Sqlite), &plan(Engine::Postgres), after);
    }
}

/// The view of somebody who may see next to nothing.
fn bound() -> View {
    let organisation = "RX1".to_owned();
    let (withheld, lanes, placing) =
        (label::HIDING, &[Lane::PRIVACY, Lane::OPT_OUT][..], Arc::from([1, 2]));
    View { bound: Some(Bound { withheld, lanes, purpose: 0, organisation, placing, now: NOW }) }
}

fn prepared(sqlite: &Plan<'_>, postgres: &Plan<'_>, after: Option<&Position>) {
    let somewhere =
        Position { order: sqlite.order.keys.iter().map(|_| Value::Number(0)).collect(), key: 1 };
    let after = after.unwrap_or(&somewhere);
    let queries = [
        sqlite.page(Scope::All, None, 20),
        sqlite.page(Scope::Unchanged("1"), Some(after), 20),
        sqlite.page(Scope::Changed("1"), None, 20),
        sqlite.page(Scope::Keys(&[1, 2]), None, 20),
        sqlite.total(),
        sqlite.keys(2),
    ];
    queries.iter().for_each(filled);
    DATABASE.with(|database| queries.iter().for_each(|query| database.prepare(query)));
    // The engines differ in how they know what has changed.
    filled(&postgres.page(Scope::Unchanged("1"), Some(after), 20));
    filled(&postgres.page(Scope::Changed("1"), None, 20));
}

/// There is one argument for each placeholder.
fn filled(query: &Query) {
    let sql = query.sql();
    let placeholders = sql.bytes().filter(|byte| *byte == b'?').count();
    assert_eq!(placeholders, query.arguments().len(), "{sql}");
}
