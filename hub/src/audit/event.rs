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
use service::caller::mandate::Asker;

use crate::store::trail::Recorded;

/// What an entry says: of a write what was written, of all else what was asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// The request's id.
    pub request: String,
    /// The caller.
    #[serde(flatten)]
    pub asker: Asker,
    /// The organisation that the client certificate names, if no one could be identified.
    pub connected: Option<String>,
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
    /// Why no one could be identified.
    pub refused: Option<String>,
    /// The ids of the patients whose data were written or shown.
    pub patients: Vec<String>,
    /// Why a resource was erased.
    pub reason: Option<String>,
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

    /// The ODS codes of those who took part: who asked, and through whose gateway.
    pub fn agents(&self) -> impl Iterator<Item = &str> {
        let Self { asker, connected, .. } = self;
        let asked = Some(asker.organisation.as_str()).filter(|ods| !ods.is_empty());
        let gateway = asker.gateway.as_deref().filter(|gateway| Some(*gateway) != asked);
        asked.into_iter().chain(gateway).chain(connected.as_deref())
    }

    /// FHIR's code of what was done.
    fn code(&self) -> &str {
        if !self.interaction.is_empty() {
            return match self.interaction.as_str() {
                "purge" => "delete",
                interaction => interaction.strip_prefix("conditional-").unwrap_or(interaction),
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

/// The AuditEvent of an entry, recorded by the hub of this organisation.
pub fn event(at: &Recorded, own: &str) -> Value {
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
    let mut event = json!({
        "resourceType": "AuditEvent",
        "id": id(at.lane, at.seq),
        "meta": {"versionId": "1", "lastUpdated": recorded},
        "type": coding("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest"),
        "subtype": [coding("http://hl7.org/fhir/restful-interaction", code)],
        "action": action,
        "recorded": recorded,
        "outcome": outcome,
        "agent": agents(&entry, own),
        "source": {
            "observer": organisation(own),
            "type": [coding("http://terminology.hl7.org/CodeSystem/security-source-type", "4")],
        },
    });
    if let Some(said) = entry.refused.as_ref().or(entry.reason.as_ref()) {
        event["outcomeDesc"] = said.as_str().into();
    }
    if let Some(purpose) = entry.asker.purpose {
        let reasons = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
        event["purposeOfEvent"] = json!([{"coding": [coding(reasons, purpose.code())]}]);
    }
    let entities = entities(&entry, code, &at.patients);
    if !entities.is_empty() {
        event["entity"] = entities.into();
    }
    event
}

/// Who asks, in a user's name if there is one, through a gateway or not, and who answers.
fn agents(entry: &Entry, own: &str) -> Vec<Value> {
    let Asker { organisation: asks, system, user, role, gateway, .. } = &entry.asker;
    let client = match (asks.as_str(), &entry.connected) {
        ("", Some(connected)) => organisation(connected),
        ("", None) => json!({"display": "not verified"}),
        (asks, _) => organisation(asks),
    };
    let mut client = agent("110153", "Source Role ID", &client, user.is_none());
    if !system.is_empty() {
        client["name"] = system.as_str().into();
    }
    let mut agents =
        vec![client, agent("110152", "Destination Role ID", &organisation(own), false)];
    if let Some(user) = user {
        let types = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
        let mut person = json!({
            "type": {"coding": [coding(types, "IRCP")]},
            "who": {"identifier": {"value": user}},
            "requestor": true,
        });
        if let Some(role) = role {
            person["role"] = json!([{"text": role}]);
        }
        agents.push(person);
    }
    if let Some(gateway) = gateway.as_deref() {
        let types = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
        let kind = json!({"coding": [coding(types, "TRANS")]});
        agents.push(json!({"type": kind, "who": organisation(gateway), "requestor": false}));
    }
    agents
}

/// What was written or read, whose it was, and what was asked.
fn entities(entry: &Entry, code: &str, patients: &str) -> Vec<Value> {
    let patients: Vec<&str> = patients.split_whitespace().collect();
    let object = |kind: &str, role: &str| {
        let types = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
        let roles = "http://terminology.hl7.org/CodeSystem/object-role";
        json!({"type": coding(types, kind), "role": coding(roles, role)})
    };
    let mut entities = Vec::new();
    for patient in &patients {
        let mut entity = object("1", "1");
        entity["what"] = json!({"reference": format!("Patient/{patient}")});
        entities.push(entity);
    }
    for reference in entry.references() {
        let of_patient = reference.strip_prefix("Patient/");
        if !of_patient.is_some_and(|id| patients.contains(&id)) {
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
