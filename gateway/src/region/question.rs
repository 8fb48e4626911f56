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
}

impl HubSearch {
    /// A hub's search for what a question asks of it, `count` matches at a time.
    pub fn of_question(question: &Question, numbers: &[PatientNumber], count: u32) -> Self {
        if question.page.is_none() {
            return Self::of_patient(question.kind, numbers, &question.forwarded, count);
        }
        let total = match question.total {
            Total::Accurate => Some("accurate"),
            Total::Estimate => Some("estimate"),
            Total::Known | Total::None => None,
        };
        let total = total.map(|total| ("_total".to_owned(), total.to_owned()));
        let ours = std::iter::once(("_sort".to_owned(), question.order.sort())).chain(total);
        let parameters: Vec<_> = ours.chain(question.forwarded.iter().cloned()).collect();
        let search = Self::of_patient(question.kind, numbers, &parameters, count);
        let parameters = question.forwarded.iter().map(|(name, _)| name.clone()).collect();
        Self { parameters, whole: false, ..search }
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
            whole: true,
        }
    }
}
