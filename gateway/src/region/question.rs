//! A search as a hub takes it.

use bytes::Bytes;
use fhir::identifier::PatientNumber;
use url::form_urlencoded;

use crate::kind::Kind;
use crate::question::Question;

/// A search as a hub takes it.
#[derive(Debug, Clone)]
pub struct HubSearch {
    /// The resource type.
    pub kind: &'static str,
    /// The parameters, encoded.
    pub form: Bytes,
    /// The parameters that the hub has to execute, for it to be believed that it did.
    pub parameters: Vec<String>,
    /// The query of the `$everything` that is then asked of each Patient found.
    pub everything: Option<Bytes>,
}

impl HubSearch {
    /// What a question asks of a hub, `count` entries at a time.
    pub fn of_question(question: &Question, numbers: &[PatientNumber], count: u32) -> Self {
        let search = Self::of_patient(question.kind, numbers, &question.forwarded, count);
        let Some(everything) = &question.everything else {
            return search;
        };
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&everything.parameters).append_pair("_count", &count.to_string());
        let parameters = everything.parameters.iter().map(|(name, _)| name.clone()).collect();
        Self { parameters, everything: Some(Bytes::from(query.finish())), ..search }
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
        }
    }
}
