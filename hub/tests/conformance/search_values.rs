//! Strings, tokens and dates.

use serde_json::json;

use super::fixtures::{
    assert_finds, assert_searches_refused, coded, family, identified, observation, patient,
    resource, store, url,
};
use crate::kit::{Kit, matches, on_both_engines};

on_both_engines!(
    a_token_has_four_forms_and_escapes,
    not_includes_those_without_a_value,
    codes_are_compared_as_written_and_names_as_read,
    a_comma_separates_unless_it_is_escaped,
    whether_a_value_is_missing_can_be_asked_of_every_type,
    a_date_is_found_by_a_longer_span_and_not_by_a_shorter_one,
    date_prefixes_compare_spans_at_every_precision,
    a_period_without_an_end_is_endless,
    an_instant_is_found_in_any_zone,
);

async fn a_token_has_four_forms_and_escapes(kit: Kit) {
    store(&kit, [identified("a", "urn:s", "v"), identified("b", "urn:t", "v")]).await;
    store(&kit, [identified("d", "urn:s", "w"), identified("e", "urn:a|b,c", "x")]).await;
    store(&kit, [patient("c", json!({"identifier": [{"value": "v"}]}))]).await;
    let table = [
        ("identifier=v", "a b c"),
        ("identifier=urn:s|v", "a"),
        ("identifier=|v", "c"),
        ("identifier=urn:s|", "a d"),
        ("identifier=urn:s|,urn:t|v", "a b d"),
        (r"identifier=urn:a\|b\,c|x", "e"),
        (r"identifier=urn:a\|b\,c|", "e"),
        ("identifier=urn:never|v", ""),
        ("identifier=urn:s|v&identifier=urn:s|w", ""),
    ];
    assert_finds(&kit, "Patient", &table).await;
    assert_searches_refused(&kit, &["Patient?identifier=|"]).await;
}

async fn not_includes_those_without_a_value(kit: Kit) {
    for gender in ["male", "female", "other"] {
        store(&kit, [patient(gender, json!({"gender": gender}))]).await;
    }
    store(&kit, [patient("none", json!({}))]).await;
    let table = [
        ("gender:not=male", "female other none"),
        ("gender:not=male,female", "other none"),
        ("gender:not=male&gender:not=other", "female none"),
        ("gender:not=male&gender:missing=false", "female other"),
    ];
    assert_finds(&kit, "Patient", &table).await;
    let both =
        json!({"coding": [{"system": "urn:s", "code": "x"}, {"system": "urn:s", "code": "y"}]});
    let code = json!({"code": both});
    store(&kit, [observation("both", code), observation("y", json!({"code": coded("y")}))]).await;
    assert_finds(&kit, "Observation", &[("code:not=x", "y"), ("code:not=urn:s|y", "")]).await;
}

async fn codes_are_compared_as_written_and_names_as_read(kit: Kit) {
    let named = json!({"gender": "male", "name": [{"family": "Müller", "given": ["Ünal", "B"]}]});
    store(&kit, [patient("a", named), family("b", "Mulligan")]).await;
    let table = [
        ("gender=MALE", ""),
        ("gender=male", "a"),
        ("family=MULL", "a b"),
        ("family=muller", "a"),
        ("family=müll", "a b"),
        ("family=Mueller", ""),
        ("family=ller", ""),
        ("name=unal", "a"),
        ("name=mull", "a b"),
        ("given=u", "a"),
        ("family:exact=Müller", "a"),
        ("family:exact=muller", ""),
        ("family:exact=MÜLLER", ""),
        ("family:exact=Müll", ""),
        ("family:contains=LLE", "a"),
        ("family:contains=ull", "a b"),
        ("family:contains=xx", ""),
    ];
    assert_finds(&kit, "Patient", &table).await;
}

async fn a_comma_separates_unless_it_is_escaped(kit: Kit) {
    for (id, name) in [
        ("comma", "Comma, Inc"),
        ("commander", "Commander"),
        ("inc", "Incorporated"),
        ("dollar", "Cost$5"),
        ("slash", r"Back\slash"),
        ("pipe", "Pipe|line"),
    ] {
        let name = json!([{"family": name, "given": [id, "Both"]}]);
        store(&kit, [patient(id, json!({"name": name}))]).await;
    }
    store(&kit, [identified("value", "urn:s", "x|y,z")]).await;
    let table = [
        (r"family=Comma\, Inc", "comma"),
        ("family=Comma,Inc", "comma commander inc"),
        (r"family:exact=Comma\, Inc", "comma"),
        (r"family=Cost\$5", "dollar"),
        ("family=Cost$5", "dollar"),
        (r"family=Back\\slash", "slash"),
        (r"family=Pipe\|line", "pipe"),
        (r"identifier=x\|y\,z", "value"),
        (r"identifier=urn:s|x\|y\,z", "value"),
        ("given=Both&given=inc", "inc"),
        ("given=comma&given=inc", ""),
        ("given=inc,pipe&family=P", "pipe"),
    ];
    assert_finds(&kit, "Patient", &table).await;
    // A parameter without a value asks for nothing, and does not say that it was used.
    let all = kit.search("Patient?family=").await;
    assert_eq!(matches(&all).len(), 7);
    assert!(!url(&all, "self").contains("family"));
}

async fn whether_a_value_is_missing_can_be_asked_of_every_type(kit: Kit) {
    let unknown = json!({"extension": [{"url": "urn:x", "valueCode": "unknown"}]});
    let full = json!({"gender": "male", "birthDate": "2000", "name": [{"family": "A"}],
        "managingOrganization": {"reference": "Organization/o"}});
    let extended =
        json!({"_gender": unknown, "_birthDate": unknown, "name": [{"_family": unknown}]});
    store(&kit, [patient("full", full), patient("extended", extended)]).await;
    store(&kit, [patient("bare", json!({}))]).await;
    for parameter in ["gender", "birthdate", "family", "organization"] {
        let (missing, present) =
            (format!("{parameter}:missing=true"), format!("{parameter}:missing=false"));
        assert_finds(&kit, "Patient", &[(&missing, "bare extended"), (&present, "full")]).await;
    }
    let measured = json!({"subject": {"reference": "Patient/full"}, "valueQuantity": {"value": 1}});
    store(&kit, [observation("measured", measured), observation("bare", json!({}))]).await;
    for parameter in ["subject", "value-quantity", "patient"] {
        let (missing, present) =
            (format!("{parameter}:missing=true"), format!("{parameter}:missing=false"));
        assert_finds(&kit, "Observation", &[(&missing, "bare"), (&present, "measured")]).await;
    }
    let named = json!({"status": "draft", "url": "urn:q"});
    store(&kit, [resource("Questionnaire", "named", named)]).await;
    store(&kit, [resource("Questionnaire", "bare", json!({"status": "draft"}))]).await;
    let table = [("url:missing=true", "bare"), ("url:missing=false", "named")];
    assert_finds(&kit, "Questionnaire", &table).await;
    let bad = ["Patient?birthdate:missing=maybe", "Patient?family:missing=1"];
    assert_searches_refused(&kit, &bad).await;
}

/// Patients born on a day, in a month, in a year, and on a later day.
async fn born(kit: &Kit) {
    for (id, date) in
        [("day", "2000-05-17"), ("month", "2000-06"), ("year", "2000"), ("later", "2001-02-03")]
    {
        store(kit, [patient(id, json!({"birthDate": date}))]).await;
    }
    store(kit, [patient("none", json!({}))]).await;
}

async fn a_date_is_found_by_a_longer_span_and_not_by_a_shorter_one(kit: Kit) {
    born(&kit).await;
    let table = [
        ("birthdate=2000", "day month year"),
        ("birthdate=2000-05", "day"),
        ("birthdate=2000-05-17", "day"),
        ("birthdate=eq2000-06", "month"),
        ("birthdate=2000-06-10", ""),
        ("birthdate=2000-05-16,2001-02-03", "later"),
    ];
    assert_finds(&kit, "Patient", &table).await;
}

async fn date_prefixes_compare_spans_at_every_precision(kit: Kit) {
    born(&kit).await;
    let table = [
        ("birthdate=ne2000-05", "month year later"),
        ("birthdate=gt2000-05", "month year later"),
        ("birthdate=gt2000-05-17", "month year later"),
        ("birthdate=gt2000", "later"),
        ("birthdate=lt2000-06", "day year"),
        ("birthdate=lt2000-05-17", "year"),
        ("birthdate=lt2000", ""),
        ("birthdate=ge2000-06-10", "month year later"),
        ("birthdate=ge2000-05-17", "day month year later"),
        ("birthdate=ge2001", "later"),
        ("birthdate=le2000-05-17", "day year"),
        ("birthdate=le2000", "day month year"),
        ("birthdate=sa2000-05", "month later"),
        ("birthdate=sa2000", "later"),
        ("birthdate=eb2000-06", "day"),
        ("birthdate=eb2001", "day month year"),
        ("birthdate=ap2000-05-17", "day month year later"),
        ("birthdate=ap1950", ""),
        ("birthdate=ge2001,lt2000-06", "later day year"),
        ("birthdate=ge2000-05&birthdate=le2000-06", "day month year"),
    ];
    assert_finds(&kit, "Patient", &table).await;
}

async fn a_period_without_an_end_is_endless(kit: Kit) {
    for (id, period) in [
        ("open", json!({"start": "2000-05-17"})),
        ("since", json!({"end": "2000-05-17"})),
        ("closed", json!({"start": "2000-05-01", "end": "2000-05-31"})),
    ] {
        let members = json!({"status": "finished", "period": period,
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}});
        store(&kit, [resource("Encounter", id, members)]).await;
    }
    let table = [
        ("date=ge2090", "open"),
        ("date=gt2000-05-31", "open"),
        ("date=lt1990", "since"),
        ("date=sa2000-05-16", "open"),
        ("date=sa1990", "open closed"),
        ("date=eb2000-06", "since closed"),
        ("date=eb2090", "since closed"),
        ("date=2000-05", "closed"),
        ("date=ne2000-05", "open since"),
    ];
    assert_finds(&kit, "Encounter", &table).await;
}

async fn an_instant_is_found_in_any_zone(kit: Kit) {
    let at = |time: &str| json!({"effectiveDateTime": time});
    store(&kit, [observation("a", at("2020-01-01T23:30:00-02:00"))]).await;
    let table = [
        ("date=2020-01-02T01:30:00Z", "a"),
        ("date=2020-01-02T01:30Z", "a"),
        ("date=2020-01-02T02:30:00+01:00", "a"),
        ("date=ge2020-01-02T01:30:00Z", "a"),
        ("date=gt2020-01-02T01:30:00Z", ""),
        ("date=gt2020-01-02T01:29:59Z", "a"),
        ("date=le2020-01-02T02:30:00+01:00", "a"),
        ("date=lt2020-01-02T01:30:00Z", ""),
        // A day is a day of UTC.
        ("date=2020-01-02", "a"),
        ("date=2020-01-01", ""),
    ];
    assert_finds(&kit, "Observation", &table).await;
    // A raw + is a space once it is decoded; both spellings are in use.
    for zone in ["+01:00", "%2B01:00"] {
        let found = kit.ids(&format!("Observation?date=2020-01-02T02:30:00{zone}")).await;
        assert_eq!(found, ["a"], "{zone}");
    }
    for bad in [
        "notadate",
        "2000-13",
        "2000-02-30",
        "ge",
        "20",
        "2000-1-1",
        "xx2000",
        "2000-01-01T25:00:00Z",
    ] {
        assert_searches_refused(&kit, &[&format!("Observation?date={bad}")]).await;
    }
}
