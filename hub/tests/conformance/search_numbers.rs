//! Numbers and quantities.

use serde_json::{Value, json};

use super::fixtures::{assert_finds, assert_searches_refused, observation, resource, store};
use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    a_quantity_is_found_within_the_precision_that_was_asked,
    a_quantitys_unit_is_a_code_of_a_system_or_any_text,
    a_quantity_is_found_in_another_unit_of_its_kind,
    a_number_is_found_within_the_precision_that_was_asked,
    what_is_no_number_is_refused,
);

const UCUM: &str = "http://unitsofmeasure.org";

fn measured(id: &str, value: f64) -> Value {
    let quantity = json!({"value": value, "unit": "milligram", "system": UCUM, "code": "mg"});
    observation(id, json!({"valueQuantity": quantity}))
}

async fn a_quantity_is_found_within_the_precision_that_was_asked(kit: Kit) {
    store(&kit, [measured("a", 5.4), measured("b", 5.36), measured("c", 5.44)]).await;
    store(&kit, [measured("d", 5.46), measured("e", 5.34), measured("f", -5.4)]).await;
    let table = [
        ("value-quantity=5.4", "a b c"),
        ("value-quantity=5.40", "a"),
        ("value-quantity=5.400", "a"),
        ("value-quantity=5", "a b c d e"),
        ("value-quantity=-5.4", "f"),
        ("value-quantity=ne5.4", "d e f"),
        // With these prefixes a number stands for itself alone.
        ("value-quantity=gt5.4", "c d"),
        ("value-quantity=ge5.4", "a c d"),
        ("value-quantity=lt5.4", "b e f"),
        ("value-quantity=le5.4", "a b e f"),
        ("value-quantity=sa5.4", "c d"),
        ("value-quantity=eb5.4", "b e f"),
        ("value-quantity=ap5.4", "a b c d e"),
        ("value-quantity=gt5.4&value-quantity=lt5.45", "c"),
        ("value-quantity=5.34,5.46", "d e"),
    ];
    assert_finds(&kit, "Observation", &table).await;
}

async fn a_quantitys_unit_is_a_code_of_a_system_or_any_text(kit: Kit) {
    store(&kit, [measured("coded", 5.4)]).await;
    for (id, quantity) in [
        ("named", json!({"value": 5.4, "unit": "mg"})),
        ("local", json!({"value": 5.4, "unit": "mg", "system": "urn:units", "code": "milli"})),
        ("bare", json!({"value": 5.4})),
        ("other", json!({"value": 5.4, "unit": "kg", "system": UCUM, "code": "kg"})),
    ] {
        store(&kit, [observation(id, json!({"valueQuantity": quantity}))]).await;
    }
    let table = [
        ("value-quantity=5.4", "coded named local bare other"),
        ("value-quantity=5.4|http://unitsofmeasure.org|mg", "coded"),
        ("value-quantity=5.4|urn:units|milli", "local"),
        ("value-quantity=5.4|urn:units|mg", ""),
        ("value-quantity=5.4||mg", "coded named local"),
        ("value-quantity=5.4||milligram", "coded"),
        // A kilogram is more than a milligram.
        ("value-quantity=gt5.3|http://unitsofmeasure.org|mg", "coded other"),
        ("value-quantity=gt5.4|http://unitsofmeasure.org|mg", "other"),
    ];
    assert_finds(&kit, "Observation", &table).await;
}

async fn a_quantity_is_found_in_another_unit_of_its_kind(kit: Kit) {
    store(&kit, [measured("a", 5.4), measured("b", 6.0)]).await;
    let table = [
        ("value-quantity=0.0054|http://unitsofmeasure.org|g", "a"),
        ("value-quantity=5400|http://unitsofmeasure.org|ug", "a"),
        ("value-quantity=gt0.0055|http://unitsofmeasure.org|g", "b"),
        ("value-quantity=5.4|http://unitsofmeasure.org|mL", ""),
    ];
    assert_finds(&kit, "Observation", &table).await;
}

async fn a_number_is_found_within_the_precision_that_was_asked(kit: Kit) {
    for (id, probability) in [("a", 0.5), ("b", 0.52), ("c", 0.9)] {
        let members = json!({"status": "final", "subject": {"reference": "Patient/p"},
            "prediction": [{"probabilityDecimal": probability}]});
        store(&kit, [resource("RiskAssessment", id, members)]).await;
    }
    let table = [
        ("probability=0.5", "a b"),
        ("probability=0.50", "a"),
        ("probability=gt0.5", "b c"),
        ("probability=le0.52", "a b"),
        ("probability=ne0.5", "c"),
        ("probability=ap0.5", "a b"),
        ("probability=9e-1", "c"),
    ];
    assert_finds(&kit, "RiskAssessment", &table).await;
}

async fn what_is_no_number_is_refused(kit: Kit) {
    let searches = [
        "Observation?value-quantity=abc",
        "Observation?value-quantity=gt",
        "Observation?value-quantity=5.4|a|b|c",
        "Observation?value-quantity=1e999999999",
        "RiskAssessment?probability=half",
        "RiskAssessment?probability=xx0.5",
        "RiskAssessment?probability=NaN",
    ];
    assert_searches_refused(&kit, &searches).await;
}
