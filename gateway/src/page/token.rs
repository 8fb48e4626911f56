//! What a page link carries: the question, where each region goes on, and what is needed so that
//! nothing is shown twice. Encrypted, bound to the caller's organisation, and short-lived; the
//! gateway itself keeps nothing.

use fhir::identifier::{OdsCode, PatientNumber};
use serde::{Deserialize, Serialize};
use service::seal::Seal;

use super::place::{Mark, Spot};
use crate::error::GatewayError;
use crate::outcome::Gap;

/// A link works for a quarter of an hour.
pub(super) const LIFE_MICROS: i64 = 15 * 60 * 1_000_000;
/// Longest text of a link's secret, so that it fits into a URL wherever it passes.
pub(super) const TEXT_BYTES_MAX: usize = 6 << 10;

/// What a page link carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// The type that is asked for.
    pub kind: String,
    /// What was executed, as the caller put it.
    pub query: Vec<(String, String)>,
    /// The numbers by which regions are asked.
    pub numbers: Vec<Number>,
    /// Those by which the home hub is, if it had to be asked before the others were known.
    pub numbers_at_home: Option<Vec<Number>>,
    /// The number that was asked for is no longer in use.
    pub superseded: bool,
    /// Organisations that hold something and cannot be asked.
    pub unknown: Vec<OdsCode>,
    /// How many organisations the locator named.
    pub located: usize,
    /// What else is not known.
    pub gaps: Vec<Gap>,
    /// The regions, and where each goes on.
    pub spots: Vec<Spot>,
    /// How far the pages have come.
    pub mark: Option<Mark>,
    /// Facts of that rank which stand for what else is the same.
    pub seen: Vec<u64>,
    /// How many matches all pages have, if that could be said of the first.
    pub total: Option<u64>,
    /// These pages show what others were missing.
    pub retry: bool,
    /// When the link was made, in microseconds since 1970.
    pub made: i64,
}

/// A patient's number: its system and value.
pub type Number = (String, String);

/// Numbers as a token has them.
pub fn written(numbers: &[PatientNumber]) -> Vec<Number> {
    numbers.iter().map(|n| (n.system().to_owned(), n.value().to_owned())).collect()
}

/// A token's numbers.
pub fn read(numbers: &[Number]) -> Result<Vec<PatientNumber>, GatewayError> {
    let read = |(system, value): &Number| PatientNumber::parse(system, value);
    let read: Result<Vec<_>, _> = numbers.iter().map(read).collect();
    read.map_err(|_| GatewayError::ForgedPage)
}

impl Token {
    /// The token's text, for this organisation alone; nothing if it would not fit into a URL.
    pub fn seal(&self, seal: &Seal, organisation: &OdsCode) -> Option<String> {
        let content = serde_json::to_vec(self).expect("strings and numbers always serialise");
        let text = seal.seal(&content, organisation.as_str().as_bytes());
        (text.len() <= TEXT_BYTES_MAX).then_some(text)
    }

    /// Opens a token; refuses one that is forged, another's, or too old.
    pub fn open(
        text: &str,
        seal: &Seal,
        organisation: &OdsCode,
        now: i64,
    ) -> Result<Self, GatewayError> {
        let opened = seal.open(text, organisation.as_str().as_bytes());
        let token = opened.and_then(|content| serde_json::from_slice(&content).ok());
        let token: Self = token.ok_or(GatewayError::ForgedPage)?;
        if now - token.made > LIFE_MICROS {
            return Err(GatewayError::ExpiredPage);
        }
        Ok(token)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::place::{Leg, Place, Rank};
    use super::*;
    use crate::region::search::From;

    fn token(regions: usize) -> Token {
        // A hub's word for a place, of the length that it has.
        let place = Place { from: From::After("x".repeat(180).into()), ..Place::default() };
        let spot = |turn| Spot {
            legs: vec![Leg { place: place.clone(), until: None, sorted: true }],
            ..Spot::new(format!("Q{turn:02}").parse().unwrap(), turn)
        };
        let number = ("https://fhir.nhs.uk/Id/nhs-number".to_owned(), "9434765919".to_owned());
        Token {
            kind: "Observation".into(),
            query: vec![
                ("patient.identifier".into(), format!("{}|{}", number.0, number.1)),
                ("code".into(), "http://loinc.org|8302-2,http://loinc.org|29463-7".into()),
            ],
            numbers: vec![number],
            numbers_at_home: None,
            superseded: false,
            unknown: Vec::new(),
            located: regions,
            gaps: vec![Gap::UnreadablePointers(1)],
            spots: (0..regions).map(spot).collect(),
            mark: Some(Mark { rank: Rank::of(Some(1_700_000_000_000_000), true), turn: 3 }),
            seen: vec![u64::MAX; 8],
            total: Some(123),
            retry: false,
            made: 0,
        }
    }

    #[test]
    fn a_token_is_read_back_by_its_own_organisation_for_a_quarter_of_an_hour() {
        let seal = Seal::new([7; 32]);
        let (own, other) = ("QWO".parse().unwrap(), "QHM".parse().unwrap());
        let text = token(3).seal(&seal, &own).unwrap();
        assert_eq!(Token::open(&text, &seal, &own, LIFE_MICROS).unwrap(), token(3));
        let expired = Token::open(&text, &seal, &own, LIFE_MICROS + 1);
        assert!(matches!(expired, Err(GatewayError::ExpiredPage)));
        let replayed = Token::open(&text, &seal, &other, 0);
        assert!(matches!(replayed, Err(GatewayError::ForgedPage)));
        let tampered = Token::open(&text.replace(&text[40..44], "AAAA"), &seal, &own, 0);
        assert!(matches!(tampered, Err(GatewayError::ForgedPage)));
    }

    #[test]
    fn ten_regions_fit_well_into_a_url_and_what_does_not_is_no_token() {
        let (seal, own) = (Seal::new([7; 32]), "QWO".parse().unwrap());
        let ten = token(10).seal(&seal, &own).unwrap();
        assert!(ten.len() < 4_600, "{}", ten.len());
        assert!(!ten.contains("9434765919"));
        assert_eq!(token(40).seal(&seal, &own), None);
    }
}
