//! What a line of the table says of a resource: when, what, and what of it. Numbers keep their digits.

use std::collections::BTreeMap;

use fhir::bundle::Entry;
use serde_json::value::RawValue;

use super::plain::plain;
use crate::kind::Kind;
use crate::merge::key::Reading;

/// A line of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Its place in time, if it has one.
    pub at: Option<i64>,
    /// The date as it stands in the resource, to the minute.
    pub date: String,
    /// The type.
    pub kind: &'static str,
    /// What it is about.
    pub what: String,
    /// What is said of it, and its status.
    pub said: String,
    /// The organisation code of the region.
    pub region: String,
}

/// Members that say what a resource is about, the best first.
const ABOUT: [&str; 8] = [
    "code",
    "medicationCodeableConcept",
    "medicationReference",
    "vaccineCode",
    "type",
    "serviceType",
    "category",
    "description",
];
/// Members that say how far a resource counts.
const STATUS: [&str; 3] = ["clinicalStatus", "verificationStatus", "status"];

impl Row {
    /// The line of an entry; what cannot be read of it stays empty.
    pub fn of(kind: &'static Kind, entry: &str) -> Self {
        let read: Option<Entry<'_>> = serde_json::from_str(entry).ok();
        let resource = read.as_ref().and_then(|entry| entry.resource);
        let url = read.as_ref().and_then(|entry| entry.full_url.as_deref()).unwrap_or_default();
        let region = url.split_once("/at/").and_then(|(_, place)| place.split('/').next());
        let view = View(resource);
        let (dates, pick) = kind.newest_first();
        let reading = Reading { subjects: &[], dates, pick, members: &[] };
        let key = resource.and_then(|resource| reading.read(resource.get().as_bytes()).ok());
        let what = ABOUT.iter().find_map(|name| concept(view.get(name)));
        Self {
            at: key.and_then(|key| key.date),
            date: dates.iter().find_map(|path| date(view, path)).unwrap_or_default(),
            kind: kind.name(),
            what: plain(&what.unwrap_or_default()),
            said: plain(&said(view).join("; ")),
            region: plain(region.unwrap_or_default()),
        }
    }
}

/// JSON that is looked into; an array stands for its first element.
#[derive(Debug, Clone, Copy)]
struct View<'a>(Option<&'a RawValue>);

impl<'a> View<'a> {
    fn items(self) -> Vec<Self> {
        let Some(raw) = self.0 else { return Vec::new() };
        if !raw.get().starts_with('[') {
            return vec![self];
        }
        let items: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
        items.into_iter().map(|raw| Self(Some(raw))).collect()
    }

    fn members(self) -> BTreeMap<String, &'a RawValue> {
        let first = self.items().first().and_then(|item| item.0);
        first.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    fn get(self, name: &str) -> Self {
        Self(self.members().remove(name))
    }

    /// A string, or a number or a boolean as it is written.
    fn text(self) -> Option<String> {
        let raw = self.items().first()?.0?.get();
        match raw.as_bytes().first()? {
            b'"' => serde_json::from_str(raw).ok(),
            b'{' | b'[' | b'n' => None,
            _ => Some(raw.to_owned()),
        }
    }
}

/// A CodeableConcept, a Coding, a Reference or a string, for a person.
fn concept(view: View<'_>) -> Option<String> {
    let codings = view.get("coding").items();
    let of_codings = |name: &str| codings.iter().find_map(|coding| coding.get(name).text());
    let own = |name: &str| view.get(name).text();
    own("text")
        .or_else(|| of_codings("display"))
        .or_else(|| of_codings("code"))
        .or_else(|| own("display"))
        .or_else(|| own("code"))
        .or_else(|| own("reference"))
        .or_else(|| view.text())
}

fn said(view: View<'_>) -> Vec<String> {
    let mut said: Vec<String> = value(view).into_iter().collect();
    for component in view.get("component").items() {
        let about = concept(component.get("code")).unwrap_or_default();
        said.push(format!("{about} {}", value(component).unwrap_or_default()));
    }
    for dosage in ["dosageInstruction", "dosage"] {
        said.extend(view.get(dosage).items().into_iter().filter_map(|d| d.get("text").text()));
    }
    for reaction in view.get("reaction").items() {
        said.extend(reaction.get("manifestation").items().into_iter().filter_map(concept));
    }
    said.extend(STATUS.iter().filter_map(|name| {
        let status = view.get(name);
        status.text().or_else(|| status.get("coding").get("code").text()).or(concept(status))
    }));
    said
}

/// `value[x]`, or why there is none.
fn value(view: View<'_>) -> Option<String> {
    let members = view.members();
    let mut values = members.iter().filter(|(name, _)| name.starts_with("value"));
    let Some((name, raw)) = values.next() else {
        return concept(view.get("dataAbsentReason"));
    };
    let value = View(Some(raw));
    let shown = match name.as_str() {
        "valueQuantity" => quantity(value),
        _ => value.text().or_else(|| concept(value)),
    };
    Some(shown.unwrap_or_else(|| "(a value that is not shown here)".to_owned()))
}

fn quantity(view: View<'_>) -> Option<String> {
    let number = view.get("value").text()?;
    let comparator = view.get("comparator").text().unwrap_or_default();
    let unit = view.get("unit").text().or_else(|| view.get("code").text()).unwrap_or_default();
    Some(format!("{comparator}{number} {unit}").trim_end().to_owned())
}

/// The date at a path: of a Period its start, or else its end.
fn date(view: View<'_>, path: &[&str]) -> Option<String> {
    let found = path.iter().fold(view, |view, name| view.get(name));
    let text = found.text().or_else(|| found.get("start").text());
    let text = text.or_else(|| found.get("end").text())?;
    let minute: String = text.chars().take("2026-01-01T10:00".len()).collect();
    Some(plain(&minute.replace('T', " ")))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn row(kind: &str, resource: &str) -> Row {
        let kind = Kind::of(kind.parse().unwrap()).unwrap();
        let url = format!("http://g/FHIR/R4/at/QWO/{}/1", kind.name());
        let head = format!(r#""resourceType":"{}","id":"1""#, kind.name());
        Row::of(kind, &format!(r#"{{"fullUrl":"{url}","resource":{{{head},{resource}}}}}"#))
    }

    #[test]
    fn a_line_says_when_what_and_how_far_it_counts() {
        let observation = row(
            "Observation",
            r#""status":"final","code":{"coding":[{"code":"8310-5"},{"display":"Temperature"}]},
            "effectiveDateTime":"2026-03-01T10:00:30Z",
            "valueQuantity":{"value":36.60,"unit":"Cel","comparator":"<"}"#,
        );
        assert_eq!((&*observation.date, &*observation.region), ("2026-03-01 10:00", "QWO"));
        assert_eq!((&*observation.what, &*observation.said), ("Temperature", "<36.60 Cel; final"));
        assert!(observation.at.is_some());
        let condition = row(
            "Condition",
            r#""code":{"text":"Asthma"},"onsetPeriod":{"start":"2020"},
            "clinicalStatus":{"coding":[{"code":"active"}]},
            "verificationStatus":{"coding":[{"code":"refuted"}]}"#,
        );
        assert_eq!((&*condition.what, &*condition.said), ("Asthma", "active; refuted"));
        let pressure = row(
            "Observation",
            r#""status":"entered-in-error","code":{"text":"BP"},"component":[
            {"code":{"text":"systolic"},"valueQuantity":{"value":120}},
            {"code":{"text":"diastolic"},"dataAbsentReason":{"text":"not asked"}}]"#,
        );
        assert_eq!(pressure.said, "systolic 120; diastolic not asked; entered-in-error");
        assert_eq!((pressure.at, &*pressure.date), (None, ""));
    }

    #[test]
    fn what_a_record_holds_cannot_speak_to_the_terminal() {
        let row =
            row("Condition", r#""code":{"text":"\u001b]0;x\u0007"},"onsetString":"\u001b[2J""#);
        assert_eq!(row.what, r"\u{1b}]0;x\u{7}");
    }
}
