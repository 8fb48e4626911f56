//! Which entries are, or may be, one fact: one Linkage for each group, beside the matches.
//! <https://hl7.org/fhir/R4/linkage.html>

use fhir::identifier::{ODS_CODE, OdsCode};
use fhir::json::push_string;

use crate::merge::Merged;

/// The Linkages of an answer, as JSON text; `author` is the organisation whose gateway linked them.
/// They name resources as they are for ever.
pub fn linkages(merged: &Merged<'_>, author: &OdsCode) -> Vec<Vec<u8>> {
    let groups = merged.groups.iter();
    groups
        .map(|group| {
            let items = group.iter().map(|(place, role)| {
                let url = merged.entry(*place).canonical_url();
                (role.as_str(), url)
            });
            linkage(items, author)
        })
        .collect()
}

fn linkage(items: impl Iterator<Item = (&'static str, String)>, author: &OdsCode) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(
        br#"{"resourceType":"Linkage","active":true,"author":{"identifier":{"system":"#,
    );
    push_string(&mut out, ODS_CODE);
    out.extend_from_slice(br#","value":"#);
    push_string(&mut out, author.as_str());
    out.extend_from_slice(br#"}},"item":["#);
    for (number, (role, url)) in items.enumerate() {
        let open: &[u8] = if number == 0 { br#"{"type":""# } else { br#",{"type":""# };
        out.extend_from_slice(open);
        out.extend_from_slice(role.as_bytes());
        out.extend_from_slice(br#"","resource":{"reference":"#);
        push_string(&mut out, &url);
        out.extend_from_slice(b"}}");
    }
    out.extend_from_slice(b"]}");
    out
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_linkage_is_valid() {
        let url = |id: &str| format!("https://hub.example/FHIR/R4/Observation/{id}");
        let items = ["source", "alternate", "historical"].map(|role| (role, url(role)));
        let text = linkage(items.into_iter(), &"A1".parse().unwrap());
        let survey = fhir::validate::validate(&text).unwrap();
        assert!(survey.issues.is_empty(), "{:?}", survey.issues);
        let read: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(read["item"][2]["type"], "historical");
        assert_eq!(read["item"][2]["resource"]["reference"], url("historical"));
    }
}
