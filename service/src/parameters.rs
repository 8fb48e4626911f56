//! The parameters of an operation that reads: in the URL, in a Parameters resource, or in both.
//! <https://hl7.org/fhir/R4/operations.html#request>

use axum::body::Body;
use bytes::Bytes;
use fhir::outcome::{Issue, IssueCode};
use fhir::tree::Tree;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue};
use url::form_urlencoded;

use crate::body::{FORM_BYTES_MAX, json};
use crate::refusal::Refusal;

/// What an operation is given.
#[derive(Debug)]
pub struct Input {
    /// Names and values, those of the URL first.
    pub pairs: Vec<(String, String)>,
    /// The Parameters resource as it came; empty if there was none.
    pub body: String,
}

impl Input {
    /// Reads it; a body may be left out.
    pub async fn read(
        query: Option<&str>,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Self, Refusal> {
        let query = query.unwrap_or_default().as_bytes();
        let mut pairs: Vec<_> = form_urlencoded::parse(query).into_owned().collect();
        let length = headers.get(CONTENT_LENGTH).map(HeaderValue::as_bytes);
        let none = matches!(length, None | Some(b"0")) && !headers.contains_key(TRANSFER_ENCODING);
        let text = if none { Bytes::new() } else { json(headers, body, FORM_BYTES_MAX).await? };
        if !text.is_empty() {
            pairs.extend(parameters(&text)?);
        }
        Ok(Self { pairs, body: String::from_utf8_lossy(&text).into_owned() })
    }
}

fn parameters(text: &[u8]) -> Result<Vec<(String, String)>, Refusal> {
    let wrong = || {
        let text = "Send the parameters of the operation as a Parameters resource.";
        Refusal::bad_request_issue(Issue::error(IssueCode::Invalid, text).at("Parameters"))
    };
    let tree = Tree::parse(text).map_err(|_| wrong())?;
    if tree.text("resourceType") != Some("Parameters") {
        return Err(wrong());
    }
    let parameters = tree.get("parameter").map_or(&[][..], Tree::items);
    parameters.iter().map(|parameter| pair(parameter).ok_or_else(wrong)).collect()
}

/// A parameter of a primitive type as a name and a text.
fn pair(parameter: &Tree<'_>) -> Option<(String, String)> {
    let Tree::Object(members) = parameter else { return None };
    let value = members.iter().find_map(|(name, value)| name.starts_with("value").then_some(value));
    let value = match value? {
        Tree::String(text) | Tree::Number(text) => text.to_string(),
        Tree::Bool(value) => value.to_string(),
        _ => return None,
    };
    Some((parameter.text("name")?.to_owned(), value))
}
