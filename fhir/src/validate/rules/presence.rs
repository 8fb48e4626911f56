//! Rules about which elements are there: tests of a few bits, by `presence.tsv`.

use super::Broken;
use crate::definitions::Type;

const TABLE: &str = include_str!("presence.tsv");

/// What a rule asks of an object's elements.
#[derive(Clone, Copy)]
enum Asks {
    Any,
    One,
    All,
    Apart,
    Needs,
}

/// One line of the table.
struct Row {
    key: &'static str,
    of: &'static str,
    asks: Asks,
    elements: &'static str,
    said: &'static str,
}

impl Row {
    fn read(line: &'static str) -> Self {
        let mut columns = line.split('\t');
        let mut column = || columns.next().expect("a rule has five columns");
        let (key, of, asks, elements, said) = (column(), column(), column(), column(), column());
        let asks = match asks {
            "any" => Asks::Any,
            "one" => Asks::One,
            "all" => Asks::All,
            "apart" => Asks::Apart,
            "needs" => Asks::Needs,
            _ => panic!("a rule asks for any, one, all, apart or needs"),
        };
        Self { key, of, asks, elements, said }
    }
}

fn rows() -> impl Iterator<Item = Row> {
    TABLE.lines().filter(|line| !line.starts_with('#')).map(Row::read)
}

/// All types that a rule is of.
#[cfg(test)]
pub(super) fn types() -> impl Iterator<Item = &'static str> {
    rows().flat_map(|row| row.of.split(','))
}

/// A rule of one type, its elements as slots.
pub(super) struct Compiled {
    asks: Asks,
    /// All elements, or of two the one that needs the other.
    first: u64,
    second: u64,
    broken: Broken,
}

/// The rules of a type.
pub(super) fn rules(definition: &'static Type) -> Vec<Compiled> {
    let slot = |element| {
        let slot = definition.slots.iter().position(|slot| *slot == element);
        1_u64 << slot.expect("a rule is about elements that are")
    };
    let rows = rows().filter(|row| row.of.split(',').any(|name| name == definition.name));
    rows.map(|row| {
        let slots: Vec<u64> = row.elements.split(' ').map(slot).collect();
        let (first, second) = match (row.asks, &*slots) {
            (Asks::Needs, [first, second]) => (*first, *second),
            _ => (slots.iter().sum(), 0),
        };
        Compiled { asks: row.asks, first, second, broken: Broken::new(row.key, row.said) }
    })
    .collect()
}

impl Compiled {
    pub(super) fn broken(&self, slots: u64) -> Option<Broken> {
        let there = slots & self.first;
        let kept = match self.asks {
            Asks::Any => there != 0,
            Asks::One => there.is_power_of_two(),
            Asks::All => there == 0 || there == self.first,
            Asks::Apart => there.count_ones() <= 1,
            Asks::Needs => there == 0 || slots & self.second != 0,
        };
        (!kept).then_some(self.broken)
    }
}
