//! Exact factors between units: `numerator / denominator × 10^exponent`.

use crate::number::Exact;

/// The largest numerator or denominator: room is left for a digit.
const LARGEST: u128 = u128::MAX / 16;
/// The largest power of ten, either way: far beyond any double.
const LARGEST_EXPONENT: i32 = 2000;
/// How many digits of an endless quotient are kept. No point halfway between two doubles has more than 767.
const KEPT: i32 = 800;

/// A positive rational number. The fraction is in lowest terms and holds no tens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Factor {
    numerator: u128,
    denominator: u128,
    exponent: i32,
}

impl Factor {
    pub(super) const ONE: Self = Self { numerator: 1, denominator: 1, exponent: 0 };

    pub(super) const fn ten_to(exponent: i32) -> Self {
        Self { numerator: 1, denominator: 1, exponent }
    }

    /// `None` for zero and beyond the bounds.
    pub(super) fn whole(number: u128) -> Option<Self> {
        Self::new(number, 1, 0)
    }

    /// A decimal greater than zero.
    pub(super) fn decimal(text: &str) -> Option<Self> {
        let Exact { negative: false, digits, exponent } = Exact::parse(text)? else {
            return None;
        };
        Self::new(digits.parse().ok()?, 1, exponent)
    }

    fn new(mut numerator: u128, mut denominator: u128, mut exponent: i32) -> Option<Self> {
        if numerator == 0 || denominator == 0 {
            return None;
        }
        while numerator.is_multiple_of(10) {
            numerator /= 10;
            exponent += 1;
        }
        while denominator.is_multiple_of(10) {
            denominator /= 10;
            exponent -= 1;
        }
        let fits = numerator <= LARGEST
            && denominator <= LARGEST
            && (-LARGEST_EXPONENT..=LARGEST_EXPONENT).contains(&exponent);
        fits.then_some(Self { numerator, denominator, exponent })
    }

    pub(super) fn times(self, other: Self) -> Option<Self> {
        // Dividing first keeps the products small, and the result in lowest terms.
        let left = common(self.numerator, other.denominator);
        let right = common(other.numerator, self.denominator);
        let numerator = (self.numerator / left).checked_mul(other.numerator / right)?;
        let denominator = (self.denominator / right).checked_mul(other.denominator / left)?;
        Self::new(numerator, denominator, self.exponent + other.exponent)
    }

    pub(super) const fn inverse(self) -> Self {
        Self { numerator: self.denominator, denominator: self.numerator, exponent: -self.exponent }
    }

    pub(super) fn to_the(self, power: i32) -> Option<Self> {
        let base = if power < 0 { self.inverse() } else { self };
        (0..power.abs()).try_fold(Self::ONE, |product, _| product.times(base))
    }

    /// A decimal times this factor. What the digits kept cannot say, their last one hints at: it is `1`
    /// where an endless quotient was cut, so that rounding goes the right way.
    pub(super) fn scale(self, decimal: &Exact) -> Exact {
        let digits = multiply(decimal.digits.as_bytes(), self.numerator);
        let (digits, places) = divide(&digits, self.denominator);
        Exact {
            negative: decimal.negative,
            digits,
            exponent: decimal.exponent + self.exponent - places,
        }
    }
}

fn common(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// ASCII digits times a number, as ASCII digits.
fn multiply(digits: &[u8], by: u128) -> Vec<u8> {
    let mut product = Vec::with_capacity(digits.len() + 40);
    let mut carry = 0;
    for digit in digits.iter().rev() {
        carry += u128::from(digit - b'0') * by;
        product.push(b'0' + (carry % 10) as u8);
        carry /= 10;
    }
    while carry > 0 {
        product.push(b'0' + (carry % 10) as u8);
        carry /= 10;
    }
    product.reverse();
    product
}

/// The quotient's ASCII digits, and how many of them stand after the point.
fn divide(digits: &[u8], by: u128) -> (String, i32) {
    let mut quotient = String::with_capacity(digits.len());
    let mut rest = 0;
    let mut step = |digit: u8| {
        rest = rest * 10 + u128::from(digit - b'0');
        quotient.push(char::from(b'0' + (rest / by) as u8));
        rest %= by;
        rest == 0
    };
    let mut even = true;
    for digit in digits {
        even = step(*digit);
    }
    let mut places = 0;
    while !even && places < KEPT {
        even = step(b'0');
        places += 1;
    }
    if !even {
        quotient.push('1');
        places += 1;
    }
    (quotient, places)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scaled(text: &str, factor: Factor) -> f64 {
        factor.scale(&Exact::parse(text).unwrap()).nearest().unwrap()
    }

    #[test]
    fn a_factor_is_kept_in_lowest_terms() {
        let third = Factor::whole(1200).unwrap().times(Factor::whole(3600).unwrap().inverse());
        let third = third.unwrap();
        assert_eq!((third.numerator, third.denominator, third.exponent), (1, 3, 0));
        assert_eq!(third.to_the(-2), Factor::whole(9));
        assert_eq!(third.to_the(0), Some(Factor::ONE));
        assert_eq!(
            Factor::decimal("0.0254"),
            Factor::whole(254).unwrap().times(Factor::ten_to(-4))
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(Factor::whole(0), None);
        assert_eq!(Factor::decimal("-1"), None);
        assert_eq!(Factor::whole(3).unwrap().to_the(99), None);
        assert_eq!(Factor::ten_to(24).to_the(99), None);
        assert!(Factor::ten_to(24).to_the(83).is_some());
    }

    proptest! {
        #[test]
        fn scaling_rounds_once(
            digits in 0_u64..1 << 26,
            numerator in 1_u64..1 << 26,
            denominator in 1_u64..1 << 53,
        ) {
            // Both sides of the fraction are doubles: the processor rounds their quotient once.
            let factor = Factor::new(numerator.into(), denominator.into(), 0).unwrap();
            let found = scaled(&digits.to_string(), factor);
            let expected = (digits * numerator) as f64 / denominator as f64;
            prop_assert_eq!(found.to_bits(), expected.to_bits());
        }

        #[test]
        fn there_and_back_is_the_same_double(digits in 1_u64..1_000_000_000, by in 1_u128..1 << 40) {
            let factor = Factor::whole(by).unwrap();
            let there = factor.scale(&Exact::parse(&digits.to_string()).unwrap());
            prop_assert_eq!(factor.inverse().scale(&there).nearest(), Some(digits as f64));
        }
    }
}
