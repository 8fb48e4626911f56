//! FHIR dates, dateTimes and instants as half-open intervals of microseconds since 1970 (UTC).
//!
//! A date of any precision is the interval it names: `2020-05` is `[2020-05-01, 2020-06-01)`.
//! A date without a zone is a UTC interval everywhere (FHIR R4 search, "date").

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

/// The microsecond below which nothing is recorded: an open start.
pub const OPEN_LOW: i64 = i64::MIN;
/// The microsecond above which nothing is recorded: an open end.
pub const OPEN_HIGH: i64 = i64::MAX;

/// `[low, high)` in microseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Interval {
    /// First microsecond of the interval.
    pub low: i64,
    /// First microsecond after it.
    pub high: i64,
}

impl Interval {
    /// Reads `YYYY`, `YYYY-MM`, `YYYY-MM-DD` and `YYYY-MM-DDThh:mm[:ss[.fraction]][Z|±hh:mm]`.
    ///
    /// Minutes without seconds are legal in a search only; the validator refuses them in a resource.
    pub fn parse(text: &str) -> Option<Self> {
        match text.len() {
            4 => Self::days(text, "-01-01", |d| d.checked_add(1.year()).ok()),
            7 => Self::days(text, "-01", |d| d.checked_add(1.month()).ok()),
            10 => Self::days(text, "", |d| d.checked_add(1.day()).ok()),
            _ => Self::moment(text),
        }
    }

    fn days(text: &str, rest: &str, next: impl Fn(Date) -> Option<Date>) -> Option<Self> {
        if !text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
            return None;
        }
        let first: Date = format!("{text}{rest}").parse().ok()?;
        let high = next(first).map_or(OPEN_HIGH, micros_of_day);
        Some(Self { low: micros_of_day(first), high })
    }

    fn moment(text: &str) -> Option<Self> {
        let (date, time) = text.split_once('T')?;
        if date.len() != 10 || !text.is_ascii() {
            return None;
        }
        let zone = time.find(['Z', '+', '-']).unwrap_or(time.len());
        let (clock, zone) = time.split_at(zone);
        let width = match (clock.len(), clock.split_once('.')) {
            (5, None) => 60_000_000,
            (8, None) => 1_000_000,
            (_, Some((seconds, fraction))) if seconds.len() == 8 && !fraction.is_empty() => {
                10_i64.pow(6_u32.saturating_sub(fraction.len() as u32))
            }
            _ => return None,
        };
        let seconds = if clock.len() == 5 { ":00" } else { "" };
        // A leap second is the last microsecond of its minute: no calendar we use can hold it.
        let clock = clock.replace(":60", ":59");
        let zone = if zone.is_empty() { "Z" } else { zone };
        let low: Timestamp = format!("{date}T{clock}{seconds}{zone}").parse().ok()?;
        let low = low.as_microsecond();
        Some(Self { low, high: low.saturating_add(width) })
    }
}

fn micros_of_day(day: Date) -> i64 {
    day.to_zoned(jiff::tz::TimeZone::UTC).map_or(OPEN_HIGH, |z| z.timestamp().as_microsecond())
}

/// A FHIR `instant` with milliseconds, in UTC: `2026-11-23T09:30:00.123Z`.
pub fn format_instant(micros: i64) -> String {
    timestamp(micros).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// An HTTP date (RFC 9110): `Mon, 23 Nov 2026 09:30:00 GMT`.
pub fn format_http_date(micros: i64) -> String {
    timestamp(micros).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Reads an HTTP date in the form that RFC 9110 has senders use.
pub fn parse_http_date(text: &str) -> Option<i64> {
    let read = jiff::fmt::strtime::parse("%a, %d %b %Y %H:%M:%S GMT", text.trim()).ok()?;
    let moment = read.to_datetime().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(moment.timestamp().as_microsecond())
}

fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn a_date_is_the_interval_it_names() {
        let day = 86_400_000_000;
        let year = Interval::parse("2021").unwrap();
        assert_eq!(year.high - year.low, 365 * day);
        let february = Interval::parse("2020-02").unwrap();
        assert_eq!(february.high - february.low, 29 * day);
        let date = Interval::parse("1970-01-02").unwrap();
        assert_eq!((date.low, date.high), (day, 2 * day));
    }

    #[test]
    fn a_moment_is_as_wide_as_its_precision_and_knows_its_zone() {
        let second = Interval::parse("1970-01-01T01:00:00+01:00").unwrap();
        assert_eq!((second.low, second.high), (0, 1_000_000));
        let minute = Interval::parse("1970-01-01T00:00").unwrap();
        assert_eq!((minute.low, minute.high), (0, 60_000_000));
        let milli = Interval::parse("1970-01-01T00:00:00.001Z").unwrap();
        assert_eq!((milli.low, milli.high), (1_000, 2_000));
        assert!(Interval::parse("2016-12-31T23:59:60Z").is_some());
    }

    #[test]
    fn what_is_not_a_date_is_nothing() {
        for bad in [
            "",
            "2000-13",
            "2000-02-30",
            "notadate",
            "20000101",
            "2000-1-1",
            "2000-01-01T",
            "+999",
            "2000-01-01T10",
            "2000-01-01T25:00:00Z",
        ] {
            assert_eq!(Interval::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn instants_are_written_as_fhir_and_as_http_dates() {
        let micros = Interval::parse("2026-11-23T09:30:00.123Z").unwrap().low;
        assert_eq!(format_instant(micros), "2026-11-23T09:30:00.123Z");
        assert_eq!(format_http_date(micros), "Mon, 23 Nov 2026 09:30:00 GMT");
        assert_eq!(
            parse_http_date("Mon, 23 Nov 2026 09:30:00 GMT"),
            Some(micros / SECOND * SECOND)
        );
        for bad in
            ["", "Tue, 23 Nov 2026 09:30:00 GMT", "2026-11-23", "Mon, 31 Feb 2026 09:30:00 GMT"]
        {
            assert_eq!(parse_http_date(bad), None, "{bad}");
        }
    }
}
