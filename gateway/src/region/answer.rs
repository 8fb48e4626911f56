//! A hub's pages, taken apart: entries as their own bytes, remarks apart from them.

use bytes::Bytes;
use fhir::OWN_SYSTEM;
use fhir::bundle::{Bundle, SearchMode};
use fhir::json::depth;
use fhir::outcome::{Issue, IssueCode, Severity};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::question::HubSearch;
use super::search::From;
use crate::outcome::{Failure, RegionStatus};

/// Deepest nesting of a page: a resource's 64, and the Bundle around it.
const PAGE_DEPTH_MAX: usize = 64 + 3;
/// Longest word of a hub for the place after an entry: a page link carries one for each region.
const AFTER_BYTES_MAX: usize = 2 << 10;
/// Most entries that one region may contribute to one answer.
pub const REGION_ENTRIES_MAX: usize = 5_000;

/// What one region says: all of what matches, or a page of it.
#[derive(Debug, Clone, Default)]
pub struct RegionAnswer {
    /// Its entries, in its order.
    pub entries: Vec<RawEntry>,
    /// For each entry, the hub's own word for the place right after it, if it has given one.
    pub after: Vec<Option<Box<str>>>,
    /// The page that comes next, as path and query below the region's base.
    pub next: Option<String>,
    /// How many matches it says there are on all pages.
    pub total: Option<u64>,
    /// What it said about the search.
    pub issues: Vec<Issue>,
    /// The parameters that it left out.
    pub left_out: Vec<String>,
}

/// An entry: its resource's own bytes.
#[derive(Debug, Clone)]
pub struct RawEntry {
    /// Why it is there, if the hub says so.
    pub mode: Option<SearchMode>,
    /// The resource, a slice of the region's answer.
    pub resource: Bytes,
}

impl RegionAnswer {
    /// Adds a page, which stands there in the search, and notes what comes next.
    pub(super) fn take(
        &mut self,
        page: &Bytes,
        search: &HubSearch,
        from: &From,
    ) -> Result<(), Failure> {
        let invalid = |_| Failure::from(RegionStatus::Invalid);
        let bundle: Bundle<'_> = serde_json::from_slice(page).map_err(invalid)?;
        let deep = depth(page) > PAGE_DEPTH_MAX;
        if bundle.resource_type != "Bundle" || bundle.kind != "searchset" || deep {
            return Err(RegionStatus::Invalid.into());
        }
        if bundle.meta.is_some_and(|meta| is_partial(meta.get())) {
            let text = "this region's own answer is incomplete.";
            self.issues.push(Issue::new(Severity::Warning, IssueCode::Incomplete, text));
        }
        let mut matches = 0;
        for entry in &bundle.entry {
            let resource = entry.resource.ok_or(RegionStatus::Invalid)?;
            let mode = entry.search.and_then(|search| search.mode);
            if mode == Some(SearchMode::Outcome) {
                self.issues.extend(issues(resource.get()));
                continue;
            }
            matches += u64::from(mode != Some(SearchMode::Include));
            let resource = page.slice_ref(resource.get().as_bytes());
            self.entries.push(RawEntry { mode, resource });
            self.after.push(entry.link("after").and_then(place_after));
        }
        if self.entries.len() > REGION_ENTRIES_MAX {
            return Err(RegionStatus::TooLarge.into());
        }
        let asked = !matches!(from, From::Page(_));
        if asked && let Some(link) = bundle.link("self") {
            self.left_out = left_out(link, &search.parameters);
        }
        let next = bundle.link("next").map(|link| below_base(link, search.kind));
        let whole = *from == From::Start && next.is_none();
        if whole && bundle.total.is_some_and(|total| total > matches) {
            // It counted more than it sent, and says nothing of where the rest is.
            return Err(RegionStatus::Invalid.into());
        }
        self.total = self.total.or(bundle.total);
        self.next = next.transpose()?;
        Ok(())
    }

    /// How many entries are matches, as far as the hub says.
    pub fn matches(&self) -> usize {
        let beside = |entry: &&RawEntry| entry.mode != Some(SearchMode::Include);
        self.entries.iter().filter(beside).count()
    }

    /// How the region ended if all of its entries are the asked patient's.
    pub fn status(&self, matches: usize) -> RegionStatus {
        if self.issues.iter().any(|issue| issue.code == IssueCode::Suppressed) {
            RegionStatus::Suppressed
        } else if matches == 0 {
            RegionStatus::Empty
        } else {
            RegionStatus::Ok
        }
    }
}

/// Whether a Bundle's `meta` says, in our own words, that it is not everything.
fn is_partial(meta: &str) -> bool {
    #[derive(Deserialize)]
    struct Meta {
        #[serde(default)]
        tag: Vec<Tag>,
    }
    #[derive(Deserialize)]
    struct Tag {
        #[serde(default)]
        system: String,
        #[serde(default)]
        code: String,
    }
    let system = format!("{OWN_SYSTEM}completeness");
    // What cannot be read is not believed to be complete.
    serde_json::from_str(meta).map_or(true, |meta: Meta| {
        meta.tag.iter().any(|tag| tag.system == system && tag.code == "partial")
    })
}

/// The issues of an outcome entry; one that cannot be read is itself worth a word.
fn issues(resource: &str) -> Vec<Issue> {
    #[derive(Deserialize)]
    struct Outcome {
        #[serde(default)]
        issue: Vec<serde_json::Value>,
    }
    let outcome: Outcome = match serde_json::from_str(resource) {
        Ok(outcome) => outcome,
        Err(_) => return vec![unreadable()],
    };
    let read = |issue| serde_json::from_value(issue).unwrap_or_else(|_| unreadable());
    outcome.issue.into_iter().map(read).collect()
}

fn unreadable() -> Issue {
    let text = "a remark about this search that cannot be read.";
    Issue::new(fhir::outcome::Severity::Warning, IssueCode::Incomplete, text)
}

/// Of the parameters that were sent, those that a hub's `self` link does not name. A link without
/// any query says nothing either way.
fn left_out(self_link: &str, parameters: &[String]) -> Vec<String> {
    let Some((_, query)) = self_link.split_once('?') else {
        return Vec::new();
    };
    let base = |name: &str| name.split([':', '.']).next().unwrap_or_default().to_owned();
    let executed: Vec<_> =
        form_urlencoded::parse(query.as_bytes()).map(|(name, _)| base(&name)).collect();
    let missing = |name: &&String| !executed.contains(&base(name));
    parameters.iter().filter(missing).cloned().collect()
}

/// The place that an entry's own link leads to: sent beside the same search, it is taken up there.
fn place_after(link: &str) -> Option<Box<str>> {
    let (_, query) = link.split_once('?')?;
    let (_, after) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "_after")?;
    (after.len() <= AFTER_BYTES_MAX).then(|| after.into())
}

/// A `next` link cut down to what may be asked: `/Type?query` or `?query` below the region's own
/// base. The link's host is never dialled.
fn below_base(link: &str, kind: &str) -> Result<String, RegionStatus> {
    let anywhere = Url::parse("http://region.invalid/").map_err(|_| RegionStatus::Invalid)?;
    let url = anywhere.join(link).map_err(|_| RegionStatus::Invalid)?;
    let query = url.query().ok_or(RegionStatus::Invalid)?;
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/_search").unwrap_or(path);
    if path.rsplit('/').next() == Some(kind) {
        Ok(format!("/{kind}?{query}"))
    } else {
        Ok(format!("?{query}"))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn take(page: &'static str) -> Result<(RegionAnswer, Option<String>), RegionStatus> {
        let search = HubSearch {
            kind: "Observation",
            form: Bytes::new(),
            parameters: vec!["code".into(), "date".into()],
            everything: None,
            whole: true,
        };
        let mut answer = RegionAnswer::default();
        let taken = answer.take(&Bytes::from_static(page.as_bytes()), &search, &From::Start);
        let next = answer.next.clone();
        taken.map(|()| (answer, next)).map_err(|failure| failure.status)
    }

    #[test]
    fn a_page_is_as_deep_as_a_resource_may_be_and_no_deeper() {
        let search = HubSearch {
            kind: "Observation",
            form: Bytes::new(),
            parameters: Vec::new(),
            everything: None,
            whole: true,
        };
        for (depth, accepted) in [(63, true), (64, false)] {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            let page = format!(
                r#"{{"resourceType":"Bundle","type":"searchset","entry":[{{"resource":{{"a":{open}{close}}}}}]}}"#
            );
            let taken = RegionAnswer::default().take(&Bytes::from(page), &search, &From::Start);
            assert_eq!(taken.is_ok(), accepted, "{depth}");
        }
    }

    #[test]
    fn a_region_that_says_it_is_partial_is_believed() {
        let page = r#"{"resourceType":"Bundle","type":"searchset",
            "meta":{"tag":[{"system":"urn:shared-record:completeness","code":"partial"}]}}"#;
        assert_eq!(take(page).unwrap().0.issues[0].code, IssueCode::Incomplete);
    }

    #[test]
    fn only_a_whole_searchset_is_an_answer() {
        for page in [
            "",
            "<html></html>",
            r#"{"resourceType":"OperationOutcome","issue":[]}"#,
            r#"{"resourceType":"Bundle","type":"history"}"#,
            r#"{"resourceType":"Bundle","type":"searchset","entry":[{}]}"#,
            r#"{"resourceType":"Bundle","type":"searchset","entry":["#,
            r#"{"resourceType":"Bundle","type":"searchset","total":2,"entry":[{"resource":{"id":"1"}}]}"#,
        ] {
            assert_eq!(take(page).unwrap_err(), RegionStatus::Invalid, "{page}");
        }
        let (answer, next) = take(r#"{"resourceType":"Bundle","type":"searchset"}"#).unwrap();
        assert!(answer.entries.is_empty() && next.is_none());
    }

    #[test]
    fn what_a_hub_says_of_its_search_is_kept_apart_from_its_entries() {
        let page = r#"{"resourceType":"Bundle","type":"searchset","entry":[
            {"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"suppressed"}]},
             "search":{"mode":"outcome"}}]}"#;
        let (answer, _) = take(page).unwrap();
        assert!(answer.entries.is_empty());
        assert_eq!(answer.status(0), RegionStatus::Suppressed);
    }

    #[test]
    fn a_parameter_that_a_hub_does_not_name_was_left_out() {
        let page = r#"{"resourceType":"Bundle","type":"searchset",
            "link":[{"relation":"self","url":"http://h/Observation?patient.identifier=a&date=ge2020"}]}"#;
        assert_eq!(take(page).unwrap().0.left_out, ["code"]);
    }

    #[test]
    fn an_entrys_own_place_is_kept_and_nothing_else_of_its_link() {
        let page = r#"{"resourceType":"Bundle","type":"searchset","entry":[
            {"link":[{"relation":"after","url":"http://evil.example/x?_after=abc"}],"resource":{"id":"1"}},
            {"link":[{"relation":"canonical","url":"http://h/x"}],"resource":{"id":"2"}}]}"#;
        assert_eq!(take(page).unwrap().0.after, [Some("abc".into()), None]);
    }

    #[test]
    fn a_next_link_keeps_nothing_but_its_query() {
        for (link, expected) in [
            ("https://evil.example/FHIR/R4/Observation?page=2", "/Observation?page=2"),
            ("http://h/FHIR/R4/Observation/_search?c=%2B", "/Observation?c=%2B"),
            ("http://h/FHIR/R4?cursor=a", "?cursor=a"),
            ("Observation?page=2", "/Observation?page=2"),
        ] {
            assert_eq!(below_base(link, "Observation").unwrap(), expected);
        }
        assert!(below_base("http://h/Observation", "Observation").is_err());
    }
}
