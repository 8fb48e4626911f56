//! Dates and decimals, read and compared by the text of the specification alone.

/// `[low, high)` in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub low: i128,
    pub high: i128,
}

pub(super) const OPEN: i128 = 1 << 100;
const SECOND: i128 = 1_000_000;
const DAY: i128 = 86_400 * SECOND;

impl Span {
    /// A date of any precision, without a zone in UTC.
    pub(super) fn of(text: &str) -> Self {
        let number = |from: usize, to: usize| text[from..to].parse::<i128>().unwrap();
        let year = number(0, 4);
        if text.len() == 4 {
            return Self { low: midnight(year, 1, 1), high: midnight(year + 1, 1, 1) };
        }
        let month = number(5, 7);
        if text.len() == 7 {
            let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            return Self { low: midnight(year, month, 1), high: midnight(next.0, next.1, 1) };
        }
        let day = midnight(year, month, number(8, 10));
        if text.len() == 10 {
            return Self { low: day, high: day + DAY };
        }
        let mut low = day + (number(11, 13) * 3_600 + number(14, 16) * 60) * SECOND;
        let (mut width, mut rest) = (60 * SECOND, &text[16..]);
        if let Some(seconds) = rest.strip_prefix(':') {
            low += seconds[..2].parse::<i128>().unwrap() * SECOND;
            (width, rest) = (SECOND, &seconds[2..]);
        }
        if let Some(fraction) = rest.strip_prefix('.') {
            let digits = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
            width = SECOND / 10_i128.pow(digits as u32);
            low += fraction[..digits].parse::<i128>().unwrap() * width;
            rest = &fraction[digits..];
        }
        if rest.len() == 6 {
            let part = |from: usize| rest[from..from + 2].parse::<i128>().unwrap();
            let offset = (part(1) * 3_600 + part(4) * 60) * SECOND;
            low += if rest.starts_with('-') { offset } else { -offset };
        }
        Self { low, high: low + width }
    }
}

/// Days by the civil calendar, counted from March of year 0.
fn midnight(year: i128, month: i128, day: i128) -> i128 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let months = (month + 9) % 12;
    let days = 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400;
    (days + (153 * months + 2) / 5 + day - 1 - 719_468) * DAY
}

/// `digits × 10^exponent`, exactly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exact {
    digits: i128,
    exponent: i32,
}

impl Exact {
    pub(super) fn of(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let mut exponent: i32 = exponent.parse().unwrap();
        // The specification's own example has 1e2 as precise as 1.0e2.
        let mantissa = if exponent > 0 && !mantissa.contains('.') {
            format!("{mantissa}.0")
        } else {
            mantissa.to_owned()
        };
        let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        exponent -= fraction as i32;
        Self { digits: mantissa.replace('.', "").parse().unwrap(), exponent }
    }

    /// Half a unit of the last digit either way.
    pub(super) fn around(self) -> (Self, Self) {
        let of = |digits| Self { digits, exponent: self.exponent - 1 };
        (of(self.digits * 10 - 5), of(self.digits * 10 + 5))
    }

    pub(super) fn tenth(self) -> Self {
        Self { digits: self.digits.abs(), exponent: self.exponent - 1 }
    }

    pub(super) fn times(self, other: Self) -> Self {
        Self { digits: self.digits * other.digits, exponent: self.exponent + other.exponent }
    }

    pub(super) fn plus(self, other: Self, sign: i128) -> Self {
        let least = self.exponent.min(other.exponent);
        Self { digits: self.at(least) + sign * other.at(least), exponent: least }
    }

    fn at(self, exponent: i32) -> i128 {
        self.digits * 10_i128.pow((self.exponent - exponent).cast_unsigned())
    }
}

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Exact {}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Exact {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let least = self.exponent.min(other.exponent);
        self.at(least).cmp(&other.at(least))
    }
}

/// A UCUM unit's dimension and how many of its base unit it is.
pub(super) fn ucum(code: &str) -> (&'static str, Exact) {
    let (dimension, factor) = match code {
        "mg" => ("mass", "0.001"),
        "g" => ("mass", "1"),
        "kg" => ("mass", "1000"),
        "min" => ("time", "60"),
        "h" => ("time", "3600"),
        _ => panic!("{code} is not in the world"),
    };
    (dimension, Exact::of(factor))
}

#[test]
fn dates_and_decimals_are_read_by_the_calendar_and_the_digits() {
    assert_eq!(Span::of("1970").low, 0);
    assert_eq!(Span::of("2020-02").high - Span::of("2020-02").low, 29 * DAY);
    assert_eq!(Span::of("2000-03-01").low, 951_868_800 * SECOND);
    assert_eq!(Span::of("1970-01-01T01:00:00.5+01:00"), Span { low: 500_000, high: 600_000 });
    assert_eq!(Exact::of("100").around(), (Exact::of("99.5"), Exact::of("100.5")));
    assert_eq!(Exact::of("1e2").around(), (Exact::of("95"), Exact::of("105")));
    assert!(Exact::of("-1.50") < Exact::of("-1.4"));
}
