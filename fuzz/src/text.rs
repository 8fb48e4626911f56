//! A body: validated, taken apart for the index, ready to be stored.

use fhir::subset::{self, Subset};
use fhir::tree::Tree;
use fhir::validate::validate;
use hub::custody::Custodian;
use hub::store::draft::Draft;
use hub::store::index::Index;

use crate::{NOW, TERMS};

/// Stores a body as the hub would, short of the store; whether it may be stored.
pub fn resource(input: &[u8]) -> bool {
    let Ok(survey) = validate(input) else { return false };
    let Some(resource_type) = survey.resource_type.filter(|_| survey.issues.is_empty()) else {
        return false;
    };
    let index = |text: &[u8]| {
        let tree = Tree::parse(text).expect("what validates is JSON");
        Index::of(resource_type, "a", &tree, &TERMS, NOW)
    };
    let draft = Draft::new(input, "a").expect("what validates is an object");
    let own = Custodian::default();
    let stored = draft.render(1, NOW, &own);
    assert!(draft.says_the_same_as(&stored, &own), "what is stored says something else");
    let again = validate(&stored).expect("what is stored is JSON");
    assert!(again.issues.is_empty(), "what is stored does not validate: {:?}", again.issues);
    assert_eq!(again.id.as_deref(), Some("a"));
    let (sent, stored_index) = (index(input), index(&stored));
    assert_eq!(sent.clinical_ms, stored_index.clinical_ms);
    assert_eq!(sent.numbers, stored_index.numbers);
    assert_eq!(sent.references, stored_index.references);
    for subset in [Subset::True, Subset::Text, Subset::Data] {
        let part = subset::apply(&stored, resource_type, &subset);
        Tree::parse(&part).expect("a part of a resource is JSON");
    }
    true
}
