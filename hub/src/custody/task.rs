//! Tasks by which organisations ask each other for something, and the hub does it: an amendment is
//! proposed to a resource's custodian, or custody is offered to another organisation.
//! <https://hl7.org/fhir/R4/task.html>
//!
//! | code (`urn:shared-record:task`) | asks for | of whom |
//! |---|---|---|
//! | `amendment-proposal` | a change of one resource, at the version that it is about | its custodian |
//! | `custody-transfer` | custody of resources to be taken over | the organisation that the custodian names |
//!
//! | status | how it comes to be |
//! |---|---|
//! | `requested` | the Task is created; from then on it is changed by operations alone |
//! | `received` | `$receive`, by its owner |
//! | `completed` | `$accept`, by its owner: what was asked for is done in the same transaction |
//! | `rejected` | `$reject`, by its owner, with a reason; `$log-disagreement` adds the requester's note |
//! | `on-hold` | `$accept`, too late: what it is about has changed |

use fhir::definitions::ResourceType;
use fhir::identifier::{ODS_CODE, OdsCode};
use fhir::instant::format_instant;
use fhir::json::push_string;
use fhir::outcome::{Issue, IssueCode};
use fhir::reference::Reference;
use fhir::tree::Tree;
use http::StatusCode;
use serde_json::{Value, json};
use service::body::RESOURCE_BYTES_MAX;
use service::caller::Caller;
use service::refusal::Refusal;

use super::amendment::Proposal;
use super::transfer::Offer;
use super::{Custodian, Hand};
use crate::Hub;
use crate::error::HubError;
use crate::interaction::content::{check, prepare};
use crate::interaction::footing::Footing;
use crate::interaction::perform::{Planned, Told};
use crate::store::draft::members;
use crate::store::write::{Action, Content, Write};

/// The type of such Tasks.
pub const TASK: ResourceType = ResourceType::TASK;
/// The system of the codes by which they and their inputs are known.
pub const SYSTEM: &str = "urn:shared-record:task";
/// A change of a resource, proposed to its custodian.
pub const AMENDMENT: &str = "amendment-proposal";
/// Custody of resources, offered to another organisation.
pub const TRANSFER: &str = "custody-transfer";

/// What a Task of ours asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Amendment,
    Transfer,
}

/// Whether a Task asks for something of ours.
pub fn is_ours(text: &[u8]) -> bool {
    Tree::parse(text).is_ok_and(|task| asks(&task))
}

/// The same of one that is read already.
pub fn asks(task: &Tree<'_>) -> bool {
    task.get("code").is_some_and(|code| ours(code).is_some())
}

/// What a Task of ours asks for; 422 if it is none.
pub fn kind(task: &Tree<'_>, at: &str) -> Result<Kind, Refusal> {
    match task.get("code").and_then(ours) {
        Some(AMENDMENT) => Ok(Kind::Amendment),
        Some(TRANSFER) => Ok(Kind::Transfer),
        _ => {
            let text = format!(
                "The code must be {AMENDMENT} or {TRANSFER}, of the system {SYSTEM}: the hub does \
                 nothing by any other."
            );
            Err(invalid(&format!("{at}.code"), IssueCode::NotSupported, text))
        }
    }
}

/// The code of our system in a `CodeableConcept`.
fn ours<'t>(concept: &'t Tree<'_>) -> Option<&'t str> {
    let codings = concept.get("coding").map_or(&[][..], Tree::items);
    let ours = codings.iter().find(|coding| coding.text("system") == Some(SYSTEM));
    ours.map(|coding| coding.text("code").unwrap_or_default())
}

/// The inputs of a Task of ours that have this code, each with its place.
pub fn inputs<'t, 'a>(
    task: &'t Tree<'a>,
    code: &'static str,
) -> impl Iterator<Item = (usize, &'t Tree<'a>)> {
    let inputs = task.get("input").map_or(&[][..], Tree::items).iter().enumerate();
    inputs.filter(move |(_, input)| input.get("type").and_then(ours) == Some(code))
}

/// A concept of ours.
pub fn concept(code: &str) -> Value {
    json!({"coding": [{"system": SYSTEM, "code": code}]})
}

/// `Type/id`, perhaps with `/_history/version`, of this record.
pub fn local(reference: &str) -> Option<(ResourceType, String, Option<i64>)> {
    let Reference::Relative { resource_type, id, version } = Reference::parse(reference) else {
        return None;
    };
    let version = version.map(str::parse).transpose().ok()?;
    Some((resource_type.parse().ok()?, id.to_owned(), version))
}

/// An organisation as a Task refers to it.
pub fn organisation(code: &str) -> Value {
    json!({"identifier": {"system": ODS_CODE, "value": code}})
}

/// The organisation that a member of a Task refers to.
pub fn party(task: &Tree<'_>, member: &str) -> Option<OdsCode> {
    let identifier = task.get(member)?.get("identifier")?;
    if identifier.text("system") != Some(ODS_CODE) {
        return None;
    }
    identifier.text("value")?.parse().ok()
}

/// 422 at an element.
pub fn invalid(at: &str, code: IssueCode, text: impl Into<String>) -> Refusal {
    let issue = Issue::error(code, text.into()).at(at);
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, issue)
}

/// What is asked for, looked up.
#[derive(Debug, Clone)]
pub enum Order {
    /// An amendment.
    Amendment(Proposal),
    /// A transfer of custody.
    Transfer(Offer),
}

impl Order {
    /// Reads a Task that is to be created, and looks at what it is about; `at` is where it stands.
    pub async fn read(footing: &mut Footing<'_>, text: &[u8], at: &str) -> Result<Self, HubError> {
        let task = Tree::parse(text).map_err(|error| Refusal::internal(&error))?;
        match kind(&task, at)? {
            Kind::Amendment => Ok(Self::Amendment(Proposal::read(footing, &task, at).await?)),
            Kind::Transfer => Ok(Self::Transfer(Offer::read(footing, &task, at).await?)),
        }
    }

    /// The Task as it is created under `id`.
    pub fn plan(
        &self,
        hub: &Hub,
        caller: &Caller,
        text: &[u8],
        id: String,
    ) -> Result<Planned, Refusal> {
        let more = match self {
            Self::Amendment(proposal) => proposal.members(hub)?,
            Self::Transfer(offer) => offer.members(),
        };
        Ok(Planned { writes: vec![requested(hub, caller, text, id, more)?], told: Told::Stored })
    }
}

/// Members of a Task as JSON text; those without a value go.
pub type Changes = Vec<(&'static str, Option<String>)>;

/// A new Task: what it says of who asks and where it stands is the hub's.
pub fn requested(
    hub: &Hub,
    caller: &Caller,
    text: &[u8],
    id: String,
    more: Changes,
) -> Result<Write, Refusal> {
    let now = json!(format_instant(hub.clock.now_micros())).to_string();
    let mut changes: Changes = vec![
        ("status", Some(r#""requested""#.into())),
        ("intent", Some(r#""proposal""#.into())),
        ("authoredOn", Some(now.clone())),
        ("lastModified", Some(now)),
        ("requester", Some(organisation(caller.organisation.as_str()).to_string())),
    ];
    let settled = ["output", "businessStatus", "statusReason", "executionPeriod"];
    changes.extend(settled.map(|name| (name, None)));
    changes.extend(more);
    let text = with(text, changes).map_err(|error| Refusal::internal(&error))?;
    let custodian = Custodian::of(&caller.organisation, &hub.config.region.ods);
    let content = stored(hub, &id, &text, &custodian)?;
    let (action, hand) = (Action::Create(content), Hand::hubs(custodian));
    Ok(Write { resource_type: TASK, id, action, if_match: None, hand })
}

/// A Task's text, checked as any that is stored.
pub fn stored(hub: &Hub, id: &str, text: &[u8], custodian: &Custodian) -> Result<Content, Refusal> {
    if text.len() > RESOURCE_BYTES_MAX {
        let text =
            "The Task would be larger than a resource may be: propose a patch, or a shorter one.";
        return Err(Refusal::error(StatusCode::PAYLOAD_TOO_LARGE, IssueCode::TooLong, text));
    }
    check(text, TASK, TASK.as_str())?;
    prepare(text, (TASK, id), TASK.as_str(), custodian, hub)
}

/// A text with these members in the place of its own.
pub fn with(text: &[u8], changes: Changes) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = vec![b'{'];
    let mut member = |name: &str, value: &str| {
        if out.len() > 1 {
            out.push(b',');
        }
        push_string(&mut out, name);
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    };
    for (name, value) in members(text)? {
        // An element's extensions go with it.
        let element = name.strip_prefix('_').unwrap_or(&name);
        if !changes.iter().any(|(changed, _)| *changed == element) {
            member(&name, value.get());
        }
    }
    for (name, value) in &changes {
        if let Some(value) = value {
            member(name, value);
        }
    }
    out.push(b'}');
    Ok(out)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_task_of_ours_is_known_however_it_is_written() {
        for (code, ours) in [
            (r#"{"coding":[{"system":"urn:shared-record:task","code":"x"}]}"#, true),
            (r#"{"coding":[{"code":"x"},{"system":"urn:shared\u002drecord:task"}]}"#, true),
            (r#"{"coding":[{"system":"urn:other","code":"amendment-proposal"}]}"#, false),
            (r#"{"text":"urn:shared-record:task"}"#, false),
        ] {
            let text = format!(r#"{{"resourceType":"Task","code":{code}}}"#);
            assert_eq!(is_ours(text.as_bytes()), ours, "{code}");
        }
    }

    #[test]
    fn members_are_changed_and_the_others_are_as_they_were() {
        let text = br#"{"a":1.00,"b":"x","_b":{"id":"i"},"c":[2.50]}"#;
        let changes = vec![("b", None), ("c", Some("3".to_owned())), ("d", Some("{}".to_owned()))];
        let changed = with(text, changes).unwrap();
        assert_eq!(String::from_utf8(changed).unwrap(), r#"{"a":1.00,"c":3,"d":{}}"#);
    }
}
