//! What a pointer has in common with others. A custodian's pointers are mostly alike but for their
//! id, their patient's number and their instants: without these, a million of them are one text.

use aws_lc_rs::digest::{SHA256, digest};
use fhir::instant::format_instant;
use rusqlite::Row;

use crate::pointer::Pointer;

/// The marks that stand for what was cut out: JSON text never contains these characters.
const MARKS: [char; 4] = ['\u{1}', '\u{2}', '\u{3}', '\u{4}'];

/// What is a pointer's own.
#[derive(Debug, Clone)]
pub(super) struct Own {
    pub(super) id: String,
    pub(super) nhs_number: String,
    pub(super) created_micros: i64,
    pub(super) updated_micros: i64,
}

impl Own {
    /// What is this pointer's own.
    pub(super) fn of_pointer(pointer: &Pointer) -> Self {
        Self {
            id: pointer.id.clone(),
            nhs_number: pointer.nhs_number.clone(),
            created_micros: pointer.created_micros,
            updated_micros: pointer.updated_micros,
        }
    }

    /// Reads the columns of a row by their names.
    pub(super) fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let created_micros = row.get("created_micros")?;
        let updated_micros: Option<i64> = row.get("updated_micros")?;
        Ok(Self {
            id: row.get("id")?,
            nhs_number: format!("{:010}", row.get::<_, i64>("nhs_number")?),
            created_micros,
            updated_micros: updated_micros.unwrap_or(created_micros),
        })
    }

    /// The strings that are cut out, quoted as they stand in the text, in the order of the marks.
    fn values(&self) -> [String; 4] {
        [
            format!("\"{}\"", self.id),
            format!("\"{}\"", self.nhs_number),
            format!("\"{}\"", format_instant(self.created_micros)),
            format!("\"{}\"", format_instant(self.updated_micros)),
        ]
    }

    /// The shape of a pointer's text. Wherever one of the values stands it is cut out, so that
    /// putting it back gives the same text whatever the text says.
    pub(super) fn cut(&self, body: &str) -> String {
        let mut text = body.to_owned();
        for (mark, value) in MARKS.iter().zip(self.values()) {
            text = text.replace(&value, mark.encode_utf8(&mut [0; 4]));
        }
        text
    }

    /// The text of a pointer of this shape.
    pub(super) fn fill(&self, shape: &str) -> String {
        let values = self.values();
        let mut text =
            String::with_capacity(shape.len() + values.iter().map(String::len).sum::<usize>());
        for part in shape.split_inclusive(MARKS) {
            let mark = part.chars().next_back().and_then(|c| MARKS.iter().position(|m| *m == c));
            match mark {
                Some(mark) => {
                    text.push_str(&part[..part.len() - 1]);
                    text.push_str(&values[mark]);
                }
                None => text.push_str(part),
            }
        }
        text
    }
}

/// A number that shapes of different text hardly ever share.
pub(super) fn digest_of(shape: &str) -> i64 {
    let digest = digest(&SHA256, shape.as_bytes());
    let first = digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
    i64::from_le_bytes(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(updated_micros: i64) -> Own {
        Own {
            id: "QWO-1".into(),
            nhs_number: "0123456789".into(),
            created_micros: 1_795_426_200_123_000,
            updated_micros,
        }
    }

    #[test]
    fn what_was_cut_out_is_put_back_in_its_place() {
        let own = own(1_795_426_201_000_000);
        let body = r#"{"id":"QWO-1","s":{"value":"0123456789"},"date":"2026-11-23T09:30:00.123Z","meta":{"lastUpdated":"2026-11-23T09:30:01.000Z"},"also":"QWO-1","url":"https://h/0123456789","é":"QWO-12"}"#;
        let shape = own.cut(body);
        for gone in ["\"QWO-1\"", "\"0123456789\"", "2026-11-23"] {
            assert!(!shape.contains(gone), "{gone}: {shape}");
        }
        assert_eq!(own.fill(&shape), body);
    }

    #[test]
    fn pointers_that_differ_in_nothing_else_have_one_shape() {
        let other = Own { id: "QWO-2".into(), nhs_number: "9876543210".into(), ..own(7) };
        let body = |own: &Own| format!("{{\"id\":\"{}\",\"n\":\"{}\"}}", own.id, own.nhs_number);
        let own = own(5);
        assert_eq!(own.cut(&body(&own)), other.cut(&body(&other)));
        assert_eq!(other.fill(&own.cut(&body(&own))), body(&other));
    }
}
