//! The formats of the primitive types. <https://hl7.org/fhir/R4/datatypes.html#primitive>

use crate::definitions::Primitive;
use crate::reference::is_id;

/// Strings may have this many characters.
const STRING_MAX: usize = 1024 * 1024;

/// What a primitive type asks for, as the first half of a sentence.
pub(super) fn expected(primitive: Primitive) -> String {
    let name = primitive.as_str();
    let kind = match primitive {
        Primitive::Boolean => "JSON boolean",
        Primitive::Decimal => "JSON number",
        Primitive::Integer => "whole JSON number of 32 bits",
        Primitive::UnsignedInt => "whole JSON number from 0 to 2147483647",
        Primitive::PositiveInt => "whole JSON number from 1 to 2147483647",
        _ => "JSON string",
    };
    format!("This {name} must be a {kind}")
}

/// Whether a whole number is of the type.
pub(super) fn takes_integer(primitive: Primitive, value: i128) -> bool {
    let max = i128::from(i32::MAX);
    match primitive {
        Primitive::Decimal => true,
        Primitive::Integer => (-max - 1..=max).contains(&value),
        Primitive::UnsignedInt => (0..=max).contains(&value),
        Primitive::PositiveInt => (1..=max).contains(&value),
        _ => false,
    }
}

/// What is wrong with a string of the type, if anything.
pub(super) fn fault(primitive: Primitive, text: &str) -> Option<String> {
    let (well_formed, said) = match primitive {
        Primitive::Boolean
        | Primitive::Decimal
        | Primitive::Integer
        | Primitive::UnsignedInt
        | Primitive::PositiveInt => {
            return Some(format!("{}; this string is not.", expected(primitive)));
        }
        Primitive::String | Primitive::Markdown => (
            text.len() <= STRING_MAX || text.chars().count() <= STRING_MAX,
            "A string may have at most 1048576 characters.",
        ),
        Primitive::Xhtml => return None,
        Primitive::Code => {
            (code(text), "A code has no white space at its ends, and single spaces within.")
        }
        Primitive::Id => (is_id(text), "An id is 1 to 64 of A-Z a-z 0-9 - and full stop."),
        Primitive::Uri | Primitive::Url | Primitive::Canonical => {
            (!text.contains(char::is_whitespace), "A URI has no white space.")
        }
        Primitive::Oid => (oid(text), "An OID is urn:oid: and numbers separated by full stops."),
        Primitive::Uuid => (uuid(text), "A UUID is urn:uuid: and a UUID in lower case."),
        Primitive::Date => {
            (date(text.as_bytes()), "A date is YYYY, YYYY-MM or YYYY-MM-DD, of the calendar.")
        }
        Primitive::DateTime => (
            date(text.as_bytes()) || moment(text),
            "A dateTime is YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with Z or an offset.",
        ),
        Primitive::Instant => {
            (moment(text), "An instant is YYYY-MM-DDThh:mm:ss with Z or an offset.")
        }
        Primitive::Time => (time(text.as_bytes()), "A time is hh:mm:ss, without a zone."),
        Primitive::Base64Binary => (base64(text), "This is not base64."),
    };
    (!well_formed).then(|| said.to_owned())
}

/// Whether there is white space in it; quick for what nearly all URIs and codes are.
fn spaced(text: &str) -> bool {
    !text.bytes().all(|b| b.is_ascii_graphic()) && text.contains(char::is_whitespace)
}

fn code(text: &str) -> bool {
    if !spaced(text) {
        return true;
    }
    let mut after_space = true;
    for c in text.chars() {
        let space = c.is_whitespace();
        if space && after_space {
            return false;
        }
        after_space = space;
    }
    !after_space
}

fn oid(text: &str) -> bool {
    let Some(numbers) = text.strip_prefix("urn:oid:") else {
        return false;
    };
    let number = |n: &str| {
        !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) && (n == "0" || !n.starts_with('0'))
    };
    let mut parts = numbers.split('.');
    let first = parts.next().unwrap_or_default();
    matches!(first, "0" | "1" | "2") && numbers.contains('.') && parts.all(number)
}

fn uuid(text: &str) -> bool {
    let Some(uuid) = text.strip_prefix("urn:uuid:") else {
        return false;
    };
    uuid.len() == 36
        && uuid.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// `digits` decimal digits at `at`.
fn number(text: &[u8], at: usize, digits: usize) -> Option<u32> {
    let digits = text.get(at..at + digits)?;
    digits.iter().try_fold(0, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0'))
    })
}

fn date(text: &[u8]) -> bool {
    let year = number(text, 0, 4).filter(|year| *year > 0);
    let Some(year) = year else {
        return false;
    };
    match text.len() {
        4 => true,
        7 => month(text).is_some(),
        10 => month(text).is_some_and(|month| {
            let day = number(text, 8, 2).filter(|day| *day > 0);
            text[7] == b'-' && day.is_some_and(|day| day <= days(year, month))
        }),
        _ => false,
    }
}

fn month(text: &[u8]) -> Option<u32> {
    let month = number(text, 5, 2)?;
    (text[4] == b'-' && (1..=12).contains(&month)).then_some(month)
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

/// A date, a time to the second at least, and a zone.
fn moment(text: &str) -> bool {
    let Some((day, clock)) = text.split_once('T') else {
        return false;
    };
    let Some(zone) = clock.find(['Z', '+', '-']) else {
        return false;
    };
    let (clock, zone) = clock.split_at(zone);
    day.len() == 10 && date(day.as_bytes()) && time(clock.as_bytes()) && self::zone(zone.as_bytes())
}

fn zone(zone: &[u8]) -> bool {
    if zone == b"Z" {
        return true;
    }
    let (hours, minutes) = (number(zone, 1, 2), number(zone, 4, 2));
    zone.len() == 6
        && zone[3] == b':'
        && match (hours, minutes) {
            (Some(hours), Some(minutes)) => {
                (hours < 14 && minutes < 60) || (hours, minutes) == (14, 0)
            }
            _ => false,
        }
}

/// `hh:mm:ss`, with a fraction of any length; a leap second is allowed.
fn time(text: &[u8]) -> bool {
    let below = |at, limit| number(text, at, 2).is_some_and(|value| value < limit);
    let clock = below(0, 24) && below(3, 60) && below(6, 61);
    let fraction = text.get(8..).unwrap_or_default();
    let fraction = match fraction {
        [] => true,
        [b'.', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    clock && fraction && text[2] == b':' && text[5] == b':'
}

/// Groups of four, padded at the end; white space counts for nothing.
fn base64(text: &str) -> bool {
    let (mut count, mut padding) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => {}
            b'=' if padding < 2 => padding += 1,
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            _ => return false,
        }
        count += 1;
    }
    count > 0 && count.is_multiple_of(4)
}
