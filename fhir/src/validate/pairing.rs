//! Arrays of primitives and the arrays of ids and extensions beside them: item by item, `null` fills the
//! gaps of either. <https://hl7.org/fhir/R4/json.html#primitive>

use super::walk::{Segment, Walk};
use crate::definitions::Type;
use crate::outcome::IssueCode;

/// One array of either kind, as it was met in an object.
#[derive(Debug)]
pub(super) struct Note {
    /// The element's number within its type.
    pub(super) number: usize,
    pub(super) beside: bool,
    pub(super) length: usize,
    pub(super) nulls: Vec<usize>,
}

impl Walk<'_> {
    /// Judges the arrays noted since `start`, all of one object, and forgets them.
    pub(super) fn pair(&mut self, start: usize, definition: &'static Type) {
        if self.notes.len() == start {
            return;
        }
        let notes: Vec<_> = self.notes.drain(start..).collect();
        for (place, note) in notes.iter().enumerate() {
            let mut others = notes.iter().enumerate();
            let partner = others.find(|(_, n)| n.number == note.number && n.beside != note.beside);
            // Of a pair, the first judges both.
            if partner.is_none_or(|(other, _)| other > place) {
                let element = definition.elements[note.number].element;
                self.path.push(Segment::Element(element));
                self.judge(note, partner.map(|(_, note)| note));
                self.path.pop();
            }
        }
    }

    fn judge(&mut self, note: &Note, partner: Option<&Note>) {
        if let Some(partner) = partner
            && partner.length != note.length
        {
            let message = "The array and the one beside it must be of one length; null fills gaps.";
            self.issue(IssueCode::Structure, message);
            return;
        }
        for index in &note.nulls {
            if partner.is_none_or(|partner| partner.nulls.contains(index)) {
                self.path.push(Segment::Index(*index));
                let message = "null may stand here only beside the other array's value.";
                self.issue(IssueCode::Structure, message);
                self.path.pop();
            }
        }
    }
}
