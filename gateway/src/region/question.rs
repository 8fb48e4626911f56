//! A search as a hub takes it.

use bytes::Bytes;
use fhir::identifier::PatientNumber;
use url::form_urlencoded;

use crate::kind::Kind;
use crate::question::{Question, Total};

/// A search as a hub takes it.
#[derive(Debug, Clone)]
pub struct HubSearch {
    /// The resource type.
    pub kind: &'static str,
    /// The parameters, encoded.
    pub form: Bytes,
    /// The parameters that the hub has to execute, for it to be believed that it did.
    pub parameters: Vec<String>,
    /// All of it is wanted, rather than a page.
    pub whole: bool,
    /// The query of the `$everything` that is then asked of each Patient found.
    pub everything: Option<Bytes>,
}

impl HubSearch {
    /// A hub's search for what a question asks of it, `count` matches at a time.
    pub fn of_question(question: &Question, numbers: &[PatientNumber], count: u32) -> Self {
        let whole = Self::of_patient(question.kind, numbers, &question.forwarded, count);
        if let Some(everything) = &question.everything {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(&everything.parameters).append_pair("_count", &count.to_string());
            let parameters = everything.parameters.iter().map(|(name, _)| name.clone()).collect();
            return Self { parameters, everything: Some(Bytes::from(query.finish())), ..whole };
        }
        if question.page.is_none() {
            return whole;
        }
        let total = match question.total {
            Total::Accurate => Some("accurate"),
            Total::Estimate => Some("estimate"),
            Total::Known | Total::None => None,
        };
        let total = total.map(|total| ("_total".to_owned(), total.to_owned()));
        let ours = std::iter::once(("_sort".to_owned(), question.order.sort())).chain(total);
        let parameters: Vec<_> = ours.chain(question.forwarded.iter().cloned()).collect();
        let page = Self::of_patient(question.kind, numbers, &parameters, count);
        Self { parameters: whole.parameters, whole: false, ..page }
    }

    /// A hub's search for everything of a kind that belongs to the patient with one of these numbers,
    /// the patient included.
    pub fn of_patient(
        kind: &Kind,
        numbers: &[PatientNumber],
        forwarded: &[(String, String)],
        page_size: u32,
    ) -> Self {
        let numbers: Vec<_> = numbers
            .iter()
            .map(|number| format!("{}|{}", number.system(), number.value()))
            .collect();
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair(kind.identity_parameter(), &numbers.join(","));
        form.extend_pairs(forwarded);
        if let Some(parameter) = kind.patient {
            form.append_pair("_include", &format!("{}:{parameter}", kind.name()));
        }
        form.append_pair("_count", &page_size.to_string());
        Self {
            kind: kind.name(),
            form: Bytes::from(form.finish()),
            parameters: forwarded.iter().map(|(name, _)| name.clone()).collect(),
            everything: None,
            whole: true,
        }
    }
}
