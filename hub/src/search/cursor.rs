//! What page links carry: where the page ended and what was asked, encrypted, so that no link
//! carries a patient's number and none can be forged. Bound to the caller's organisation.

use fhir::identifier::OdsCode;
use fhir::outcome::{Issue, IssueCode};
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use service::refusal::Refusal;
use service::seal;
use url::form_urlencoded;

use super::order::Position;
use super::parameters::Search;
use super::walk::Walk;

/// A link works for a day.
const LIFE_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// What a next link says, to us alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cursor<R> {
    /// Where it was asked, below our base.
    pub path: String,
    /// The search that is walked.
    pub query: Vec<(String, String)>,
    /// Where it is taken up again.
    pub resume: R,
    /// When the link was made.
    pub made: i64,
}

/// What an entry's own link says: where the walk goes on right after it. The search is not in it, for
/// there is one for each entry: it is asked again beside the link, and the link is bound to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "Brief", from = "Brief")]
pub struct After {
    /// Where the walk goes on.
    pub walk: Walk,
    /// The generation of the index that is walked.
    pub generation: i64,
    /// When the link was made.
    pub made: i64,
}

/// [`After`] in few bytes: start; last, if it is another; position; pending; generation; made.
type Brief = (String, Option<String>, Option<Position>, Vec<i64>, i64, i64);

impl From<After> for Brief {
    fn from(After { walk, generation, made }: After) -> Self {
        let Walk { start, last, position, pending } = walk;
        let last = (last != start).then_some(last);
        (start, last, position, pending, generation, made)
    }
}

impl From<Brief> for After {
    fn from((start, last, position, pending, generation, made): Brief) -> Self {
        let last = last.unwrap_or_else(|| start.clone());
        Self { walk: Walk { start, last, position, pending }, generation, made }
    }
}

/// Seals and opens page links with the store's secret.
#[derive(Debug)]
pub struct Seal(seal::Seal);

impl Seal {
    /// A seal with the secret that all processes of a store share.
    pub fn new(secret: [u8; 32]) -> Self {
        Self(seal::Seal::new(secret))
    }

    /// The text of a cursor for a link, of use to this organisation only.
    pub fn seal<R: Serialize>(&self, cursor: &Cursor<R>, organisation: &OdsCode) -> String {
        self.0.seal(&json(cursor), organisation.as_str().as_bytes())
    }

    /// Opens a cursor; refuses one that is forged, another's, or too old.
    pub fn open<R: DeserializeOwned>(
        &self,
        text: &str,
        organisation: &OdsCode,
        now: i64,
    ) -> Result<Cursor<R>, Refusal> {
        let opened = self.0.open(text, organisation.as_str().as_bytes());
        let cursor = opened.and_then(|content| serde_json::from_slice(&content).ok());
        let cursor: Cursor<R> = cursor.ok_or_else(|| {
            let text = "This page link is not one of ours, or was made for another organisation: \
                        begin the search again.";
            Refusal::bad_request(IssueCode::Invalid, text)
        })?;
        in_time(cursor.made, now)?;
        Ok(cursor)
    }

    /// The text of an entry's link, of use only beside what it is bound to.
    pub fn seal_after(&self, after: &After, bound_to: &[u8]) -> String {
        self.0.seal(&json(after), bound_to)
    }

    /// Opens an entry's link; refuses one that is forged, of another search or organisation, or too
    /// old.
    pub fn open_after(&self, text: &str, bound_to: &[u8], now: i64) -> Result<After, Refusal> {
        let opened = self.0.open(text, bound_to);
        let after = opened.and_then(|content| serde_json::from_slice(&content).ok());
        let after: After = after.ok_or_else(|| {
            let text = "This is not the link of an entry that this very search has given to this \
                        organisation: send it beside the same parameters, or begin again.";
            Refusal::bad_request_issue(Issue::error(IssueCode::Invalid, text).at("_after"))
        })?;
        in_time(after.made, now)?;
        Ok(after)
    }
}

/// What the links of a search's entries are bound to: who asked what, but for how much at a time.
pub fn bound_to(search: &Search, organisation: &OdsCode) -> Vec<u8> {
    let how_much = |name: &str| matches!(name, "_count" | "_total");
    let asked = search.executed.iter().filter(|(name, _)| !how_much(name));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(asked).finish();
    format!("{organisation}\n{}\n{query}", search.path).into_bytes()
}

fn json(content: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(content).expect("strings and numbers always serialise")
}

fn in_time(made: i64, now: i64) -> Result<(), Refusal> {
    if now - made > LIFE_MICROS {
        let text = "This page link is older than a day: begin the search again.";
        return Err(Refusal::error(StatusCode::GONE, IssueCode::Expired, text));
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::store::query::Value;

    fn cursor() -> Cursor<(i64, i64)> {
        Cursor {
            path: "Observation".into(),
            query: vec![("patient.identifier".into(), "s|9434765919".into())],
            resume: (1, 2),
            made: 0,
        }
    }

    #[test]
    fn a_cursor_is_read_back_by_its_own_organisation_for_a_day() {
        let (seal, own, other) =
            (Seal::new([7; 32]), "QWO".parse().unwrap(), "QHM".parse().unwrap());
        let text = seal.seal(&cursor(), &own);
        assert_eq!(seal.open::<(i64, i64)>(&text, &own, 0).unwrap(), cursor());
        assert_eq!(
            seal.open::<(i64, i64)>(&text, &own, LIFE_MICROS + 1).unwrap_err().status,
            StatusCode::GONE
        );
        assert_eq!(
            seal.open::<(i64, i64)>(&text, &other, 0).unwrap_err().status,
            StatusCode::BAD_REQUEST
        );
        assert!(Seal::new([8; 32]).open::<(i64, i64)>(&text, &own, 0).is_err());
    }

    #[test]
    fn a_tampered_or_foolish_cursor_is_refused() {
        let (seal, own) = (Seal::new([7; 32]), "QWO".parse().unwrap());
        let text = seal.seal(&cursor(), &own);
        let at = text.len() / 2;
        let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
        let tampered = format!("{}{other}{}", &text[..at], &text[at + 1..]);
        for bad in ["", "x", "!!", &tampered, &text[..20]] {
            assert_eq!(
                seal.open::<(i64, i64)>(bad, &own, 0).unwrap_err().status,
                StatusCode::BAD_REQUEST
            );
        }
    }

    #[test]
    fn an_entrys_link_is_read_back_beside_its_own_search_and_is_short() {
        let seal = Seal::new([7; 32]);
        let position = Position { order: vec![Value::Number(1_700_000_000_000)], key: 12_345_678 };
        let mark = "123456789";
        let walk = |last: &str, position, pending| Walk {
            start: mark.into(),
            last: last.into(),
            position,
            pending,
        };
        for walk in [
            walk(mark, Some(position.clone()), vec![]),
            walk("123456790", Some(position), vec![1, 2]),
            walk(mark, None, vec![]),
        ] {
            let after = After { walk, generation: 1, made: 1_700_000_000_000_000 };
            let text = seal.seal_after(&after, b"QWO");
            assert_eq!(seal.open_after(&text, b"QWO", after.made).unwrap(), after);
            assert!(text.len() < 200, "{} bytes", text.len());
            let other = seal.open_after(&text, b"QHM", after.made).unwrap_err();
            assert_eq!(other.status, StatusCode::BAD_REQUEST);
            let late = seal.open_after(&text, b"QWO", after.made + LIFE_MICROS + 1);
            assert_eq!(late.unwrap_err().status, StatusCode::GONE);
        }
    }
}
