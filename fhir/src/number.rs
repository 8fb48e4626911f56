//! Decimals as search compares them: a number stands for the interval that its written digits name.
//! <https://hl7.org/fhir/R4/search.html#number>
//!
//! | written | stands for | why |
//! |---|---|---|
//! | `100` | `[99.5, 100.5)` | half a unit of the last digit, either way |
//! | `5.40` | `[5.395, 5.405)` | a trailing zero is a digit |
//! | `1.00e2` | `[99.5, 100.5)` | an exponent moves the point, not the precision |
//! | `1e2` | `[95, 105)` | the specification's own example: see below |
//!
//! By its digits `1e2` would be `[50, 150)`. The specification reads it one digit finer, and so do we:
//! a whole number with a positive exponent stands for as much as if `.0` had been written before the `e`.
//!
//! Bounds are worked out on the decimal digits and rounded to a double once, so that the bound of `5.4`
//! and a recorded `5.35` are the same double.

/// The longest text that is read as a decimal.
const LONGEST: usize = 64;
/// The largest exponent, either way.
const LARGEST_EXPONENT: i32 = 300;

/// A decimal and the interval `[low, high)` that its written precision names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decimal {
    /// The double nearest to the text; zero has no sign.
    pub value: f64,
    /// Lowest number of the interval.
    pub low: f64,
    /// First number above the interval.
    pub high: f64,
}

impl Decimal {
    /// Reads a FHIR `decimal`: `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`.
    ///
    /// `None` for anything else, for more than 64 bytes and for an exponent beyond ±300.
    /// <https://hl7.org/fhir/R4/datatypes.html#decimal>
    pub fn parse(text: &str) -> Option<Self> {
        let exact = Exact::parse(text)?;
        let (low, high) = exact.bounds();
        Some(Self { value: exact.nearest()?, low: low.nearest()?, high: high.nearest()? })
    }

    /// The closed interval of the prefix `ap`: the value ±10 %, at least as wide as its written precision.
    /// <https://hl7.org/fhir/R4/search.html#prefix>
    pub fn around(&self) -> (f64, f64) {
        let margin = self.value.abs() / 10.0;
        (self.low.min(self.value - margin), self.high.max(self.value + margin))
    }
}

/// A decimal without rounding: `digits × 10^exponent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exact {
    pub(crate) negative: bool,
    /// ASCII digits, at least one.
    pub(crate) digits: String,
    pub(crate) exponent: i32,
}

impl Exact {
    /// [`Decimal::parse`] before it is rounded.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (negative, number) = match text.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, text),
        };
        let (mantissa, exponent) = match number.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)?),
            None => (number, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let padded = whole.len() > 1 && whole.starts_with('0');
        if padded || !all_digits(whole) || !fraction.is_none_or(all_digits) {
            return None;
        }
        let unwritten = if exponent > 0 { "0" } else { "" };
        let fraction = fraction.unwrap_or(unwritten);
        let digits = format!("{whole}{fraction}");
        Some(Self { negative, digits, exponent: exponent - fraction.len() as i32 })
    }

    /// Half a unit of the last written digit below and above.
    pub(crate) fn bounds(&self) -> (Self, Self) {
        let bound = |negative, digits| Self { negative, digits, exponent: self.exponent - 1 };
        let further = bound(self.negative, format!("{}5", self.digits));
        let nearer = match one_less(&self.digits) {
            Some(less) => bound(self.negative, format!("{less}5")),
            None => bound(!self.negative, "5".to_owned()),
        };
        if self.negative { (further, nearer) } else { (nearer, further) }
    }

    /// The nearest double; `None` if that is infinite.
    pub(crate) fn nearest(&self) -> Option<f64> {
        let sign = if self.negative { "-" } else { "" };
        let text = format!("{sign}{}e{}", self.digits, self.exponent);
        let value: f64 = text.parse().expect("digits and an exponent are a number");
        // Adding zero takes the sign from a negative zero.
        value.is_finite().then_some(value + 0.0)
    }
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn read_exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !all_digits(digits) {
        return None;
    }
    let exponent: i32 = text.parse().ok()?;
    (exponent.abs() <= LARGEST_EXPONENT).then_some(exponent)
}

/// The digits of the number one less; `None` below zero.
fn one_less(digits: &str) -> Option<String> {
    let last = digits.rfind(|digit| digit != '0')?;
    let (kept, from) = digits.split_at(last);
    let lowered = char::from(from.as_bytes()[0] - 1);
    Some(format!("{kept}{lowered}{}", "9".repeat(from.len() - 1)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#[expect(clippy::float_cmp, reason = "a bound is one double and no other")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bounds(text: &str) -> (f64, f64) {
        let decimal = Decimal::parse(text).unwrap();
        assert_eq!(decimal.value, text.parse::<f64>().unwrap(), "{text}");
        (decimal.low, decimal.high)
    }

    #[test]
    fn a_number_stands_for_the_interval_that_its_digits_name() {
        for (text, low, high) in [
            ("5.4", 5.35, 5.45),
            ("5.40", 5.395, 5.405),
            ("100", 99.5, 100.5),
            ("100.00", 99.995, 100.005),
            ("1e2", 95.0, 105.0),
            ("1E+2", 95.0, 105.0),
            ("1.0e2", 95.0, 105.0),
            ("1.00e2", 99.5, 100.5),
            ("1e1", 9.5, 10.5),
            ("12e3", 11_950.0, 12_050.0),
            ("5e-1", 0.45, 0.55),
            ("5e0", 4.5, 5.5),
            ("0.0054", 0.005_35, 0.005_45),
            ("0", -0.5, 0.5),
            ("-0", -0.5, 0.5),
            ("0.00", -0.005, 0.005),
            ("-5.4", -5.45, -5.35),
            ("-1e2", -105.0, -95.0),
            ("1000", 999.5, 1000.5),
            ("0.1", 0.05, 0.15),
            ("0.3", 0.25, 0.35),
        ] {
            assert_eq!(bounds(text), (low, high), "{text}");
        }
    }

    #[test]
    fn zero_has_no_sign() {
        assert!(Decimal::parse("-0.0").unwrap().value.is_sign_positive());
    }

    #[test]
    fn what_is_not_a_decimal_is_nothing() {
        let long = "1".repeat(65);
        for bad in [
            "",
            "-",
            "+1",
            "--1",
            "NaN",
            "nan",
            "inf",
            "-infinity",
            ".5",
            "5.",
            "1e",
            "1e+",
            "e5",
            "01",
            "-00.5",
            "1.2.3",
            "1e1e1",
            "1e1.5",
            " 1",
            "1 ",
            "1,5",
            "0x10",
            "1_000",
            "１",
            "1e301",
            "1e-301",
            "1e99999999999",
            &long,
        ] {
            assert_eq!(Decimal::parse(bad), None, "{bad}");
        }
        let largest = format!("{}e300", "9".repeat(60));
        assert_eq!(Decimal::parse(&largest), None, "no double is that large");
        assert!(Decimal::parse(&long[..64]).is_some());
        assert!(Decimal::parse("1e300").is_some());
        assert!(Decimal::parse("1e-300").is_some());
    }

    #[test]
    fn about_is_a_tenth_either_way_but_never_less_than_the_written_precision() {
        let about = |text| Decimal::parse(text).unwrap().around();
        assert_eq!(about("100"), (90.0, 110.0));
        assert_eq!(about("-100"), (-110.0, -90.0));
        assert_eq!(about("1"), (0.5, 1.5));
        assert_eq!(about("0"), (-0.5, 0.5));
    }

    proptest! {
        #[test]
        fn the_bounds_hold_the_value_and_meet_the_neighbours(
            digits in -1_000_000_i64..1_000_000,
            places in 1_usize..9,
        ) {
            let written = |units: i64| {
                let sign = if units < 0 { "-" } else { "" };
                let digits = format!("{:0width$}", units.abs(), width = places + 1);
                let (whole, fraction) = digits.split_at(digits.len() - places);
                Decimal::parse(&format!("{sign}{whole}.{fraction}")).unwrap()
            };
            let (here, next) = (written(digits), written(digits + 1));
            prop_assert!(here.low < here.value && here.value < here.high);
            prop_assert_eq!(here.high, next.low);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-+0-9.eE]{0,70}|.{0,20}") {
            if let Some(decimal) = Decimal::parse(&text) {
                prop_assert!(decimal.low <= decimal.value && decimal.value <= decimal.high);
                prop_assert!(decimal.value.is_finite());
            }
        }
    }
}
