//! `units.tsv`: what each unit is worth in base units.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::factor::Factor;
use super::parse;
use crate::definitions::lines;

/// Prefixes of metric units, as powers of ten.
const PREFIXES: [(&str, i32); 20] = [
    ("Y", 24),
    ("Z", 21),
    ("E", 18),
    ("P", 15),
    ("T", 12),
    ("G", 9),
    ("M", 6),
    ("k", 3),
    ("h", 2),
    ("da", 1),
    ("d", -1),
    ("c", -2),
    ("m", -3),
    ("u", -6),
    ("n", -9),
    ("p", -12),
    ("f", -15),
    ("a", -18),
    ("z", -21),
    ("y", -24),
];

/// A factor and the powers of base units that it counts; no power is zero.
#[derive(Debug, Clone)]
pub(super) struct Measure {
    pub(super) factor: Factor,
    powers: BTreeMap<&'static str, i32>,
}

impl Measure {
    pub(super) const fn one() -> Self {
        Self::number(Factor::ONE)
    }

    pub(super) const fn number(factor: Factor) -> Self {
        Self { factor, powers: BTreeMap::new() }
    }

    fn base(code: &'static str) -> Self {
        Self { factor: Factor::ONE, powers: BTreeMap::from([(code, 1)]) }
    }

    pub(super) fn times(mut self, other: &Self) -> Option<Self> {
        self.factor = self.factor.times(other.factor)?;
        for (base, power) in &other.powers {
            let sum = self.powers.entry(base).or_default();
            *sum = sum.checked_add(*power)?;
        }
        self.powers.retain(|_, power| *power != 0);
        Some(self)
    }

    pub(super) fn to_the(&self, exponent: i32) -> Option<Self> {
        let factor = self.factor.to_the(exponent)?;
        let mut powers = BTreeMap::new();
        for (base, power) in &self.powers {
            powers.insert(*base, power.checked_mul(exponent)?);
        }
        powers.retain(|_, power| *power != 0);
        Some(Self { factor, powers })
    }

    /// The base units as a code: `g.m-1.s-2`, or `1`.
    pub(super) fn dimension(&self) -> String {
        let mut code = String::new();
        for (base, power) in &self.powers {
            let dot = if code.is_empty() { "" } else { "." };
            let _ = match power {
                1 => write!(code, "{dot}{base}"),
                _ => write!(code, "{dot}{base}{power}"),
            };
        }
        if code.is_empty() { "1".to_owned() } else { code }
    }
}

/// A unit of the table.
#[derive(Debug)]
struct Entry {
    measure: Measure,
    metric: bool,
}

/// All units by their codes.
#[derive(Debug)]
pub(super) struct Units(HashMap<&'static str, Entry>);

impl Units {
    pub(super) fn read(table: &'static str) -> Self {
        let mut units = Self(HashMap::new());
        for line in lines(table) {
            let columns: Vec<_> = line.split('\t').collect();
            let (code, metric, measure) = match columns[..] {
                [code, kind] => (code, kind == "metric", Measure::base(code)),
                [code, kind, value, unit] => (code, kind == "metric", units.worth(value, unit)),
                _ => panic!("{line:?} has neither two columns nor four"),
            };
            units.0.insert(code, Entry { measure, metric });
        }
        units
    }

    fn worth(&self, value: &str, unit: &str) -> Measure {
        let number = Factor::decimal(value).map(Measure::number);
        let unit =
            parse::measure(unit, self).expect("the table's units are made of those above them");
        number.and_then(|number| number.times(&unit)).expect("the table's values are decimals")
    }

    /// A unit, or a metric unit with its prefix.
    pub(super) fn named(&self, code: &str) -> Option<Measure> {
        if let Some(entry) = self.0.get(code) {
            return Some(entry.measure.clone());
        }
        PREFIXES.iter().find_map(|(prefix, exponent)| {
            let entry = self.0.get(code.strip_prefix(prefix)?).filter(|entry| entry.metric)?;
            Measure::number(Factor::ten_to(*exponent)).times(&entry.measure)
        })
    }

    /// Every code of the table.
    #[cfg(test)]
    pub(super) fn codes(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}
