//! The grammar of UCUM's case sensitive codes. <https://ucum.org/ucum#section-Grammar-of-Units-and-Unit-Terms>
//!
//! `term := ["/"] component { ("." | "/") component }`, read from left to right: `a/b.c` is `(a/b).c`.
//! A component is a term in parentheses, an annotation in braces, a whole number or a unit with an exponent;
//! an annotation may follow it and means nothing.

use super::factor::Factor;
use super::units::{Measure, Units};

/// The longest code that is read.
const LONGEST: usize = 255;
/// The largest exponent of a unit, either way.
const LARGEST_EXPONENT: i32 = 99;

/// A whole code; `None` if it is not one, or too large for a [`Factor`].
pub(super) fn measure(code: &str, units: &Units) -> Option<Measure> {
    if code.is_empty() || code.len() > LONGEST {
        return None;
    }
    let mut parser = Parser { rest: code, units };
    let measure = parser.term()?;
    parser.rest.is_empty().then_some(measure)
}

struct Parser<'c, 'u> {
    rest: &'c str,
    units: &'u Units,
}

impl<'c> Parser<'c, '_> {
    fn term(&mut self) -> Option<Measure> {
        let mut product = Measure::one();
        let mut power = if self.skip('/') { -1 } else { 1 };
        loop {
            product = product.times(&self.component()?.to_the(power)?)?;
            power = match () {
                () if self.skip('.') => 1,
                () if self.skip('/') => -1,
                () => return Some(product),
            };
        }
    }

    fn component(&mut self) -> Option<Measure> {
        let found = if self.skip('(') {
            let inner = self.term()?;
            self.skip(')').then_some(inner)?
        } else if self.rest.starts_with('{') {
            Measure::one()
        } else {
            self.simple()?
        };
        if self.skip('{') {
            let annotation = self.take(self.rest.find(['{', '}'])?);
            let legal = annotation.bytes().all(|b| b.is_ascii_graphic());
            (legal && self.skip('}')).then_some(())?;
        }
        Some(found)
    }

    /// A whole number, or a unit with its exponent.
    fn simple(&mut self) -> Option<Measure> {
        let number = digits(self.rest);
        let power_of_ten = self.rest[number..].starts_with(['*', '^']);
        if number > 0 && !power_of_ten {
            let number = self.take(number).parse().ok()?;
            return Some(Measure::number(Factor::whole(number)?));
        }
        let (code, exponent) = if power_of_ten {
            (self.take(number + 1), self.take(exponent_end(self.rest)))
        } else {
            let text = self.take(unit_end(self.rest));
            text.split_at(exponent_start(text))
        };
        let exponent = match exponent {
            "" => 1,
            text => text.parse().ok().filter(|e: &i32| e.abs() <= LARGEST_EXPONENT)?,
        };
        self.units.named(code)?.to_the(exponent)
    }

    fn skip(&mut self, character: char) -> bool {
        let rest = self.rest.strip_prefix(character);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn take(&mut self, length: usize) -> &'c str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }
}

/// How many digits a text begins with.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// Where an exponent at the start of a text ends.
fn exponent_end(text: &str) -> usize {
    let sign = usize::from(text.starts_with(['+', '-']));
    match digits(&text[sign..]) {
        0 => 0,
        length => sign + length,
    }
}

/// Where a unit and its exponent end: what stands in square brackets belongs to the unit.
fn unit_end(text: &str) -> usize {
    let mut bracketed = false;
    let end = text.bytes().position(|byte| {
        match byte {
            b'[' => bracketed = true,
            b']' => bracketed = false,
            _ => {}
        }
        !bracketed && matches!(byte, b'.' | b'/' | b'(' | b')' | b'{' | b'}')
    });
    end.unwrap_or(text.len())
}

/// Where the exponent after a unit starts.
fn exponent_start(unit: &str) -> usize {
    let code = unit.trim_end_matches(|c: char| c.is_ascii_digit());
    if code.len() == unit.len() {
        return unit.len();
    }
    code.strip_suffix(['+', '-']).unwrap_or(code).len()
}
