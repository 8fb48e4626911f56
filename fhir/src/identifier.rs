//! National patient numbers and ODS codes.
//!
//! Three nations, three ten-digit numbers that look alike: a bare value is never compared across
//! systems. Each type parses by its own digit rules; what parsed is valid.
//! Sources: NHS Data Dictionary (NHS number), Public Health Scotland `phsmethods` (CHI, modulus 11
//! or modulus 10), HSC Business Services Organisation (H&C number).

use std::fmt;
use std::str::FromStr;

/// System of the NHS number (England, Wales, Isle of Man).
pub const NHS_NUMBER: &str = "https://fhir.nhs.uk/Id/nhs-number";
/// System of the Scottish CHI number; the first is the one we emit, the others are accepted.
pub const CHI_NUMBER: &str = "https://fhir.nhs.uk/Id/chi-number";
/// System of the Northern Irish Health & Care number that we emit.
pub const HC_NUMBER: &str = "https://fhir.nhs.uk/Id/hsc-number";
/// System of ODS organisation codes.
pub const ODS_CODE: &str = "https://fhir.nhs.uk/Id/ods-organization-code";

const CHI_SYSTEMS: [&str; 3] =
    [CHI_NUMBER, "urn:oid:2.16.840.1.113883.2.1.3.2.4.16.53", "2.16.840.1.113883.2.1.3.2.4.16.53"];
const HC_SYSTEMS: [&str; 2] = [HC_NUMBER, "urn:uuid:1479257a-ce8f-482a-89fa-429ac066c158"];

/// Why a patient number was refused. The sentence never contains the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberError {
    /// Not exactly ten ASCII digits.
    Shape,
    /// The last digit is not the check digit of the first nine.
    CheckDigit,
    /// The first six digits of a CHI number are not a date.
    BirthDate,
    /// The number lies outside the range its nation issues.
    Range,
    /// The system is none that we know as a patient number.
    System,
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shape => "a patient number is exactly ten digits, without spaces",
            Self::CheckDigit => "the check digit of the patient number is wrong",
            Self::BirthDate => "the first six digits of a CHI number must be a date (DDMMYY)",
            Self::Range => "the number lies outside the range issued in its nation",
            Self::System => {
                "the identifier system must be that of an NHS number, a CHI number or an H&C number"
            }
        })
    }
}

impl std::error::Error for NumberError {}

type Digits = [u8; 10];

fn digits(text: &str) -> Result<Digits, NumberError> {
    let bytes: Digits = text.as_bytes().try_into().map_err(|_| NumberError::Shape)?;
    if bytes.iter().all(u8::is_ascii_digit) { Ok(bytes) } else { Err(NumberError::Shape) }
}

/// Modulus 11 with weights 10..2 over the first nine digits; `None` where no check digit exists.
fn modulus_11(digits: &Digits) -> Option<u8> {
    let sum: u32 = digits[..9]
        .iter()
        .zip((2..=10).rev())
        .map(|(d, weight)| u32::from(d - b'0') * weight)
        .sum();
    match 11 - sum % 11 {
        11 => Some(0),
        10 => None,
        digit => Some(digit as u8),
    }
}

/// Luhn's check digit over the first nine digits.
fn modulus_10(digits: &Digits) -> u8 {
    let sum: u8 = digits[..9]
        .iter()
        .enumerate()
        .map(|(i, d)| match (d - b'0', i % 2) {
            (d, 1) => d,
            (d, _) if d > 4 => d * 2 - 9,
            (d, _) => d * 2,
        })
        .sum();
    (10 - sum % 10) % 10
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Digits);

        impl $name {
            /// The ten digits.
            pub fn as_str(&self) -> &str {
                std::str::from_utf8(&self.0).expect("only ASCII digits were let in")
            }
        }

        impl FromStr for $name {
            type Err = NumberError;
            fn from_str(text: &str) -> Result<Self, NumberError> {
                let digits = digits(text)?;
                let check: fn(&Digits) -> Result<(), NumberError> = $check;
                check(&digits).map(|()| Self(digits))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(**********)"))
            }
        }
    };
}

number! {
    /// An NHS number: modulus 11. Test numbers (999…) are valid NHS numbers.
    NhsNumber, |d| {
        if modulus_11(d) == Some(d[9] - b'0') { Ok(()) } else { Err(NumberError::CheckDigit) }
    }
}

number! {
    /// A Scottish CHI number: DDMMYY, two digits, a sex digit, and a check digit that may be
    /// modulus 11 or, where a birth date has run out of those, modulus 10.
    ChiNumber, |d| {
        let pair = |i: usize| u32::from(d[i] - b'0') * 10 + u32::from(d[i + 1] - b'0');
        // Two-digit years: 2000 is a leap year, so 29 February of a leap "00" is let through.
        let days = match pair(2) { 1 | 3 | 5 | 7 | 8 | 10 | 12 => 31, 4 | 6 | 9 | 11 => 30,
            2 if pair(4) % 4 == 0 => 29, 2 => 28, _ => 0 };
        if !(1..=days).contains(&pair(0)) { return Err(NumberError::BirthDate) }
        let check = d[9] - b'0';
        if modulus_11(d) == Some(check) || modulus_10(d) == check { Ok(()) }
        else { Err(NumberError::CheckDigit) }
    }
}

number! {
    /// A Northern Irish Health & Care number: modulus 11, 320 000 0000 to 399 999 9999.
    HcNumber, |d| {
        if d[0] != b'3' || d[1] < b'2' { return Err(NumberError::Range) }
        if modulus_11(d) == Some(d[9] - b'0') { Ok(()) } else { Err(NumberError::CheckDigit) }
    }
}

/// A patient number of one of the UK's nations, its system known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PatientNumber {
    /// England, Wales and the Isle of Man.
    Nhs(NhsNumber),
    /// Scotland.
    Chi(ChiNumber),
    /// Northern Ireland.
    Hc(HcNumber),
}

impl PatientNumber {
    /// Parses `value` by the rules of `system`, whichever of a number's known systems it is.
    pub fn parse(system: &str, value: &str) -> Result<Self, NumberError> {
        if system == NHS_NUMBER {
            value.parse().map(Self::Nhs)
        } else if CHI_SYSTEMS.contains(&system) {
            value.parse().map(Self::Chi)
        } else if HC_SYSTEMS.contains(&system) {
            value.parse().map(Self::Hc)
        } else {
            Err(NumberError::System)
        }
    }

    /// Whether `system` is known to carry patient numbers.
    pub fn is_system(system: &str) -> bool {
        system == NHS_NUMBER || CHI_SYSTEMS.contains(&system) || HC_SYSTEMS.contains(&system)
    }

    /// The one spelling of a system: an alias of a patient number's system becomes the system that
    /// we emit, any other stays as it is.
    pub fn canonical_system(system: &str) -> &str {
        if CHI_SYSTEMS.contains(&system) {
            CHI_NUMBER
        } else if HC_SYSTEMS.contains(&system) {
            HC_NUMBER
        } else {
            system
        }
    }

    /// The one system we emit for this kind of number.
    pub fn system(&self) -> &'static str {
        match self {
            Self::Nhs(_) => NHS_NUMBER,
            Self::Chi(_) => CHI_NUMBER,
            Self::Hc(_) => HC_NUMBER,
        }
    }

    /// The ten digits.
    pub fn value(&self) -> &str {
        match self {
            Self::Nhs(n) => n.as_str(),
            Self::Chi(n) => n.as_str(),
            Self::Hc(n) => n.as_str(),
        }
    }
}

/// An organisation's ODS code: 1 to 12 ASCII letters and digits, kept in upper case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OdsCode(String);

impl OdsCode {
    /// The code in upper case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OdsCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An ODS code that is empty, too long, or holds something other than letters and digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidOdsCode;

impl fmt::Display for InvalidOdsCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an ODS code is 1 to 12 letters and digits")
    }
}

impl std::error::Error for InvalidOdsCode {}

impl FromStr for OdsCode {
    type Err = InvalidOdsCode;
    fn from_str(text: &str) -> Result<Self, InvalidOdsCode> {
        let well_formed =
            (1..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if well_formed { Ok(Self(text.to_ascii_uppercase())) } else { Err(InvalidOdsCode) }
    }
}

impl<'de> serde::Deserialize<'de> for OdsCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl serde::Serialize for OdsCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn nhs_numbers_follow_modulus_11() {
        for good in ["9434765919", "4010232137", "9876543210", "9990000050", "9912003888"] {
            assert_eq!(good.parse::<NhsNumber>().unwrap().as_str(), good);
        }
        for bad in ["9000000000", "4857773456", "2377954310", "1234567890", "9990000000"] {
            assert_eq!(bad.parse::<NhsNumber>(), Err(NumberError::CheckDigit), "{bad}");
        }
        for shape in
            ["", "943 476 5919", "94347659190", "943476591", "９４３４７６５９１９", "943476591a"]
        {
            assert_eq!(shape.parse::<NhsNumber>(), Err(NumberError::Shape), "{shape}");
        }
    }

    #[test]
    fn chi_numbers_pass_modulus_11_or_modulus_10_and_begin_with_a_date() {
        for good in ["0101011237", "0101900041", "0101900181", "0101900015", "0402568877"] {
            assert!(good.parse::<ChiNumber>().is_ok(), "{good}");
        }
        assert_eq!("0402568876".parse::<ChiNumber>(), Err(NumberError::CheckDigit));
        assert_eq!("3202568876".parse::<ChiNumber>(), Err(NumberError::BirthDate));
        assert_eq!("3002568876".parse::<ChiNumber>(), Err(NumberError::BirthDate));
    }

    #[test]
    fn a_value_is_never_read_without_its_system() {
        let chi = PatientNumber::parse(CHI_SYSTEMS[1], "0101900041").unwrap();
        assert_eq!(chi.system(), CHI_NUMBER);
        assert!(PatientNumber::parse(NHS_NUMBER, "0101900041").is_err());
        assert_eq!(PatientNumber::parse("urn:x", "9434765919"), Err(NumberError::System));
        assert!(PatientNumber::parse(HC_NUMBER, "9434765919").is_err());
    }

    #[test]
    fn a_number_never_shows_in_debug_output() {
        let number: NhsNumber = "9434765919".parse().unwrap();
        assert!(!format!("{number:?}").contains("943"));
    }

    #[test]
    fn ods_codes_are_short_and_alphanumeric() {
        assert_eq!("qwo".parse::<OdsCode>().unwrap().as_str(), "QWO");
        for bad in ["", "QWO-1", "ABCDEFGHIJKLM", "Q WO"] {
            assert!(bad.parse::<OdsCode>().is_err(), "{bad}");
        }
    }
}
