//! create: `POST [base]/[type]`. <https://hl7.org/fhir/R4/http.html#create>

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use http::HeaderMap;
use service::answer::Answer;
use service::caller::Caller;
use url::form_urlencoded;

use super::binary;
use super::content::check;
use super::intent::{Deed, Intent};
use super::perform::perform;
use super::preconditions::{if_none_exist, refuse};
use crate::Hub;
use crate::address::Kind;
use crate::error::HubError;

/// Stores a new resource under an id of our choice; an id in the body is ignored. With If-None-Exist,
/// only if the criteria select none.
pub async fn create(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    Kind(resource_type): Kind,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, HubError> {
    refuse(&headers, &["If-Match", "If-None-Match"])?;
    let if_none_exist = if_none_exist(&headers)?.or_else(|| criteria(query));
    let text = binary::body(resource_type, None, &headers, body).await?;
    let at = resource_type.as_str().to_owned();
    check(&text, resource_type, &at)?;
    let deed = Deed::Create { text, if_none_exist };
    let intent = Intent { resource_type, deed, if_match: None, at };
    perform(&hub, &caller, &intent, &headers).await
}

/// Some clients put the criteria into the URL. There they mean the same, and are never passed over.
fn criteria(query: Option<String>) -> Option<String> {
    let about_the_answer = |(name, _): (Cow<'_, str>, _)| matches!(&*name, "_format" | "_pretty");
    let query = query?;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    (!pairs.all(about_the_answer)).then_some(query)
}
