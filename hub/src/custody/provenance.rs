//! The Provenance that the hub writes of what it does in others' names.
//! <https://hl7.org/fhir/R4/provenance.html>

use fhir::definitions::ResourceType;
use fhir::identifier::ODS_CODE;
use fhir::instant::format_instant;
use serde_json::{Value, json};
use service::caller::Caller;
use service::refusal::Refusal;
use uuid::Uuid;

use super::{Custodian, Hand};
use crate::Hub;
use crate::interaction::content::{check, prepare};
use crate::store::write::{Action, Write};

const PARTICIPANT: &str = "http://terminology.hl7.org/CodeSystem/provenance-participant-type";

/// What was done, and who is behind it.
#[derive(Debug)]
pub struct Act<'a> {
    /// `Type/id/_history/version` of what came of it.
    pub targets: Vec<String>,
    /// The organisation whose idea it was.
    pub author: &'a str,
    /// The organisation that agreed to it.
    pub verifier: Option<&'a str>,
    /// Why.
    pub reason: &'a str,
    /// What it came of: a role (`revision`, `source`) and a reference.
    pub entities: Vec<(&'static str, String)>,
}

/// The write of its Provenance; it belongs to whoever asked.
pub fn provenance(hub: &Hub, caller: &Caller, act: &Act<'_>) -> Result<Write, Refusal> {
    let reference = |reference: &String| json!({"reference": reference});
    let agent = |role: &str, code: &str| {
        json!({
            "type": {"coding": [{"system": PARTICIPANT, "code": role}]},
            "who": {"identifier": {"system": ODS_CODE, "value": code}},
        })
    };
    let agents = [("author", Some(act.author)), ("verifier", act.verifier)];
    let agents = agents.into_iter().filter_map(|(role, code)| Some(agent(role, code?)));
    let entity = |(role, what): &(&str, String)| json!({"role": role, "what": reference(what)});
    let text = json!({
        "resourceType": "Provenance",
        "target": act.targets.iter().map(reference).collect::<Vec<Value>>(),
        "recorded": format_instant(hub.clock.now_micros()),
        "reason": [{"text": act.reason}],
        "agent": agents.collect::<Vec<Value>>(),
        "entity": act.entities.iter().map(entity).collect::<Vec<Value>>(),
    });
    let text = text.to_string().into_bytes();
    let (resource_type, id) = (ResourceType::PROVENANCE, Uuid::now_v7().to_string());
    check(&text, resource_type, resource_type.as_str())?;
    let custodian = Custodian::of(&caller.organisation, &hub.config.region.ods);
    let at = resource_type.as_str();
    let content = prepare(&text, (resource_type, &id), at, &custodian, hub)?;
    let (action, hand) = (Action::Create(content), Hand::hubs(custodian));
    Ok(Write { resource_type, id, action, if_match: None, hand })
}
