//! What a pointer may look like and what it must say: one change to a good pointer at a time.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{NUMBER, PRODUCER, SNOMED, World, concept, pointer, with};

/// Sends the pointer that hubs register with one change, as `QWO`.
async fn refused(world: &World, path: &str, new: Value) -> (u16, String, String, String) {
    let sent = with(pointer("QWO", NUMBER), path, new);
    let reply = world.post("QWO", PRODUCER, &sent).await;
    let owned = |text: &str| text.to_owned();
    (
        reply.status.as_u16(),
        owned(reply.code()),
        owned(reply.diagnostics()),
        owned(reply.expression()),
    )
}

#[tokio::test]
async fn what_does_not_fit_the_model_is_refused_by_path() {
    let world = World::new();
    let coding = json!({"system": SNOMED, "code": "1", "display": "d"});
    for (path, new, expression, message) in [
        ("/status", json!("superseded"), "status", "String should match pattern '^current$'"),
        ("/status", Value::Null, "status", "Field required"),
        ("/status", json!(1), "status", "Input should be a valid string"),
        ("/resourceType", json!("Patient"), "resourceType", "Input should be 'DocumentReference'"),
        ("/id", json!("nohyphen"), "id", "String should match pattern '^(?=.{1,64}$)"),
        ("/docStatus", json!("done"), "docStatus", "'preliminary' or 'final'"),
        ("/content", json!([]), "DocumentReference", "The following fields are empty: content"),
        ("/description", json!(""), "DocumentReference", "fields are empty: description"),
        ("/description", json!(" a"), "description", "String should match pattern"),
        ("/author", json!([{}]), "DocumentReference", "fields are empty: author[0]"),
        ("/author", json!({"a": 1}), "author", "Input should be a valid array"),
        ("/extra", json!("x"), "extra", "Extra inputs are not permitted"),
        (
            "/content/0/extra_field",
            json!("x"),
            "content[0].extra_field",
            "Extra inputs are not permitted",
        ),
        ("/content/0/attachment/url", Value::Null, "content[0].attachment.url", "Field required"),
        ("/content/0/attachment/size", json!(1.5), "content[0].attachment.size", "integer"),
        (
            "/content/0/format/display",
            json!("Structured document"),
            "content[0].format.display",
            "Input should be",
        ),
        (
            "/type/coding",
            json!([coding, coding]),
            "type.coding",
            "List should have at most 1 item after validation, not 2",
        ),
        (
            "/context/practiceSetting/coding/0/display",
            Value::Null,
            "context.practiceSetting.coding[0].display",
            "Field required",
        ),
        ("/date", json!("yesterday"), "date", "String should match pattern"),
        ("/subject/identifier", json!("x"), "subject.identifier", "Input should be an object"),
    ] {
        let (status, code, text, found) = refused(&world, path, new).await;
        assert_eq!((status, code.as_str()), (400, "MESSAGE_NOT_WELL_FORMED"), "{path}: {text}");
        assert_eq!(found, expression, "{path}");
        assert!(text.starts_with(&format!("Request body could not be parsed ({expression}: ")));
        assert!(text.contains(message), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_member_given_twice_is_refused_by_name() {
    let world = World::new();
    let text = pointer("QWO", NUMBER).to_string();
    let text = text.replace("\"url\":\"https://hub", "\"url\":\"https://x\",\"url\":\"https://hub");
    let reply = world.ask("QWO", Method::POST, PRODUCER, text).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(reply.code(), "MESSAGE_NOT_WELL_FORMED");
    assert_eq!(reply.diagnostics(), "Duplicate keys found in FHIR document: ['url']");
    assert_eq!(reply.expression(), "root.content[0].attachment.url");
}

#[tokio::test]
async fn every_fault_is_reported_at_once() {
    let world = World::new();
    let sent = with(pointer("QWO", NUMBER), "/custodian", Value::Null);
    let sent = with(sent, "/subject", Value::Null);
    let reply = world.post("QWO", PRODUCER, &sent).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    let texts: Vec<&str> = reply.body["issue"]
        .as_array()
        .unwrap()
        .iter()
        .map(|issue| issue["diagnostics"].as_str().unwrap())
        .collect();
    assert_eq!(
        texts,
        ["The required field 'custodian' is missing", "The required field 'subject' is missing"]
    );
}

/// One change to a good pointer: (path, new value, expression, what the answer says).
type Row = (&'static str, Value, &'static str, &'static str);

/// Every row is refused with 422.
async fn assert_rules(rows: impl IntoIterator<Item = Row>) {
    let world = World::new();
    for (path, new, expression, message) in rows {
        let (status, code, text, found) = refused(&world, path, new).await;
        assert_eq!((status, code.as_str()), (422, "UNPROCESSABLE_ENTITY"), "{path}: {text}");
        assert!(text.contains(message), "{path}: {text}");
        assert_eq!(found, expression, "{path}");
    }
}

#[tokio::test]
async fn identifiers_and_relations_are_refused_in_the_nrls_words() {
    let without_identifier = json!({"display": "x"});
    let related = |code: &str| json!([{"code": code, "target": {"display": "x"}}]);
    assert_rules([
        (
            "/custodian",
            without_identifier.clone(),
            "custodian.identifier",
            "Custodian must have an identifier",
        ),
        ("/subject", without_identifier, "subject.identifier", "Subject must have an identifier"),
        (
            "/custodian/identifier/system",
            json!("urn:x"),
            "custodian.identifier.system",
            "is not the ODS system (expected: 'https://fhir.nhs.uk/Id/ods-organization-code')",
        ),
        (
            "/subject/identifier/system",
            json!("urn:x"),
            "subject.identifier.system",
            "is not the NHS number system (expected 'https://fhir.nhs.uk/Id/nhs-number')",
        ),
        ("/relatesTo", related("is"), "relatesTo[0].code", "Invalid relatesTo code: is"),
        (
            "/relatesTo",
            related("replaces"),
            "relatesTo[0].target.identifier.value",
            "relatesTo code 'replaces' must have a target identifier",
        ),
    ])
    .await;
}

#[tokio::test]
async fn types_and_categories_are_refused_in_the_nrls_words() {
    let care_plan = concept(SNOMED, "734163000", "Care plan");
    assert_rules([
        (
            "/type/coding/0/system",
            json!("urn:x"),
            "type.coding[0].system",
            "Invalid type system: urn:x Type system must be either",
        ),
        ("/type/coding/0/code", json!("1"), "type.coding[0].code", "Invalid type code: 1 "),
        (
            "/type/coding/0/display",
            json!("Summary"),
            "type.coding[0].display",
            "type code '887181000000106' must have a display value of 'Clinical summary'",
        ),
        (
            "/category",
            json!([care_plan, care_plan]),
            "category",
            "Invalid category length: 2 Category must only contain a single value",
        ),
        (
            "/category/0",
            care_plan,
            "category.coding[0].code",
            "must match the allowed category for pointer type",
        ),
        (
            "/category/0/coding/0/display",
            json!("x"),
            "category[0].coding[0].display",
            "must have a display value of 'Record headings'",
        ),
        (
            "/context/practiceSetting/coding/0/display",
            json!("Health"),
            "context.practiceSetting.coding[0]",
            "does not match the expected display for 224891009",
        ),
    ])
    .await;
}

#[tokio::test]
async fn authors_are_refused_in_the_nrls_words() {
    let ods = "https://fhir.nhs.uk/Id/ods-organization-code";
    let author =
        |system: &str, value: &str| json!({"identifier": {"system": system, "value": value}});
    assert_rules([
        (
            "/author",
            json!([author(ods, "QWO"), author(ods, "QWO")]),
            "author",
            "Invalid author length: 2 Author must only contain a single value",
        ),
        (
            "/author/0",
            author("urn:x", "QWO"),
            "author[0].identifier.system",
            "Invalid author system: 'urn:x'",
        ),
        (
            "/author/0",
            author(ods, "!!!!!"),
            "author[0].identifier.value",
            "Invalid author value: '!!!!!' Author value must be alphanumeric",
        ),
        (
            "/author/0",
            author(ods, "ABCDEFGHIJKLM"),
            "author[0].identifier.value",
            "must be less than 13 characters",
        ),
        (
            "/author/0",
            json!({"reference": "Practitioner/1"}),
            "author[0].identifier",
            "Author must have an identifier",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_practice_setting_that_is_not_known_here_passes() {
    let world = World::new();
    let setting = concept(SNOMED, "310028003", "Audiological medicine service");
    world.create("QWO", &with(pointer("QWO", NUMBER), "/context/practiceSetting", setting)).await;
}

#[tokio::test]
async fn a_file_of_practice_settings_is_all_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.json");
    let concept_of = |code: &str, display: &str| json!({"code": code, "display": display});
    let include = json!([{"system": SNOMED, "concept": [concept_of("310028003", "Audiology")]}]);
    std::fs::write(&file, json!({"compose": {"include": include}}).to_string()).unwrap();
    let mut config = crate::world::config(&folder);
    config.pointers.practice_settings = Some(file);
    let world = World::of(folder, config);
    let setting = "/context/practiceSetting";
    let known = concept(SNOMED, "310028003", "Audiology");
    world.create("QWO", &with(pointer("QWO", NUMBER), setting, known)).await;
    let other = with(pointer("QWO", NUMBER), setting, concept(SNOMED, "310028003", "Hearing"));
    let reply = world.post("QWO", PRODUCER, &other).await;
    assert!(reply.diagnostics().contains("does not match the expected display for 310028003"));
    // The pointer of a hub has one that this file leaves out.
    let reply = world.post("QWO", PRODUCER, &pointer("QWO", NUMBER)).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(reply.expression(), "context.practiceSetting.coding[0].code");
    let text = "Invalid practice setting code: 224891009 Practice Setting coding must be a member \
                of value set https://fhir.nhs.uk/England/ValueSet/England-PracticeSetting";
    assert_eq!(reply.diagnostics(), text);
}

#[tokio::test]
async fn a_document_behind_the_proxy_names_one_system() {
    let world = World::new();
    let ssp = with(pointer("QWO", NUMBER), "/content/0/attachment/url", json!("ssp://p/x"));
    let asid = |value: &str| json!({"identifier": {"system": "https://fhir.nhs.uk/Id/nhsSpineASID", "value": value}});
    let related = |list: Value| with(ssp.clone(), "/context/related", list);
    world.create("QWO", &related(json!([asid("012345678910")]))).await;
    for (sent, message) in [
        (ssp.clone(), "Missing context.related. It must be provided and contain"),
        (related(json!([{"display": "x"}])), "Missing ASID identifier. context.related must"),
        (related(json!([asid("1")])), "Invalid ASID value '1'."),
        (related(json!([asid("012345678910"), asid("1")])), "Multiple ASID identifiers provided."),
    ] {
        let reply = world.post("QWO", PRODUCER, &sent).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{message}");
        assert!(reply.diagnostics().contains(message), "{}", reply.body);
    }
}

#[tokio::test]
async fn media_types_formats_and_extensions_go_together() {
    let extension = |index: usize| pointer("QWO", NUMBER)["content"][0]["extension"][index].clone();
    assert_rules([
        (
            "/content/0/attachment/contentType",
            json!("image/png"),
            "content[0].attachment.contentType",
            "Invalid contentType: image/png. Must be",
        ),
        (
            "/content/0/attachment/contentType",
            json!("application/pdf"),
            "content[0].format.code",
            "must be 'urn:nhs-ic:unstructured' for Unstructured Document attachments.",
        ),
        (
            "/content/0/format/display",
            json!("Unstructured Document"),
            "content[0].format.display",
            "Invalid display for format code 'urn:nhs-ic:structured'. Expected",
        ),
        (
            "/content/0/extension",
            json!([extension(1)]),
            "content[0].extension",
            "Extension must have one content stability extension",
        ),
        (
            "/content/0/extension",
            json!([extension(0), extension(0)]),
            "content[0].extension",
            "Extension must have one content stability extension",
        ),
        (
            "/content/0/extension/0/valueCodeableConcept/coding/0/display",
            json!("Static"),
            "content[0].extension[0].valueCodeableConcept.coding[0].display",
            "Invalid content extension display: Static Expected display is 'Dynamic'",
        ),
    ])
    .await;
}

#[tokio::test]
async fn an_extension_of_the_wrong_shape_is_a_bad_request() {
    let world = World::new();
    let extension = "/content/0/extension";
    for (path, new, text) in [
        (
            "0/valueCodeableConcept/coding/0/code",
            "invalid",
            "Invalid content stability extension (content[0].extension[0].valueCodeableConcept.\
             coding[0].code: Input should be 'static' or 'dynamic', see: \
             https://fhir.nhs.uk/England/ValueSet/England-NRLContentStability)",
        ),
        (
            "1/valueCodeableConcept/coding/0/code",
            "NDR",
            "Invalid content retrieval extension (content[0].extension[1].valueCodeableConcept.\
             coding[0].code: Input should be 'SSP', 'Direct', 'LDR' or 'InContext', see: \
             https://fhir.nhs.uk/England/ValueSet/England-NRLRetrievalMechanism)",
        ),
    ] {
        let (status, code, said, _) =
            refused(&world, &format!("{extension}/{path}"), json!(new)).await;
        assert_eq!((status, code.as_str(), said.as_str()), (400, "BAD_REQUEST", text));
    }
}
