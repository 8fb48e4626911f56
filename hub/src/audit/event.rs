//! An entry of the trail as an AuditEvent, in the shape of IHE's Basic Audit Log Patterns; pure.
//! <https://hl7.org/fhir/R4/auditevent.html>, <https://profiles.ihe.net/ITI/BALP/>
//!
//! It claims no profile: BALP wants the network addresses of both sides, and no entry has them.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use fhir::identifier::ODS_CODE;
use fhir::instant::format_instant;
use fhir::reference::is_id;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::store::trail::Recorded;

/// What an entry says: of a write what was written, of all else what was asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// The request's id.
    pub request: String,
    /// The caller's organisation.
    pub organisation: String,
    /// What a write was.
    pub interaction: String,
    /// The versions that were written: `Type/id/_history/version`.
    pub entity: Vec<String>,
    /// The HTTP method.
    pub method: String,
    /// The URL, without scheme and host.
    pub target: String,
    /// The form of a POST search, or what a transaction read.
    pub detail: String,
    /// The HTTP status; 0 for a write, which was done.
    pub status: u16,
}

impl Entry {
    /// Reads an entry; one that a power cut tore says nothing.
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// The path below the base, and the query.
    pub fn url(&self) -> (&str, &str) {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let below = path.strip_prefix("/FHIR/R4").unwrap_or(path);
        (below.trim_matches('/'), query)
    }

    /// FHIR's code of what was done.
    fn code(&self) -> &str {
        if !self.interaction.is_empty() {
            return match self.interaction.strip_prefix("conditional-") {
                Some(code) => code,
                None => &self.interaction,
            };
        }
        let (path, _) = self.url();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        match (self.method.as_str(), &parts[..]) {
            (_, [.., last]) if last.starts_with('$') => "operation",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", _) => "delete",
            ("POST", []) => "batch",
            (_, [] | ["_search"]) => "search-system",
            (_, ["_history"]) => "history-system",
            ("POST", [_]) => "create",
            (_, [_, "_history"]) => "history-type",
            (_, [_, _, "_history"]) => "history-instance",
            (_, [_, _, "_history", _]) => "vread",
            (_, [_, id]) if is_id(id) => "read",
            _ => "search-type",
        }
    }

    /// What a read was of, and what a write wrote.
    fn references(&self) -> Vec<String> {
        let whole = |written: &String| written.trim_end_matches("/_history/0").to_owned();
        let mut references: Vec<String> = self.entity.iter().map(whole).collect();
        let (path, _) = self.url();
        if let [of_type, id, ref rest @ ..] = path.split('/').collect::<Vec<_>>()[..]
            && is_id(id)
            && of_type.parse::<fhir::definitions::ResourceType>().is_ok()
        {
            references.push(match rest {
                ["_history", version] if is_id(version) => {
                    format!("{of_type}/{id}/_history/{version}")
                }
                _ => format!("{of_type}/{id}"),
            });
        }
        references
    }
}

/// The AuditEvent's id.
pub fn id(lane: i64, seq: i64) -> String {
    format!("{lane}-{seq}")
}

/// The AuditEvent of an entry about these patients, recorded by the hub of this organisation.
pub fn event(at: &Recorded, patients: &[String], own: &str) -> Value {
    let entry = Entry::read(&at.entry);
    let code = entry.code();
    let action = match code {
        "create" => "C",
        "read" | "vread" => "R",
        "update" | "patch" => "U",
        "delete" => "D",
        _ => "E",
    };
    let outcome = match entry.status {
        0..400 => "0",
        400..500 => "4",
        _ => "8",
    };
    let recorded = format_instant(at.recorded);
    let asks = if entry.organisation.is_empty() {
        json!({"display": "not verified"})
    } else {
        organisation(&entry.organisation)
    };
    let mut event = json!({
        "resourceType": "AuditEvent",
        "id": id(at.lane, at.seq),
        "meta": {"versionId": "1", "lastUpdated": recorded},
        "type": coding("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest"),
        "subtype": [coding("http://hl7.org/fhir/restful-interaction", code)],
        "action": action,
        "recorded": recorded,
        "outcome": outcome,
        "agent": [
            agent("110153", "Source Role ID", &asks, true),
            agent("110152", "Destination Role ID", &organisation(own), false),
        ],
        "source": {
            "observer": organisation(own),
            "type": [coding("http://terminology.hl7.org/CodeSystem/security-source-type", "4")],
        },
    });
    let entities = entities(&entry, code, patients);
    if !entities.is_empty() {
        event["entity"] = entities.into();
    }
    event
}

fn entities(entry: &Entry, code: &str, patients: &[String]) -> Vec<Value> {
    let object = |kind: &str, role: &str| {
        let types = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
        let roles = "http://terminology.hl7.org/CodeSystem/object-role";
        json!({"type": coding(types, kind), "role": coding(roles, role)})
    };
    let mut entities = Vec::new();
    for patient in patients {
        let mut entity = object("1", "1");
        entity["what"] = json!({"reference": format!("Patient/{patient}")});
        entities.push(entity);
    }
    for reference in entry.references() {
        if !patients.iter().any(|id| reference.strip_prefix("Patient/") == Some(id)) {
            let mut entity = object("2", "4");
            entity["what"] = json!({"reference": reference});
            entities.push(entity);
        }
    }
    let is_asked = entry.target.contains('?') || !entry.detail.is_empty();
    if is_asked || code.starts_with("search") || code == "operation" {
        let separator = if entry.detail.is_empty() { "" } else { "\n" };
        let asked = format!("{} {}{separator}{}", entry.method, entry.target, entry.detail);
        let mut entity = object("2", "24");
        entity["query"] = BASE64_STANDARD.encode(asked).into();
        entities.push(entity);
    }
    if !entry.request.is_empty() {
        let system = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType";
        let what = json!({"identifier": {"value": entry.request}});
        entities.push(json!({"what": what, "type": coding(system, "XrequestId")}));
    }
    entities
}

fn agent(code: &str, display: &str, who: &Value, requestor: bool) -> Value {
    let mut coding = coding("http://dicom.nema.org/resources/ontology/DCM", code);
    coding["display"] = display.into();
    json!({"type": {"coding": [coding]}, "who": who, "requestor": requestor})
}

fn organisation(ods: &str) -> Value {
    json!({"type": "Organization", "identifier": {"system": ODS_CODE, "value": ods}})
}

fn coding(system: &str, code: &str) -> Value {
    json!({"system": system, "code": code})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_by_its_url() {
        let code = |method: &str, target: &str| {
            let target = format!("/FHIR/R4{target}");
            let entry = Entry { method: method.into(), target, ..Entry::default() };
            entry.code().to_owned()
        };
        let cases = [
            ("GET", "/Patient/a", "read"),
            ("HEAD", "/Patient/a", "read"),
            ("GET", "/Patient/a/_history/2", "vread"),
            ("GET", "/Patient/a/_history", "history-instance"),
            ("GET", "/Patient/_history", "history-type"),
            ("GET", "/_history", "history-system"),
            ("GET", "/Patient?name=a", "search-type"),
            ("POST", "/Patient/_search", "search-type"),
            ("GET", "/Patient/a/Observation", "search-type"),
            ("GET", "?_type=Patient", "search-system"),
            ("POST", "/Patient", "create"),
            ("POST", "", "batch"),
            ("PUT", "/Patient?identifier=a", "update"),
            ("DELETE", "/Patient/a", "delete"),
            ("GET", "/Patient/a/$everything", "operation"),
        ];
        for (method, target, expected) in cases {
            assert_eq!(code(method, target), expected, "{method} {target}");
        }
    }
}
