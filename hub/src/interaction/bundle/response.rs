//! The Bundle that answers, its entries in the order in which they were asked.

use fhir::instant::format_instant;
use fhir::json::push_string;
use http::StatusCode;
use service::refusal::Refusal;

use crate::interaction::done::Done;
use crate::interaction::preconditions::Preference;

/// One entry of the answer.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub status: StatusCode,
    /// `Type/id/_history/version`
    pub location: Option<String>,
    pub etag: Option<String>,
    /// An instant.
    pub last_modified: Option<String>,
    /// What the entry asked for.
    pub resource: Option<Vec<u8>>,
    /// What was wrong, or what was done in words.
    pub outcome: Option<Vec<u8>>,
}

impl Reply {
    /// Tells of a write. In a Bundle, resources come back only if they are asked for.
    pub(super) fn done(done: &Done, preference: Option<Preference>) -> Self {
        let preference = preference.unwrap_or(Preference::Minimal);
        let resource = done.body().filter(|_| preference == Preference::Representation);
        let outcome = (preference == Preference::Outcome).then(|| done.outcome().to_json());
        Self {
            status: done.status(preference),
            location: done.location(),
            etag: done.version().map(|(number, _)| format!("W/\"{number}\"")),
            last_modified: done.version().map(|(_, updated)| format_instant(updated)),
            resource: resource.map(|body| body.to_vec()),
            outcome,
        }
    }

    /// Tells of a refusal.
    pub(super) fn refused(refusal: &Refusal) -> Self {
        let outcome = Some(refusal.outcome.to_json());
        Self { status: refusal.status, outcome, ..Self::default() }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        if let Some(resource) = &self.resource {
            out.extend_from_slice(br#""resource":"#);
            out.extend_from_slice(resource);
            out.push(b',');
        }
        out.extend_from_slice(br#""response":{"status":"#);
        push_string(out, self.status.to_string().trim_end());
        let texts = [
            ("location", &self.location),
            ("etag", &self.etag),
            ("lastModified", &self.last_modified),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                out.extend_from_slice(format!(r#","{name}":"#).as_bytes());
                push_string(out, text);
            }
        }
        if let Some(outcome) = &self.outcome {
            out.extend_from_slice(br#","outcome":"#);
            out.extend_from_slice(outcome);
        }
        out.extend_from_slice(b"}}");
    }
}

/// The Bundle; `kind` is `batch-response` or `transaction-response`.
pub(super) fn response(kind: &str, replies: &[Reply]) -> Vec<u8> {
    let mut out = format!(r#"{{"resourceType":"Bundle","type":"{kind}""#).into_bytes();
    for (place, reply) in replies.iter().enumerate() {
        out.extend_from_slice(if place == 0 { br#","entry":["# } else { b"," });
        reply.write(&mut out);
    }
    out.extend_from_slice(if replies.is_empty() { b"}" } else { b"]}" });
    out
}
