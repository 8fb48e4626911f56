//! A region's hub that holds these facts and answers by the page.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use url::form_urlencoded;

use crate::world::{Fake, GUID, NUMBER, Reply, Seen, observation, patient};

/// How a hub keeps order and place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// As ours: each match says where the walk goes on after it.
    Ours,
    /// In order, and nothing but a link to the next page.
    Foreign,
    /// In its own order, whatever was asked for.
    Unordered,
}

/// An Observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) id: String,
    pub(crate) day: Option<u8>,
    pub(crate) name: Option<u8>,
    pub(crate) value: u8,
}

impl Fact {
    pub(crate) fn of(id: &str, day: u8) -> Self {
        Self { id: id.to_owned(), day: Some(day), name: None, value: 0 }
    }

    fn resource(&self) -> Value {
        let date = self.day.map_or_else(String::new, |day| format!("2026-01-{day:02}"));
        let mut resource = observation(&self.id, &date);
        if self.day.is_none() {
            resource.as_object_mut().unwrap().remove("effectiveDateTime");
        }
        if let Some(name) = self.name {
            resource["identifier"] = json!([{"system": GUID, "value": name.to_string()}]);
        }
        resource["valueInteger"] = json!(self.value);
        resource
    }
}

/// One fact a day, in this order: `h0`, `h1`, …
pub(crate) fn days(name: &str, days: &[u8]) -> Vec<Fact> {
    let fact = |(at, day): (usize, &u8)| Fact::of(&format!("{name}{at}"), *day + 1);
    days.iter().enumerate().map(fact).collect()
}

/// A region's hub.
#[derive(Debug)]
pub(crate) struct Stub {
    pub(crate) fake: Fake,
    /// It refuses whatever it is asked.
    pub(crate) down: Arc<AtomicBool>,
}

impl Stub {
    pub(crate) async fn start(style: Style, facts: Vec<Fact>) -> Self {
        Self::failing(style, facts, Vec::new()).await
    }

    /// One that refuses those of the first requests that are marked.
    pub(crate) async fn failing(style: Style, facts: Vec<Fact>, fails: Vec<bool>) -> Self {
        let down = Arc::new(AtomicBool::new(false));
        let (is_down, turn) = (down.clone(), Arc::new(AtomicUsize::new(0)));
        let fake = Fake::start(move |request| {
            if request.target.contains("Patient") {
                return Reply::Json(200, people(&[patient("p", NUMBER)]));
            }
            let turn = turn.fetch_add(1, Ordering::SeqCst);
            if is_down.load(Ordering::SeqCst) || fails.get(turn).is_some_and(|fails| *fails) {
                let outcome = json!({"resourceType": "OperationOutcome", "issue": []});
                return Reply::Json(403, outcome);
            }
            Reply::Json(200, page(style, &facts, request))
        })
        .await;
        Self { fake, down }
    }
}

/// An answer to a search for Patients.
pub(crate) fn people(found: &[Value]) -> Value {
    let entry = |patient| json!({"resource": patient, "search": {"mode": "match"}});
    let entries: Vec<_> = found.iter().map(entry).collect();
    json!({"resourceType": "Bundle", "type": "searchset", "entry": entries})
}

/// What a request asks for; a place is the number of matches before it.
fn page(style: Style, facts: &[Fact], request: &Seen) -> Value {
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    let pairs: Vec<(String, String)> =
        form_urlencoded::parse(format!("{query}&{}", request.body).as_bytes())
            .into_owned()
            .collect();
    let value = |name: &str| {
        let found = pairs.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    };
    let number = |name: &str| value(name).map(|number| number.parse::<usize>().unwrap());
    let descending = value("_sort").is_some_and(|sort| sort.starts_with('-'));
    let mut facts = facts.to_vec();
    if style != Style::Unordered {
        let rank = |fact: &Fact| match fact.day {
            None => (true, 0),
            Some(day) => (false, if descending { 255 - day } else { day }),
        };
        facts.sort_by_key(rank);
    }
    let total = facts.len();
    let at = number("_after").or(number("at")).unwrap_or(0).min(total);
    let end = (at + number("_count").unwrap()).min(total);
    let sort = value("_sort").unwrap_or_default();
    let entry = |(place, fact): (usize, &Fact)| {
        let mut entry = json!({"resource": fact.resource(), "search": {"mode": "match"}});
        if style == Style::Ours && request.headers.contains_key("prefer") {
            let url = format!("http://elsewhere/FHIR/R4/Observation?_after={}", at + place + 1);
            entry["link"] = json!([{"relation": "after", "url": url}]);
        }
        entry
    };
    let mut entries: Vec<_> = facts[at..end].iter().enumerate().map(entry).collect();
    if !entries.is_empty() {
        entries.push(json!({"resource": patient("p", NUMBER), "search": {"mode": "include"}}));
    }
    let mut page = json!({"resourceType": "Bundle", "type": "searchset", "entry": entries});
    if end < total {
        let count = number("_count").unwrap();
        let url =
            format!("http://elsewhere/FHIR/R4/Observation?at={end}&_count={count}&_sort={sort}");
        page["link"] = json!([{"relation": "next", "url": url}]);
    }
    if value("_total").is_some() || (at == 0 && end == total) {
        page["total"] = json!(total);
    }
    page
}
