//! A page link's secret: opened only if it is ours; and where such a link leads.

use fhir::identifier::OdsCode;
use hub::search::cursor::{Cursor, Seal};
use hub::search::page::Resume;
use hub::search::parameters::{Place, parse};
use serde_json::Value;

use crate::query::written;
use crate::{BASE, NOW, TERMS};

/// Opens what was sent; then seals it, if it is what a link holds, and follows that; whether it leads
/// to a page.
pub fn cursor(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let seal = Seal::new([7; 32]);
    let own: OdsCode = "QWO".parse().expect("this is an ODS code");
    assert!(seal.open::<Resume>(text, &own, NOW).is_err(), "opened what nobody has sealed");
    let Ok(cursor) = serde_json::from_str::<Cursor<Value>>(text) else { return false };
    let sealed = seal.seal(&cursor, &own);
    let now = cursor.made;
    let Ok(opened) = seal.open::<Resume>(&sealed, &own, now) else { return false };
    let again: Cursor<Resume> =
        seal.open(&seal.seal(&opened, &own), &own, now).expect("it is ours");
    assert_eq!(again, opened);
    let Ok(resource_type) = opened.path.parse() else { return false };
    let place = Place::of_type(resource_type);
    let Ok(search) = parse(place, &opened.query, false, &TERMS, BASE) else { return false };
    let position = opened.resume.walk.and_then(|walk| walk.position);
    // A position is always one of the same search: it has a value for each key.
    let fits = position.filter(|position| position.order.len() == search.order.keys.len());
    written(&search, fits.as_ref());
    true
}
