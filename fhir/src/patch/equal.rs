//! When two JSON values are the same. <https://www.rfc-editor.org/rfc/rfc6902#section-4.6>

use crate::tree::Tree;

/// Numbers are compared by value, objects without regard to the order of their members.
pub(super) fn equal(a: &Tree<'_>, b: &Tree<'_>) -> bool {
    match (a, b) {
        (Tree::Number(a), Tree::Number(b)) => a == b || same_number(a, b),
        (Tree::Array(a), Tree::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Tree::Object(a), Tree::Object(b)) if a.len() == b.len() => {
            // Sorted, so that a long object costs little more than its length.
            let (mut a, mut b): (Vec<_>, Vec<_>) = (a.iter().collect(), b.iter().collect());
            a.sort_by(|one, other| one.0.cmp(&other.0));
            b.sort_by(|one, other| one.0.cmp(&other.0));
            a.iter().zip(b).all(|(a, b)| a.0 == b.0 && equal(&a.1, &b.1))
        }
        (Tree::Object(_), _) => false,
        _ => a == b,
    }
}

fn same_number(a: &str, b: &str) -> bool {
    let (a, b) = (Decimal::read(a), Decimal::read(b));
    a.is_some() && a == b
}

/// A number as its significant digits and the power of ten they are multiplied by; zero has no digits.
#[derive(PartialEq)]
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    power: i64,
}

impl Decimal {
    /// Nothing if the exponent is beyond all reason.
    fn read(text: &str) -> Option<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let negative = whole.starts_with('-');
        let digits = whole.trim_start_matches('-').bytes().chain(fraction.bytes());
        let mut digits: Vec<_> = digits.skip_while(|digit| *digit == b'0').collect();
        let significant = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |at| at + 1);
        if significant == 0 {
            return Some(Self { negative: false, digits: Vec::new(), power: 0 });
        }
        let power = exponent.parse::<i64>().ok()?;
        let power = power.checked_sub(fraction.len() as i64)?;
        let power = power.checked_add((digits.len() - significant) as i64)?;
        digits.truncate(significant);
        Some(Self { negative, digits, power })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn values_are_compared_by_what_they_mean() {
        for (a, b, same) in [
            ("1", "1.00", true),
            ("100", "1e2", true),
            ("0.10", "1E-1", true),
            ("-0", "0e99999999999999999999", true),
            ("1", "-1", false),
            ("10", "1", false),
            ("12345678901234567890.1", "12345678901234567890.2", false),
            ("1e99999999999999999999", "1e99999999999999999999", true),
            ("1e99999999999999999999", "1e99999999999999999998", false),
            ("1", "\"1\"", false),
            ("null", "false", false),
            (r#"{"a":1,"b":[2]}"#, r#"{"b":[2.0],"a":1}"#, true),
            (r#"{"a":1}"#, r#"{"a":1,"b":2}"#, false),
            ("[1,2]", "[2,1]", false),
        ] {
            let read = |text: &'static str| Tree::parse(text.as_bytes()).unwrap();
            assert_eq!(equal(&read(a), &read(b)), same, "{a} {b}");
        }
    }
}
