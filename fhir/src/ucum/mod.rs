//! UCUM units, compared across prefixes and products. <https://ucum.org/ucum>
//!
//! | room | what lives there |
//! |---|---|
//! | `parse` | the grammar of the codes |
//! | `units` | `units.tsv`: what each unit is worth in base units |
//! | `factor` | exact ratios between units |
//!
//! A unit is a factor times powers of UCUM's base units (`m`, `s`, `g`, `rad`, `K`, `C`, `cd`); arbitrary units
//! such as `[iU]` are base units of their own. Units of equal base units are commensurable, and by UCUM that is
//! all there is to it: a mole is a number, an enzyme unit a frequency.
//!
//! A scale that is not a ratio (`Cel`, `[pH]`, `B[SPL]`) is no [`Unit`]: such a code only equals itself.
//!
//! **Invariant.** A conversion is exact until its result is rounded to the nearest double, once:
//! `0.0054 g` in `mg` is the double that `5.4` is. (π alone is cut, after 36 digits.)

mod factor;
mod parse;
mod units;

use std::sync::LazyLock;

use factor::Factor;
use units::Units;

use crate::number::{Decimal, Exact};

static UNITS: LazyLock<Units> = LazyLock::new(|| Units::read(include_str!("units.tsv")));

/// The system of UCUM codes in a Quantity.
pub const SYSTEM: &str = "http://unitsofmeasure.org";

/// A unit that is a ratio of its base units.
#[derive(Debug, Clone)]
pub struct Unit {
    dimension: String,
    factor: Factor,
}

impl Unit {
    /// Reads a case sensitive code: `mg/dL`, `10*3/uL`, `mm[Hg]`, `mL/min/{1.73_m2}`.
    ///
    /// `None` if it is not UCUM, is not a ratio, is not in our table, or is too large to be worth a number.
    pub fn parse(code: &str) -> Option<Self> {
        let measure = parse::measure(code, &UNITS)?;
        Some(Self { dimension: measure.dimension(), factor: measure.factor })
    }

    /// The base units as a code of their own (`g.m-3`; `1` if there are none), equal for commensurable units.
    ///
    /// [`Unit::parse`] of it is the unit that all units of the dimension convert to.
    pub fn dimension(&self) -> &str {
        &self.dimension
    }

    /// A FHIR decimal of this unit, in another: the nearest double.
    ///
    /// `None` if the units are not commensurable, or the text is no decimal ([`Decimal::parse`]).
    pub fn convert(&self, decimal: &str, to: &Self) -> Option<f64> {
        self.factor_to(to)?.scale(&Exact::parse(decimal)?).nearest()
    }

    /// [`Unit::convert`] of a decimal and of the interval that its written precision names.
    pub fn convert_decimal(&self, decimal: &str, to: &Self) -> Option<Decimal> {
        let factor = self.factor_to(to)?;
        let exact = Exact::parse(decimal)?;
        let (low, high) = exact.bounds();
        let nearest = |exact: &Exact| factor.scale(exact).nearest();
        Some(Decimal { value: nearest(&exact)?, low: nearest(&low)?, high: nearest(&high)? })
    }

    fn factor_to(&self, to: &Self) -> Option<Factor> {
        if self.dimension != to.dimension {
            return None;
        }
        self.factor.times(to.factor.inverse())
    }
}

#[cfg(test)]
mod tests;
