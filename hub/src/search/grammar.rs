//! The text of search values: escapes, OR lists, prefixes. Pure.
//! <https://hl7.org/fhir/R4/search.html#escaping>

use fhir::instant::Interval;

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
        let prefixed = text.get(..2).and_then(|prefix| {
            Some(match prefix {
                "eq" => Prefix::Eq,
                "ne" => Prefix::Ne,
                "gt" => Prefix::Gt,
                "lt" => Prefix::Lt,
                "ge" => Prefix::Ge,
                "le" => Prefix::Le,
                "sa" => Prefix::Sa,
                "eb" => Prefix::Eb,
                "ap" => Prefix::Ap,
                _ => return None,
            })
        });
        let date = if prefixed.is_some() { &text[2..] } else { &text };
        let interval = Interval::parse(date)?;
        Some(Self { prefix: prefixed.unwrap_or(Prefix::Eq), interval })
    }
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
    fn a_date_has_a_prefix_and_a_zone_that_survives_decoding() {
        let prefix = |text| DateTest::parse(text).map(|test| test.prefix);
        assert_eq!(prefix("ge2020-05"), Some(Prefix::Ge));
        assert_eq!(prefix("2020"), Some(Prefix::Eq));
        assert_eq!(prefix("2020-01-01T10:00:00 01:00"), Some(Prefix::Eq));
        assert_eq!(prefix("xx2020"), None);
        assert_eq!(prefix("gé"), None);
    }
}
