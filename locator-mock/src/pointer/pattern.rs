//! What a string in a pointer may look like. The NRL holds each pattern against the start of the
//! string, so that most of them come down to "does not start with white space".

use fhir::instant::Interval;

/// A pattern and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Any string; an empty one is refused elsewhere.
    Anything,
    /// An element's id.
    Id,
    /// A pointer's id: the producer's code, a hyphen, and the rest; at most 64 characters.
    PointerId,
    /// The one status a pointer has.
    Current,
    /// A code.
    Code,
    /// A URI without white space at its start.
    System,
    /// Text that does not start with white space.
    Words,
    /// Base64.
    Base64,
    /// A date with time and zone.
    Instant,
    /// A date of any precision.
    DateTime,
}

impl Pattern {
    /// The pattern as the NRL names it in its answers.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Anything => r"\S*",
            Self::Id => r"[A-Za-z0-9\-\.]{1,64}",
            Self::PointerId => r"^(?=.{1,64}$)[A-Za-z0-9\.]+-[A-Za-z0-9]+[A-Za-z0-9\_\-]*$",
            Self::Current => "^current$",
            Self::Code => r"[^\s]+(\s[^\s]+)*",
            Self::System => r"\S+",
            Self::Words => r"[\S]+[ \r\n\t\S]*",
            Self::Base64 => r"(\s*([0-9a-zA-Z\+/=]){4}\s*)+",
            Self::Instant => {
                r"([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)-(0[1-9]|1[0-2])-(0[1-9]|[1-2][0-9]|3[0-1])T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
            }
            Self::DateTime => {
                r"([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)(-(0[1-9]|1[0-2])(-(0[1-9]|[1-2][0-9]|3[0-1])(T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00)))?)?)?"
            }
        }
    }

    /// Whether `text` fits.
    pub(super) fn matches(self, text: &str) -> bool {
        match self {
            Self::Anything => true,
            Self::Id => text.starts_with(|c: char| c.is_ascii_alphanumeric() || "-.".contains(c)),
            Self::PointerId => is_pointer_id(text),
            Self::Current => text == "current",
            Self::Code | Self::System | Self::Words => !text.starts_with(char::is_whitespace),
            Self::Base64 => {
                let mut start = text.trim_start().bytes();
                let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=".contains(&b);
                (0..4).all(|_| start.next().is_some_and(is_base64))
            }
            Self::Instant => is_instant(text),
            Self::DateTime => {
                let date = !text.contains('T') && Interval::parse(text).is_some();
                date || is_instant(text)
            }
        }
    }
}

/// Whether `text` can be a pointer's id.
pub(super) fn is_pointer_id(text: &str) -> bool {
    let Some((producer, rest)) = text.split_once('-') else {
        return false;
    };
    let is_producer = |b: u8| b.is_ascii_alphanumeric() || b == b'.';
    let is_rest = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    text.len() <= 64
        && !producer.is_empty()
        && producer.bytes().all(is_producer)
        && rest.starts_with(|c: char| c.is_ascii_alphanumeric())
        && rest.bytes().all(is_rest)
}

fn is_instant(text: &str) -> bool {
    // Minutes without seconds are for searches only: the 17th byte of an instant is a colon.
    let zoned = text.ends_with('Z') || text.get(19..).is_some_and(|rest| rest.contains(['+', '-']));
    zoned && text.as_bytes().get(16) == Some(&b':') && Interval::parse(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_id_starts_with_its_producers_code() {
        for good in ["QWO-1", "Y05868-99999-99999-999999", "RX898.001-a_b", "A-0"] {
            assert!(is_pointer_id(good), "{good}");
        }
        let long = format!("A-{}", "b".repeat(63));
        for bad in ["", "QWO", "-1", "QWO-", "QWO--1", "QWO-_1", "Q O-1", "Q_O-1", "QWO-é", &long]
        {
            assert!(!is_pointer_id(bad), "{bad}");
        }
    }

    #[test]
    fn an_instant_has_seconds_and_a_zone() {
        for good in ["2024-03-20T00:00:01.000Z", "2022-12-21T10:45:41+11:00"] {
            assert!(Pattern::Instant.matches(good), "{good}");
        }
        for bad in ["2024-03-20", "2024-03-20T00:00Z", "2024-03-20T00:00:01", "", "é", "2024"] {
            assert!(!Pattern::Instant.matches(bad), "{bad}");
        }
        assert!(Pattern::DateTime.matches("2024-03"));
        assert!(!Pattern::DateTime.matches("2024-13"));
    }
}
