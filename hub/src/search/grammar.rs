//! The text of search values: escapes, OR lists, prefixes. Pure.
//! <https://hl7.org/fhir/R4/search.html#escaping>

use fhir::instant::Interval;
use fhir::number::Decimal;
use fhir::ucum::Unit;

/// Splits at each `separator` that is not escaped; the parts stay escaped.
pub fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        if c == separator && !escaped {
            parts.push(&text[start..at]);
            start = at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

/// Resolves `\,` `\|` `\$` and `\\`; any other backslash stands for itself.
pub fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('\\', Some(&next)) if matches!(next, ',' | '|' | '$' | '\\') => {
                out.push(next);
                rest.next();
            }
            _ => out.push(c),
        }
    }
    out
}

/// A token as it is asked for: `code`, `system|code`, `|code`, `system|`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenTest {
    /// `None`: any; empty: only those without a system.
    pub system: Option<String>,
    /// `None`: any.
    pub code: Option<String>,
}

impl TokenTest {
    /// Reads a token; `None` if it asks for nothing.
    pub fn parse(text: &str) -> Option<Self> {
        let parts = split(text, '|');
        let code = |text: &str| Some(unescape(text)).filter(|code| !code.is_empty());
        let test = match parts[..] {
            [only] => Self { system: None, code: code(only) },
            [system, rest] => Self { system: Some(unescape(system)), code: code(rest) },
            _ => return None,
        };
        let nothing = test.code.is_none() && test.system.as_deref().is_none_or(str::is_empty);
        (!nothing).then_some(test)
    }
}

/// How a stored value is compared. <https://hl7.org/fhir/R4/search.html#prefix>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the prefixes are the specification's own")]
pub enum Prefix {
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    Sa,
    Eb,
    Ap,
}

impl Prefix {
    /// Takes the prefix off a value.
    fn take(text: &str) -> (Self, &str) {
        let known = text.get(..2).and_then(|prefix| {
            Some(match prefix {
                "eq" => Self::Eq,
                "ne" => Self::Ne,
                "gt" => Self::Gt,
                "lt" => Self::Lt,
                "ge" => Self::Ge,
                "le" => Self::Le,
                "sa" => Self::Sa,
                "eb" => Self::Eb,
                "ap" => Self::Ap,
                _ => return None,
            })
        });
        known.map_or((Self::Eq, text), |prefix| (prefix, &text[2..]))
    }
}

/// A date as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTest {
    /// How to compare.
    pub prefix: Prefix,
    /// The interval that the date names.
    pub interval: Interval,
}

impl DateTest {
    /// Reads a date with its prefix.
    pub fn parse(text: &str) -> Option<Self> {
        // A raw `+` of a zone is a space once the query is decoded.
        let text = unescape(text).replace(' ', "+");
        let (prefix, date) = Prefix::take(&text);
        Some(Self { prefix, interval: Interval::parse(date)? })
    }
}

/// A number as it is asked for. <https://hl7.org/fhir/R4/search.html#number>
#[derive(Debug, Clone, PartialEq)]
pub struct NumberTest {
    /// How to compare.
    pub prefix: Prefix,
    /// The number, as precise as it is written.
    pub decimal: Decimal,
    /// Its text, to be converted into other units.
    pub text: String,
}

impl NumberTest {
    /// Reads a number with its prefix.
    pub fn parse(text: &str) -> Option<Self> {
        let (prefix, number) = Prefix::take(text);
        Some(Self { prefix, decimal: Decimal::parse(number)?, text: number.to_owned() })
    }

    /// The same test of a number in another unit.
    #[must_use]
    pub fn converted(&self, from: &Unit, to: &Unit) -> Option<Self> {
        let decimal = from.convert_decimal(&self.text, to)?;
        Some(Self { decimal, ..self.clone() })
    }
}

/// The unit of a quantity as it is asked for. <https://hl7.org/fhir/R4/search.html#quantity>
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitTest {
    /// Numbers have none.
    Without,
    /// Any, or none.
    Any,
    /// This code of this system, or what is commensurable with it.
    Coded {
        /// The system.
        system: String,
        /// The code.
        code: String,
    },
    /// This code or human unit, of any system.
    Named(String),
}

impl UnitTest {
    /// Reads `5.4`, `5.4|system|code` or `5.4||code`.
    pub fn parse(text: &str) -> Option<(NumberTest, Self)> {
        let parts = split(text, '|');
        let number = NumberTest::parse(&unescape(parts[0]))?;
        let unit = match parts[1..] {
            [] => Self::Any,
            [system, code] => match (unescape(system), unescape(code)) {
                (system, code) if system.is_empty() && code.is_empty() => Self::Any,
                (system, code) if system.is_empty() => Self::Named(code),
                (_, code) if code.is_empty() => return None,
                (system, code) => Self::Coded { system, code },
            },
            _ => return None,
        };
        Some((number, unit))
    }
}

/// A string as it is asked for. <https://hl7.org/fhir/R4/search.html#string>
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextTest {
    /// It begins so, whatever the case and accents.
    Starts(String),
    /// It is exactly this.
    Exact(String),
    /// This is somewhere in it, whatever the case and accents.
    Contains(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_separator_separates_nothing() {
        assert_eq!(split(r"a\,b,c\\,d", ','), [r"a\,b", r"c\\", "d"]);
        assert_eq!(unescape(r"a\,b\|c\\d\x"), r"a,b|c\d\x");
    }

    #[test]
    fn a_token_has_four_forms() {
        let test = |system: Option<&str>, code: Option<&str>| {
            Some(TokenTest { system: system.map(Into::into), code: code.map(Into::into) })
        };
        assert_eq!(TokenTest::parse("c"), test(None, Some("c")));
        assert_eq!(TokenTest::parse("s|c"), test(Some("s"), Some("c")));
        assert_eq!(TokenTest::parse("|c"), test(Some(""), Some("c")));
        assert_eq!(TokenTest::parse("s|"), test(Some("s"), None));
        assert_eq!(TokenTest::parse(r"a\|b"), test(None, Some("a|b")));
        for nothing in ["", "|", "a|b|c"] {
            assert_eq!(TokenTest::parse(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_quantity_has_three_forms() {
        let unit = |text| UnitTest::parse(text).map(|(_, unit)| unit);
        assert_eq!(unit("5.4"), Some(UnitTest::Any));
        assert_eq!(unit("gt5.4||mg"), Some(UnitTest::Named("mg".into())));
        let coded = UnitTest::Coded { system: "s".into(), code: "mg".into() };
        assert_eq!(unit("5.4|s|mg"), Some(coded));
        for bad in ["", "x", "5.4|mg", "5.4|s|", "5.4|s|mg|x"] {
            assert_eq!(unit(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_date_has_a_prefix_and_a_zone_that_survives_decoding() {
        let prefix = |text| DateTest::parse(text).map(|test| test.prefix);
        assert_eq!(prefix("ge2020-05"), Some(Prefix::Ge));
        assert_eq!(prefix("2020"), Some(Prefix::Eq));
        assert_eq!(prefix("2020-01-01T10:00:00 01:00"), Some(Prefix::Eq));
        assert_eq!(prefix("xx2020"), None);
        assert_eq!(prefix("gé"), None);
    }
}
