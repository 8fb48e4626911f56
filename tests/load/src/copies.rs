//! A Bundle's text, and copies of it in which everyone is someone else.
//!
//! A copy has other UUIDs, family names, birthdays, telephone and identifier numbers. All else, the
//! measurements included, is the original's; what referred to each other still does.

use std::io::Write;
use std::ops::Range;

use bytes::Bytes;
use serde_json::Value;

/// Digits of an identifier's or a telephone's number: fewer may be a code, more is no number.
const DIGITS: Range<usize> = 6..19;

/// A Bundle of which copies are made.
#[derive(Debug)]
pub(crate) struct Template {
    text: Bytes,
    /// How many entries it has.
    pub(crate) entries: u64,
    marks: Vec<(Range<usize>, Mark)>,
}

/// What stands where a copy differs.
#[derive(Debug, Clone, Copy)]
enum Mark {
    /// The first eight digits of a UUID.
    Uuid,
    /// The end of a family name.
    Family,
    /// Month and day of birth: `MM-DD`.
    Birthday,
    /// An identifier or a telephone number, of so many digits.
    Number(u32),
}

impl Template {
    /// Reads a Bundle's text.
    pub(crate) fn read(text: Vec<u8>) -> Result<Self, String> {
        let json: Value = serde_json::from_slice(&text).map_err(|_| "is not JSON")?;
        let entries = json["entry"].as_array().map_or(0, Vec::len) as u64;
        if json["resourceType"] != "Bundle" || entries == 0 {
            return Err("is not a Bundle with entries".to_owned());
        }
        let marks = marks(&text);
        Ok(Self { text: text.into(), entries, marks })
    }

    /// A copy; number 0 is the original.
    pub(crate) fn copy(&self, number: u64) -> Bytes {
        if number == 0 {
            return self.text.clone();
        }
        let mut out = Vec::with_capacity(self.text.len() + self.marks.len());
        let mut copied = 0;
        for (place, mark) in &self.marks {
            out.extend_from_slice(&self.text[copied..place.start]);
            mark.write(&mut out, &self.text[place.clone()], number);
            copied = place.end;
        }
        out.extend_from_slice(&self.text[copied..]);
        out.into()
    }
}

impl Mark {
    fn write(self, out: &mut Vec<u8>, old: &[u8], number: u64) {
        let text = std::str::from_utf8(old).expect("what is marked is ASCII");
        let written = match self {
            Self::Uuid => {
                // Knuth's multiplicative hash: no two copies of a file share a UUID.
                let shift = (number as u32).wrapping_mul(2_654_435_761);
                let old = u32::from_str_radix(text, 16).expect("a UUID begins with hex digits");
                write!(out, "{:08x}", old.wrapping_add(shift))
            }
            Self::Family => write!(out, "{number}"),
            Self::Birthday => {
                let part = |at: Range<usize>| text[at].parse().unwrap_or(1_u64);
                let (month, day) = (part(0..2) + number / 28, part(3..5) + number);
                write!(out, "{:02}-{:02}", 1 + month % 12, 1 + day % 28)
            }
            Self::Number(digits) => {
                let old = text.bytes().filter(u8::is_ascii_digit);
                let old = old.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
                let new = (old + number * 7_919) % 10_u64.pow(digits);
                let new = format!("{new:0width$}", width = digits as usize);
                let mut new = new.bytes();
                let digit = |old: u8| if old.is_ascii_digit() { new.next() } else { Some(old) };
                out.extend(text.bytes().filter_map(digit));
                Ok(())
            }
        };
        written.expect("a Vec takes all that is written to it");
    }
}

/// Where copies differ, in the order of the text.
fn marks(text: &[u8]) -> Vec<(Range<usize>, Mark)> {
    let mut marks = Vec::new();
    let mut key: &[u8] = b"";
    for place in strings(text) {
        let string = &text[place.clone()];
        let after = text[place.end + 1..].iter().find(|byte| !byte.is_ascii_whitespace());
        if after == Some(&b':') {
            key = string;
            continue;
        }
        let uuids = string.windows(36).enumerate().filter(|(_, window)| is_uuid(window));
        let at = uuids.map(|(at, _)| place.start + at).collect::<Vec<_>>();
        let digits = string.iter().filter(|byte| byte.is_ascii_digit()).count();
        if !at.is_empty() {
            marks.extend(at.into_iter().map(|at| (at..at + 8, Mark::Uuid)));
        } else if key == b"family" {
            marks.push((place.end..place.end, Mark::Family));
        } else if key == b"birthDate" && string.len() == 10 && string.is_ascii() {
            marks.push((place.start + 5..place.end, Mark::Birthday));
        } else if key == b"value" && DIGITS.contains(&digits) && string.is_ascii() {
            marks.push((place, Mark::Number(digits as u32)));
        }
    }
    marks
}

/// The strings of a JSON text, without their quotes.
fn strings(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].iter().position(|byte| *byte == b'"')? + 1;
        let mut end = start;
        while *text.get(end)? != b'"' {
            end += if text[end] == b'\\' { 2 } else { 1 };
        }
        at = end + 1;
        Some(start..end)
    })
}

fn is_uuid(window: &[u8]) -> bool {
    window.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const BUNDLE: &str = r#"{"resourceType":"Bundle","entry":[
        {"fullUrl":"urn:uuid:ffffffff-0000-4000-8000-000000000001","resource":{
            "resourceType":"Patient","name":[{"family":"O\"Neil","given":["Ann"]}],
            "birthDate": "1960-12-28","telecom":[{"value":"555-882-4929"}]}},
        {"resource":{"resourceType":"Observation","valueQuantity":{"value":1234567.50},
            "subject":{"reference":"urn:uuid:ffffffff-0000-4000-8000-000000000001"}}}]}"#;

    fn template() -> Template {
        Template::read(BUNDLE.into()).unwrap()
    }

    #[test]
    fn a_copy_is_someone_else_with_the_same_measurements() {
        let copy = template().copy(1);
        let copy: Value = serde_json::from_slice(&copy).unwrap();
        let (first, second) = (&copy["entry"][0], &copy["entry"][1]["resource"]);
        assert_eq!(first["fullUrl"], "urn:uuid:9e3779b0-0000-4000-8000-000000000001");
        assert_eq!(second["subject"]["reference"], first["fullUrl"]);
        assert_eq!(first["resource"]["name"][0]["family"], "O\"Neil1");
        assert_eq!(first["resource"]["name"][0]["given"][0], "Ann");
        assert_eq!(first["resource"]["birthDate"], "1960-01-02");
        assert_eq!(first["resource"]["telecom"][0]["value"], "555-883-2848");
        assert_eq!(second["valueQuantity"]["value"], 1_234_567.5);
    }

    #[test]
    fn copies_differ_from_each_other_and_number_0_is_the_original() {
        assert_eq!(template().copy(0), BUNDLE);
        let mut copies: Vec<Bytes> = (0..100).map(|number| template().copy(number)).collect();
        copies.sort();
        copies.dedup();
        assert_eq!(copies.len(), 100);
    }

    #[test]
    fn what_is_no_bundle_is_refused() {
        assert!(Template::read(b"{".to_vec()).unwrap_err().contains("not JSON"));
        assert!(Template::read(b"{}".to_vec()).unwrap_err().contains("not a Bundle"));
    }
}
