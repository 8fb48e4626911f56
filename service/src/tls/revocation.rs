//! Until when a revocation list is good. <https://www.rfc-editor.org/rfc/rfc5280#section-5.1>

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When a list in DER says that the next one comes (`nextUpdate`), in microseconds since 1970; nothing if
/// it does not say so, or is no list.
pub fn next_update(list: &[u8]) -> Option<i64> {
    let (signed, _) = element(list, SEQUENCE)?;
    let (mut fields, _) = element(signed, SEQUENCE)?;
    if fields.first() == Some(&INTEGER) {
        (_, fields) = element(fields, INTEGER)?;
    }
    let (_algorithm, fields) = element(fields, SEQUENCE)?;
    let (_issuer, fields) = element(fields, SEQUENCE)?;
    let (_this_update, fields) = time(fields)?;
    time(fields).map(|(next_update, _)| next_update)
}

/// The content of the first element, if it is of that kind, and what follows.
fn element(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    (*tag == kind).then(|| rest.split_at_checked(length))?
}

/// The time that comes first, and what follows.
fn time(der: &[u8]) -> Option<(i64, &[u8])> {
    let (text, rest) = element(der, UTC_TIME).or_else(|| element(der, GENERALIZED_TIME))?;
    let text = str::from_utf8(text).ok()?;
    // Of two digits' years, those from 50 on are of the last century.
    let whole = match (text.len(), text.get(..2)) {
        (13, Some(year)) => format!("{}{text}", if year < "50" { "20" } else { "19" }),
        _ => text.to_owned(),
    };
    let date = DateTime::strptime("%Y%m%d%H%M%SZ", whole).ok()?;
    let at = date.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some((at.as_microsecond(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list that ends with these times.
    fn list(times: &[(u8, &str)]) -> Vec<u8> {
        let wrapped = |tag: u8, content: &[u8]| [&[tag, content.len() as u8], content].concat();
        let mut fields = [wrapped(INTEGER, &[1]), wrapped(SEQUENCE, &[5, 0])].concat();
        fields.extend(wrapped(SEQUENCE, &[]));
        fields.extend(times.iter().flat_map(|(tag, text)| wrapped(*tag, text.as_bytes())));
        wrapped(SEQUENCE, &wrapped(SEQUENCE, &fields))
    }

    #[test]
    fn a_list_says_until_when_it_is_good_in_either_spelling() {
        let this = (UTC_TIME, "200101000000Z");
        for (next, expected) in [
            ((UTC_TIME, "700101000001Z"), Some(1_000_000)),
            ((GENERALIZED_TIME, "19700101000001Z"), Some(1_000_000)),
            ((UTC_TIME, "300101000000Z"), Some(1_893_456_000_000_000)),
            ((UTC_TIME, "soon"), None),
            ((SEQUENCE, ""), None),
        ] {
            assert_eq!(next_update(&list(&[this, next])), expected, "{next:?}");
        }
        assert_eq!(next_update(&list(&[this])), None);
    }

    #[test]
    fn what_is_no_list_says_nothing() {
        let whole = list(&[(UTC_TIME, "200101000000Z"), (UTC_TIME, "300101000000Z")]);
        for end in 0..whole.len() {
            assert_eq!(next_update(&whole[..end]), None, "{end}");
        }
        assert_eq!(next_update(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(next_update(&[0x30, 0x80]), None);
    }
}
