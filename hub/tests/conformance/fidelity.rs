//! What goes in comes out.

use http::StatusCode;
use serde_json::json;

use super::fixtures::{ask, assert_finds, family, patient, process, put, send, store, transaction};
use crate::kit::{Kit, on_both_engines};

on_both_engines!(
    a_number_comes_out_digit_for_digit_whichever_way_it_is_read,
    a_primitive_and_what_stands_beside_it_come_out_byte_for_byte,
    an_extension_may_stand_where_a_required_value_would,
    any_text_survives_and_composed_letters_compare_equal,
    ids_are_kept_and_compared_letter_for_letter,
    metadata_of_contained_resources_is_their_own,
);

const NUMBERS: [&str; 6] =
    ["1.00", "123456789012345678.123456789", "1e2", "-0.0", "5.40e-1", "100000000000000000000"];

async fn a_number_comes_out_digit_for_digit_whichever_way_it_is_read(kit: Kit) {
    for (place, number) in NUMBERS.iter().enumerate() {
        let id = format!("o{place}");
        let text = format!(
            r#"{{"resourceType":"Observation","id":"{id}","status":"final","code":{{"text":"x"}},"valueQuantity":{{"value":{number},"unit":"mg"}}}}"#
        );
        let kept = format!(r#""value":{number},"#);
        let path = format!("Observation/{id}");
        assert_eq!(kit.put(&path, &text).await.status, StatusCode::CREATED, "{number}");
        for read in [
            path.clone(),
            format!("{path}/_history/1"),
            format!("{path}/_history"),
            format!("Observation?_id={id}"),
            format!("Observation?_id={id}&_elements=value"),
        ] {
            let answer = kit.get(&read).await;
            assert!(answer.text.contains(&kept), "{read}: {number}: {}", answer.text);
        }
    }
    for (place, number) in NUMBERS.iter().enumerate() {
        let path = format!("Observation/o{place}");
        let patch = r#"[{"op":"replace","path":"/status","value":"amended"}]"#;
        let json_patch = [("content-type", "application/json-patch+json")];
        let url = format!("/FHIR/R4/{path}");
        let patched = kit.send("PATCH", &url, &json_patch, patch).await;
        assert_eq!(patched.status, StatusCode::OK, "{}", patched.text);
        let read = kit.get(&path).await;
        assert!(read.text.contains("amended"));
        assert!(read.text.contains(&format!(r#""value":{number},"#)), "{number}: {}", read.text);
    }
    let text = format!(
        r#"{{"resourceType":"Bundle","type":"transaction","entry":[{{"resource":{{"resourceType":"Observation","id":"t","status":"final","code":{{"text":"x"}},"valueQuantity":{{"value":{}}}}},"request":{{"method":"PUT","url":"Observation/t"}}}}]}}"#,
        NUMBERS[1]
    );
    process(&kit, &text).await;
    assert!(kit.get("Observation/t").await.text.contains(NUMBERS[1]));
}

async fn a_primitive_and_what_stands_beside_it_come_out_byte_for_byte(kit: Kit) {
    let given = r#""given":["A",null,"C"],"_given":[null,{"extension":[{"url":"urn:x","valueString":"b"}]},null]"#;
    let birth = r#""_birthDate":{"id":"b","extension":[{"url":"urn:x","valueCode":"unknown"}]}"#;
    let order = r#""gender":"other","active":true"#;
    let text =
        format!(r#"{{"resourceType":"Patient","id":"a","name":[{{{given}}}],{birth},{order}}}"#);
    assert_eq!(kit.put("Patient/a", &text).await.status, StatusCode::CREATED);
    for path in ["Patient/a", "Patient?_id=a", "Patient/a/_history"] {
        let read = kit.get(path).await.text;
        for kept in [given, birth, order] {
            assert!(read.contains(kept), "{path}: {kept}: {read}");
        }
    }
}

async fn an_extension_may_stand_where_a_required_value_would(kit: Kit) {
    let absent = json!({"extension": [{
        "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
        "valueCode": "unknown"
    }]});
    let body = json!({"resourceType": "Observation", "_status": absent, "code": {"text": "x"}});
    let created = kit.post("Observation", &body.to_string()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    assert_eq!(created.json()["_status"], absent);
    let nothing = json!({"resourceType": "Observation", "code": {"text": "x"}});
    let refused = kit.post("Observation", &nothing.to_string()).await;
    refused.assert_refused(StatusCode::UNPROCESSABLE_ENTITY);
}

async fn any_text_survives_and_composed_letters_compare_equal(kit: Kit) {
    let (composed, decomposed) = ("M\u{fc}ller", "Mu\u{308}ller");
    let text = format!("{composed} \u{1f600} \u{4e2d}\u{6587} \u{202e}");
    let stored = put(&kit, &family("text", &text)).await.json();
    assert_eq!(stored["name"][0]["family"], text);
    assert_eq!(kit.get("Patient/text").await.json()["name"][0]["family"], text);
    let escaped = r#"{"resourceType":"Patient","id":"escaped","name":[{"family":"\ud83d\ude00\u00fc\"\\\/"}]}"#;
    assert_eq!(kit.put("Patient/escaped", escaped).await.status, StatusCode::CREATED);
    let read = kit.get("Patient/escaped").await.json();
    assert_eq!(read["name"][0]["family"], "\u{1f600}\u{fc}\"\\/");
    store(&kit, [family("composed", composed), family("decomposed", decomposed)]).await;
    let both = "composed decomposed text";
    let (c, d) = (format!("family={composed}"), format!("family={decomposed}"));
    assert_finds(&kit, "Patient", &[(&c, both), (&d, both)]).await;
    assert_eq!(kit.get("Patient/decomposed").await.json()["name"][0]["family"], decomposed);
}

async fn ids_are_kept_and_compared_letter_for_letter(kit: Kit) {
    let upper = "6F1B3B2C-0000-4000-8000-00000000ABCD";
    let lower = upper.to_lowercase();
    let longest = "a".repeat(64);
    for id in [upper, &lower, "Abc", "aBC", "a.b-c", &longest] {
        let created = put(&kit, &family(id, id)).await;
        assert_eq!(created.status, StatusCode::CREATED, "{id}");
        assert!(created.header("location").contains(&format!("Patient/{id}/_history/1")), "{id}");
        assert_eq!(kit.get(&format!("Patient/{id}")).await.json()["id"], *id);
    }
    assert_eq!(kit.get("Patient/Abc").await.json()["name"][0]["family"], "Abc");
    assert_finds(&kit, "Patient", &[("_id=Abc", "Abc"), ("_id=ABC", "")]).await;
    kit.get("Patient/ABC").await.assert_refused(StatusCode::NOT_FOUND);
}

async fn metadata_of_contained_resources_is_their_own(kit: Kit) {
    let meta = json!({"tag": [{"system": "urn:tags", "code": "inner"}]});
    let organisation =
        json!({"resourceType": "Organization", "id": "o", "meta": meta, "name": "x"});
    let members = json!({
        "contained": [organisation],
        "managingOrganization": {"reference": "#o"},
        "meta": {"tag": [{"system": "urn:tags", "code": "outer"}]}
    });
    let stored = put(&kit, &patient("a", members)).await.json();
    assert_eq!(stored["contained"][0], organisation);
    assert_eq!(stored["meta"]["tag"][0]["code"], "outer");
    let sent = transaction(&[
        send(
            "PUT",
            "Patient/b",
            patient(
                "b",
                json!({"contained": [organisation],
            "managingOrganization": {"reference": "#o"}}),
            ),
        ),
        ask("DELETE", "Patient/a"),
    ]);
    process(&kit, &sent).await;
    assert_eq!(kit.get("Patient/b").await.json()["contained"][0], organisation);
    assert_finds(&kit, "Patient", &[("_tag=urn:tags|inner", "")]).await;
}
