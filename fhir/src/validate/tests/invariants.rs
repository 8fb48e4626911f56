//! One breach of each invariant, and where it is said to be.

use super::super::validate;

/// Key, expression, resource: its type and, after a space, its other members.
const BREACHES: &[(&str, &str, &str)] = &[
    ("ext-1", "Patient.extension[0]", r#"Patient "extension":[{"url":"a"}]"#),
    (
        "ext-1",
        "Patient.birthDate.extension[0]",
        r#"Patient "_birthDate":{"extension":[{"url":"a","valueCode":"b","extension":[{"url":"c","valueCode":"d"}]}]}"#,
    ),
    ("cpt-2", "Patient.telecom[0]", r#"Patient "telecom":[{"value":"1"}]"#),
    ("att-1", "Patient.photo[0]", r#"Patient "photo":[{"data":"YQ=="}]"#),
    (
        "per-1",
        "Patient.name[0].period",
        r#"Patient "name":[{"period":{"start":"2001","end":"2000"}}]"#,
    ),
    ("qty-3", "Observation.value", r#"Observation CODED,"valueQuantity":{"value":1,"code":"mg"}"#),
    ("rat-1", "Observation.value", r#"Observation CODED,"valueRatio":{"numerator":{"value":1}}"#),
    ("rat-1", "Observation.value", r#"Observation CODED,"valueRatio":{"id":"a"}"#),
    (
        "rng-2",
        "Observation.value",
        r#"Observation CODED,"valueRange":{"low":{"value":2,"unit":"mg"},"high":{"value":1.5,"unit":"mg"}}"#,
    ),
    ("age-1", "Condition.onset", r#"Condition SUBJECT,"onsetAge":{"value":1}"#),
    (
        "age-1",
        "Condition.onset",
        r#"Condition SUBJECT,"onsetAge":{"value":0,"code":"a","system":"http://unitsofmeasure.org"}"#,
    ),
    (
        "age-1",
        "Condition.onset",
        r#"Condition SUBJECT,"onsetAge":{"value":1,"code":"a","system":"urn:a"}"#,
    ),
    (
        "cnt-3",
        "Patient.extension[0].value",
        r#"Patient "extension":[{"url":"a","valueCount":{"value":1.5,"code":"1","system":"http://unitsofmeasure.org"}}]"#,
    ),
    (
        "cnt-3",
        "Patient.extension[0].value",
        r#"Patient "extension":[{"url":"a","valueCount":{"value":1}}]"#,
    ),
    (
        "dis-1",
        "Patient.extension[0].value",
        r#"Patient "extension":[{"url":"a","valueDistance":{"value":1}}]"#,
    ),
    (
        "drt-1",
        "Patient.extension[0].value",
        r#"Patient "extension":[{"url":"a","valueDuration":{"value":1,"code":"s","system":"urn:a"}}]"#,
    ),
    (
        "drt-1",
        "Patient.extension[0].value",
        r#"Patient "extension":[{"url":"a","valueDuration":{"code":"s","system":"http://unitsofmeasure.org"}}]"#,
    ),
    ("tim-1", "REPEAT", r#"REPEAT "duration":1"#),
    ("tim-2", "REPEAT", r#"REPEAT "period":1"#),
    ("tim-4", "REPEAT.duration", r#"REPEAT "duration":-1,"durationUnit":"h""#),
    ("tim-5", "REPEAT.period", r#"REPEAT "period":-0.5,"periodUnit":"h""#),
    ("tim-6", "REPEAT", r#"REPEAT "periodMax":1"#),
    ("tim-7", "REPEAT", r#"REPEAT "durationMax":1"#),
    ("tim-8", "REPEAT", r#"REPEAT "countMax":1"#),
    ("tim-9", "REPEAT", r#"REPEAT "offset":1"#),
    ("tim-9", "REPEAT.offset", r#"REPEAT "offset":1,"when":["ACM","C"]"#),
    ("tim-10", "REPEAT", r#"REPEAT "when":["ACM"],"timeOfDay":["10:00:00"]"#),
    (
        "exp-1",
        "Patient.extension[0].value",
        r#"Patient "extension":[{"url":"a","valueExpression":{"language":"text/cql"}}]"#,
    ),
    (
        "drq-1",
        "Patient.extension[0].value.codeFilter[0]",
        r#"Patient "extension":[{"url":"a","valueDataRequirement":{"type":"Patient","codeFilter":[{"path":"a","searchParam":"b"}]}}]"#,
    ),
    (
        "drq-2",
        "Patient.extension[0].value.dateFilter[0]",
        r#"Patient "extension":[{"url":"a","valueDataRequirement":{"type":"Patient","dateFilter":[{"id":"a"}]}}]"#,
    ),
    (
        "trd-1",
        "Patient.extension[0].value",
        r#"Patient "extension":[{"url":"a","valueTriggerDefinition":{"type":"periodic","timingDate":"2000","data":[{"type":"Patient"}]}}]"#,
    ),
    (
        "trd-2",
        "Patient.extension[0].value",
        r#"Patient "extension":[{"url":"a","valueTriggerDefinition":{"type":"periodic","condition":{"language":"text/cql","expression":"a"}}}]"#,
    ),
    (
        "ait-1",
        "AllergyIntolerance.clinicalStatus",
        r#"AllergyIntolerance "patient":{"display":"a"}"#,
    ),
    (
        "ait-2",
        "AllergyIntolerance.clinicalStatus",
        r#"AllergyIntolerance "patient":{"display":"a"},"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]},"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-verification","code":"entered-in-error"}]}"#,
    ),
    ("con-1", "Condition.stage[0]", r#"Condition SUBJECT,"stage":[{"type":{"text":"a"}}]"#),
    ("con-2", "Condition.evidence[0]", r#"Condition SUBJECT,"evidence":[{"id":"a"}]"#),
    ("con-4", "Condition.clinicalStatus", r#"Condition SUBJECT,"abatementDateTime":"2000""#),
    (
        "con-4",
        "Condition.clinicalStatus",
        r#"Condition SUBJECT,"abatementDateTime":"2000","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]}"#,
    ),
    (
        "con-5",
        "Condition.clinicalStatus",
        r#"Condition SUBJECT,"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]},"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"entered-in-error"}]}"#,
    ),
    (
        "fhs-1",
        "FamilyMemberHistory",
        r#"FamilyMemberHistory "status":"completed","patient":{"display":"a"},"relationship":{"text":"a"},"ageString":"1","bornString":"2000""#,
    ),
    (
        "fhs-2",
        "FamilyMemberHistory",
        r#"FamilyMemberHistory "status":"completed","patient":{"display":"a"},"relationship":{"text":"a"},"estimatedAge":true"#,
    ),
    (
        "ras-2",
        "RiskAssessment.prediction[0].probability",
        r#"RiskAssessment "status":"final","subject":{"display":"a"},"prediction":[{"probabilityDecimal":100.1}]"#,
    ),
    (
        "obs-3",
        "Observation.referenceRange[0]",
        r#"Observation CODED,"referenceRange":[{"type":{"text":"a"}}]"#,
    ),
    (
        "obs-6",
        "Observation",
        r#"Observation CODED,"valueString":"a","dataAbsentReason":{"text":"a"}"#,
    ),
    (
        "obs-7",
        "Observation.component[1]",
        r#"Observation "status":"final","valueString":"a","component":[{"code":{"coding":[{"system":"a","code":"c"}]}},{"code":{"coding":[{"system":"a","code":"b"}]}}],"code":{"coding":[{"system":"a","code":"b"}]}"#,
    ),
    ("msq-3", "MolecularSequence.coordinateSystem", r#"MolecularSequence "coordinateSystem":2"#),
    (
        "msq-5",
        "MolecularSequence.referenceSeq",
        r#"MolecularSequence "coordinateSystem":1,"referenceSeq":{"genomeBuild":"a"}"#,
    ),
    (
        "mad-1",
        "MedicationAdministration.dosage",
        r#"MedicationAdministration "status":"completed","medicationReference":{"display":"a"},"subject":{"display":"a"},"effectiveDateTime":"2000","dosage":{"text":"a"}"#,
    ),
    (
        "mdd-1",
        "MedicationDispense.whenHandedOver",
        r#"MedicationDispense "status":"completed","medicationReference":{"display":"a"},"whenPrepared":"2000-01-03","whenHandedOver":"2000-01-01T10:00:00Z""#,
    ),
    (
        "imm-1",
        "Immunization.education[0]",
        r#"Immunization "status":"completed","vaccineCode":{"text":"a"},"patient":{"display":"a"},"occurrenceString":"a","education":[{"publicationDate":"2000"}]"#,
    ),
    (
        "imr-1",
        "ImmunizationRecommendation.recommendation[0]",
        r#"ImmunizationRecommendation "patient":{"display":"a"},"date":"2000","recommendation":[{"forecastStatus":{"text":"a"}}]"#,
    ),
    (
        "cpl-3",
        "CarePlan.activity[0]",
        r#"CarePlan "status":"active","intent":"plan","subject":{"display":"a"},"activity":[{"reference":{"display":"a"},"detail":{"status":"scheduled"}}]"#,
    ),
    (
        "gol-1",
        "Goal.target[0]",
        r#"Goal "lifecycleStatus":"active","description":{"text":"a"},"subject":{"display":"a"},"target":[{"detailString":"a"}]"#,
    ),
    (
        "prr-1",
        "ServiceRequest",
        r#"ServiceRequest "status":"active","intent":"order","subject":{"display":"a"},"orderDetail":[{"text":"a"}]"#,
    ),
    (
        "rqg-1",
        "RequestGroup.action[0]",
        r#"RequestGroup "status":"active","intent":"order","action":[{"title":"a"}]"#,
    ),
    (
        "app-1",
        "Appointment.participant[0]",
        r#"Appointment "status":"proposed","participant":[{"status":"accepted"}]"#,
    ),
    (
        "app-2",
        "Appointment",
        r#"Appointment "status":"proposed","start":"2000-01-01T00:00:00Z",PARTICIPANT"#,
    ),
    ("app-3", "Appointment", r#"Appointment "status":"booked",PARTICIPANT"#),
    (
        "app-4",
        "Appointment.cancelationReason",
        r#"Appointment "status":"proposed","cancelationReason":{"text":"a"},PARTICIPANT"#,
    ),
    (
        "apr-1",
        "AppointmentResponse",
        r#"AppointmentResponse "appointment":{"display":"a"},"participantStatus":"accepted""#,
    ),
    ("cmp-1", "Composition.section[0]", r#"Composition COMPOSED,"section":[{"title":"a"}]"#),
    (
        "cmp-2",
        "Composition.section[0]",
        r#"Composition COMPOSED,"section":[{"entry":[{"display":"a"}],"emptyReason":{"text":"a"}}]"#,
    ),
    (
        "lst-1",
        "List",
        r#"List "status":"current","mode":"working","entry":[{"item":{"display":"a"}}],"emptyReason":{"text":"a"}"#,
    ),
    (
        "lst-2",
        "List.entry[0]",
        r#"List "status":"current","mode":"working","entry":[{"item":{"display":"a"},"deleted":true}]"#,
    ),
    (
        "lst-3",
        "List.entry[1]",
        r#"List "status":"current","mode":"snapshot","entry":[{"item":{"display":"a"}},{"item":{"display":"a"},"date":"2000"}]"#,
    ),
    (
        "qrs-1",
        "QuestionnaireResponse.item[0]",
        r#"QuestionnaireResponse "status":"completed","item":[{"linkId":"a","answer":[{"valueString":"a"}],"item":[{"linkId":"b"}]}]"#,
    ),
    ("pat-1", "Patient.contact[0]", r#"Patient "contact":[{"gender":"male"}]"#),
    ("org-1", "Organization", r#"Organization "active":true"#),
    (
        "org-2",
        "Organization.address[1]",
        r#"Organization "name":"a","address":[{"use":"work"},{"use":"home"}]"#,
    ),
    (
        "org-3",
        "Organization.telecom[0]",
        r#"Organization "name":"a","telecom":[{"use":"home","system":"phone"}]"#,
    ),
    (
        "grp-1",
        "Group.member",
        r#"Group "type":"person","actual":false,"member":[{"entity":{"display":"a"}}]"#,
    ),
    (
        "ppc-1",
        "Consent",
        r#"Consent "status":"active","scope":{"text":"a"},"category":[{"text":"a"}]"#,
    ),
    (
        "ces-1",
        "CoverageEligibilityResponse.insurance[0].item[0]",
        r#"CoverageEligibilityResponse "status":"active","purpose":["benefits"],"patient":{"display":"a"},"created":"2000","request":{"display":"a"},"outcome":"complete","insurer":{"display":"a"},"insurance":[{"coverage":{"display":"a"},"item":[{"name":"a"}]}]"#,
    ),
    ("ipn-1", "InsurancePlan", r#"InsurancePlan "status":"active""#),
    ("inv-1", "Parameters.parameter[0]", r#"Parameters "parameter":[{"name":"a"}]"#),
    (
        "inv-1",
        "Parameters.parameter[0].part[0]",
        r#"Parameters "parameter":[{"name":"a","part":[{"name":"b","valueCode":"c","resource":{"resourceType":"Patient"}}]}]"#,
    ),
    ("bdl-1", "Bundle.total", r#"Bundle "type":"collection","total":1"#),
    (
        "bdl-2",
        "Bundle.entry[1]",
        r#"Bundle "entry":[PATIENT,{"search":{"mode":"match"},"resource":{"resourceType":"Patient"}}],"type":"collection""#,
    ),
    (
        "bdl-3",
        "Bundle.entry[0]",
        r#"Bundle "type":"collection","entry":[{"request":{"method":"GET","url":"a"}}]"#,
    ),
    (
        "bdl-3",
        "Bundle.entry[0]",
        r#"Bundle "type":"history","entry":[{"response":{"status":"200"}}]"#,
    ),
    ("bdl-4", "Bundle.entry[0]", r#"Bundle "type":"batch-response","entry":[PATIENT]"#),
    (
        "bdl-4",
        "Bundle.entry[0]",
        r#"Bundle "type":"searchset","entry":[{"response":{"status":"200"}}]"#,
    ),
    ("bdl-5", "Bundle.entry[0]", r#"Bundle "type":"collection","entry":[{"fullUrl":"urn:a"}]"#),
    (
        "bdl-7",
        "Bundle.entry[2]",
        r#"Bundle "type":"collection","entry":[{"fullUrl":"urn:a","resource":{"resourceType":"Patient"}},{"fullUrl":"urn:a","resource":{"resourceType":"Patient","meta":{"versionId":"1"}}},{"fullUrl":"urn:a","resource":{"meta":{"versionId":"1"},"resourceType":"Patient"}}]"#,
    ),
    (
        "bdl-8",
        "Bundle.entry[0].fullUrl",
        r#"Bundle "type":"collection","entry":[{"fullUrl":"http://a/Patient/1/_history/1","resource":{"resourceType":"Patient"}}]"#,
    ),
    (
        "bdl-9",
        "Bundle.identifier",
        r#"Bundle "type":"document","timestamp":"2000-01-01T00:00:00Z","identifier":{"value":"a"},"entry":[COMPOSITION]"#,
    ),
    (
        "bdl-10",
        "Bundle.timestamp",
        r#"Bundle "type":"document","identifier":{"system":"a","value":"a"},"entry":[COMPOSITION]"#,
    ),
    (
        "bdl-11",
        "Bundle.entry[0]",
        r#"Bundle "type":"document","timestamp":"2000-01-01T00:00:00Z","identifier":{"system":"a","value":"a"},"entry":[PATIENT,COMPOSITION]"#,
    ),
    ("bdl-12", "Bundle.entry[0]", r#"Bundle "type":"message","entry":[PATIENT]"#),
];

const SHORT: [(&str, &str); 7] = [
    ("CODED", r#""status":"final","code":{"text":"a"}"#),
    ("SUBJECT", r#""subject":{"display":"a"}"#),
    ("PARTICIPANT", r#""participant":[{"status":"accepted","type":[{"text":"a"}]}]"#),
    ("COMPOSITION", r#"{"resource":{"resourceType":"Composition",COMPOSED}}"#),
    (
        "COMPOSED",
        r#""status":"final","type":{"text":"a"},"date":"2000","author":[{"display":"a"}],"title":"a""#,
    ),
    ("PATIENT", r#"{"resource":{"resourceType":"Patient"}}"#),
    ("REPEAT", "Patient.extension[0].value.repeat"),
];

fn long(text: &str) -> String {
    SHORT.iter().fold(text.to_owned(), |text, (short, long)| text.replace(short, long))
}

/// The one thing that is wrong with a resource, as `expression: message`.
fn broken(members: &str) -> String {
    let text = match members.split_once(' ').unwrap() {
        ("REPEAT", members) => format!(
            r#"{{"resourceType":"Patient","extension":[{{"url":"a","valueTiming":{{"repeat":{{{members}}}}}}}]}}"#
        ),
        (name, members) => format!(r#"{{"resourceType":"{name}",{}}}"#, long(members)),
    };
    let survey = validate(text.as_bytes()).unwrap();
    let issues = survey.issues.iter().map(|issue| {
        let code = serde_json::to_string(&issue.code).unwrap();
        format!("{} {code} {}", issue.expression, issue.message)
    });
    issues.collect::<Vec<_>>().join("|")
}

#[test]
fn each_breach_is_named_with_its_key_where_it_is() {
    for (key, expression, members) in BREACHES {
        let found = broken(members);
        let start = format!("{} \"invariant\" ", long(expression));
        let end = format!("({key})");
        assert!(found.starts_with(&start) && found.ends_with(&end), "{key} {members}: {found}");
        assert!(!found.contains('|'), "{key} {members}: {found}");
    }
}

#[test]
fn every_rule_of_the_table_has_a_breach_that_shows_it() {
    let table = include_str!("../rules/presence.tsv");
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let key = line.split('\t').next().unwrap();
        assert!(BREACHES.iter().any(|(known, ..)| *known == key), "{key}");
    }
}

#[test]
fn periods_are_judged_only_by_what_their_precision_tells() {
    for (start, end, broken) in [
        ("2000", "2000", false),
        ("2000-06-01", "2000", false),
        ("2000", "2000-01-01", false),
        ("2001", "2000-12-31", true),
        ("2000-01-02", "2000-01-01", true),
        ("2000-01-01T10:00:00Z", "2000-01-01T10:00:00Z", false),
        ("2000-01-01T10:00:01Z", "2000-01-01T10:00:00Z", true),
        ("2000-01-01T10:00:00+01:00", "2000-01-01T09:30:00Z", false),
        ("2000-01-01T10:00:00Z", "2000-01-01T10:30:00+01:00", true),
        ("2000-01-01T10:00:00.5Z", "2000-01-01T10:00:00Z", false),
        ("2000-01-01T10:00:00Z", "2000-01-01", false),
        // A date without a zone may have begun or ended elsewhere.
        ("2000-01-01", "2000-01-01T00:00:00+14:00", false),
        ("2000-01-03", "2000-01-01T00:00:00Z", true),
        ("2000-01-02T11:00:00Z", "2000-01-01", false),
    ] {
        let text = format!(
            r#"{{"resourceType":"Patient","name":[{{"period":{{"end":"{end}","start":"{start}"}}}}]}}"#
        );
        let survey = validate(text.as_bytes()).unwrap();
        assert_eq!(!survey.issues.is_empty(), broken, "{start} {end}");
    }
}

#[test]
fn what_the_rules_allow_passes() {
    for members in [
        r#"Observation CODED,"valueRange":{"low":{"value":2,"unit":"mg"},"high":{"value":1,"unit":"g"}}"#,
        r#"Observation CODED,"valueRatio":{"extension":[{"url":"a","valueCode":"b"}]}"#,
        r#"Observation "status":"final","valueString":"a","code":{"text":"a"},"component":[{"code":{"text":"a"}}]"#,
        r#"Condition SUBJECT,"onsetAge":{"value":1,"code":"a","system":"http://unitsofmeasure.org"}"#,
        r#"AllergyIntolerance "patient":{"display":"a"},"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-verification","code":"entered-in-error"}]}"#,
        r#"Condition SUBJECT,"abatementDateTime":"2000","clinicalStatus":{"coding":[{"code":"resolved","system":"http://terminology.hl7.org/CodeSystem/condition-clinical"}]}"#,
        r#"Group "type":"person","member":[{"entity":{"display":"a"}}],"actual":true"#,
        r#"Appointment "status":"cancelled","cancelationReason":{"text":"a"},PARTICIPANT"#,
        r#"Bundle "type":"document","timestamp":"2000-01-01T00:00:00Z","identifier":{"system":"a","value":"a"},"entry":[COMPOSITION,PATIENT]"#,
        // Whoever processes these says what is missing of each entry.
        r#"Bundle "type":"batch","entry":[PATIENT]"#,
        r#"Bundle "type":"transaction","entry":[PATIENT]"#,
    ] {
        assert_eq!(broken(members), "", "{members}");
    }
}
