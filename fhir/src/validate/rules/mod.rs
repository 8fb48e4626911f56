//! The invariants of R4 that are checked: those of severity error that guard what a clinical fact says, or
//! whose it is. <https://hl7.org/fhir/R4/conformance-rules.html#constraints>
//!
//! | room | what it knows |
//! |---|---|
//! | [`presence`] | a table of rules about which elements are there |
//! | [`values`] | rules about values: dates, quantities, codes |
//! | [`bundle`] | rules about Bundles |
//!
//! Checked elsewhere: dom-2 to dom-5 and ref-1 (`container`), txt-1 and txt-2 (`narrative`).
//!
//! Checked here:
//!
//! | of | keys |
//! |---|---|
//! | data types | att-1 cpt-2 ext-1 per-1 qty-3 rat-1 rng-2 age-1 cnt-3 dis-1 drt-1 tim-1 tim-2 tim-4 to tim-10 drq-1 drq-2 exp-1 trd-1 trd-2 |
//! | problems | ait-1 ait-2 con-1 con-2 con-4 con-5 fhs-1 fhs-2 ras-2 |
//! | observations | obs-3 obs-6 obs-7 msq-3 msq-5 |
//! | medication | mad-1 mdd-1 imm-1 imr-1 |
//! | requests and plans | cpl-3 gol-1 prr-1 rqg-1 |
//! | visits | app-1 to app-4 apr-1 |
//! | documents and lists | cmp-1 cmp-2 lst-1 to lst-3 qrs-1 |
//! | identity and consent | pat-1 org-1 org-2 org-3 grp-1 ppc-1 |
//! | cover | ces-1 ipn-1 |
//! | messages | inv-1 bdl-1 to bdl-5 bdl-7 to bdl-12 |
//!
//! Not checked: rules of resources that only define others (profiles, questionnaires, terminology, tests),
//! rules that ask what a reference resolves to, and those of severity warning. An entry of a batch or
//! transaction without a request, or with another's fullUrl, is left to whoever processes it.

mod bundle;
mod presence;
mod values;

use std::sync::LazyLock;

use super::facts::Read;
use crate::definitions::Type;
use crate::definitions::elements::{MEMBERS_MAX, types};

/// An invariant that an object breaks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Broken {
    pub(super) key: &'static str,
    /// What the rule asks.
    pub(super) said: &'static str,
    /// The element at fault, and which of its items, if it is not the object itself.
    pub(super) at: Option<(&'static str, Option<usize>)>,
}

impl Broken {
    fn new(key: &'static str, said: &'static str) -> Self {
        Self { key, said, at: None }
    }

    fn at(self, element: &'static str, item: Option<usize>) -> Self {
        Self { at: Some((element, item)), ..self }
    }
}

/// What judges values; adds what is broken.
type Judge = fn(&Read<'_, '_>, &mut Vec<Broken>);

/// A judge, the types that it judges, and the JSON members whose values it asks for.
struct Judged {
    of: &'static [&'static str],
    asks: &'static [&'static str],
    judge: Judge,
}

/// What types note only if what holds them asks.
const HANDED: [(&str, &[&str]); 8] = [
    ("Address", &["use"]),
    ("CodeableConcept", &["coding"]),
    ("Coding", &["system", "code"]),
    ("ContactPoint", &["use"]),
    ("Identifier", &["system", "value"]),
    ("List.entry", &["deleted", "date"]),
    ("Observation.component", &["code"]),
    ("Quantity", &["value", "unit", "code"]),
];

/// A set of a type's members by their numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Members([u64; MEMBERS_MAX / 64]);

impl Members {
    pub(super) fn has(&self, number: usize) -> bool {
        self.0[number / 64] & (1 << (number % 64)) != 0
    }

    fn insert(&mut self, definition: &'static Type, member: &str) {
        let (number, _) = definition.element(member).expect("a rule asks for members that are");
        self.0[number / 64] |= 1 << (number % 64);
    }
}

/// The rules of one type.
#[derive(Default)]
pub(super) struct Rules {
    presence: Vec<presence::Compiled>,
    judges: Vec<Judge>,
    /// The members whose values are noted always.
    pub(super) noted: Members,
    /// The members whose values are noted if what holds the object asks.
    pub(super) handed: Members,
}

static RULES: LazyLock<Vec<Rules>> = LazyLock::new(|| types().iter().map(Rules::of).collect());

/// The rules of a type.
pub(super) fn rules(definition: &Type) -> &'static Rules {
    &RULES[definition.index.number()]
}

impl Rules {
    fn of(definition: &'static Type) -> Self {
        let mut rules = Self { presence: presence::rules(definition), ..Self::default() };
        for judged in values::JUDGED.iter().chain(&bundle::JUDGED) {
            if judged.of.contains(&definition.name) {
                rules.judges.push(judged.judge);
                judged.asks.iter().for_each(|asked| rules.noted.insert(definition, asked));
            }
        }
        rules.handed = rules.noted;
        let handed = HANDED.iter().filter(|(name, _)| *name == definition.name);
        for asked in handed.flat_map(|(_, asks)| *asks) {
            rules.handed.insert(definition, asked);
        }
        rules
    }

    /// Whether there are none, and so nothing that is always noted.
    pub(super) fn is_empty(&self) -> bool {
        self.presence.is_empty() && self.judges.is_empty()
    }

    /// The rules that an object breaks.
    pub(super) fn broken(&self, read: &Read<'_, '_>) -> Vec<Broken> {
        let mut broken = Vec::new();
        broken.extend(self.presence.iter().filter_map(|rule| rule.broken(read.slots)));
        self.judges.iter().for_each(|judge| judge(read, &mut broken));
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_of_a_type_that_r4_has() {
        let known = |name: &str| types().iter().any(|t| t.name == name);
        let judged = values::JUDGED.iter().chain(&bundle::JUDGED).flat_map(|judged| judged.of);
        for name in judged.copied().chain(presence::types()).chain(HANDED.map(|(name, _)| name)) {
            assert!(known(name), "{name}");
        }
    }
}
