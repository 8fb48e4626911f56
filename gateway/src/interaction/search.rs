//! search: one question about one patient, asked of every region that holds something.
//! <https://hl7.org/fhir/R4/http.html#search>

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode};
use service::answer::Answer;
use service::body;
use service::journal::Detail;
use service::negotiation::Streamed;
use service::refusal::Refusal;

use crate::Gateway;
use crate::compose::{Composed, compose};
use crate::context::Context;
use crate::error::GatewayError;
use crate::fan_out::Collected;
use crate::health::SearchEnd;
use crate::page::{self, Page};
use crate::question::Question;
use crate::stream::stream;
use crate::tally::{COMPLETE, REGIONS};

/// From this size on, a merge leaves the threads that serve connections.
const INLINE_BYTES_MAX: usize = 256 << 10;

/// `GET /{type}?…`
pub async fn get(
    State(gateway): State<Gateway>,
    context: Context,
    type_name: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    streamed: Option<Extension<Streamed>>,
) -> Result<Answer, Refusal> {
    answer(&gateway, &context, type_name, &query.unwrap_or_default(), streamed).await
}

/// `POST /{type}/_search`: the number stays out of the URL; the journal keeps the form.
pub async fn post(
    State(gateway): State<Gateway>,
    context: Context,
    type_name: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    streamed: Option<Extension<Streamed>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let form = match body::form(&headers, body).await {
        Ok(form) => String::from_utf8_lossy(&form).into_owned(),
        Err(refusal) => return refusal.into_response(),
    };
    let pairs = format!("{}&{form}", query.unwrap_or_default());
    let answer = answer(&gateway, &context, type_name, &pairs, streamed).await;
    let mut response = answer.into_response();
    response.extensions_mut().get_or_insert_with(|| Detail(form));
    response
}

async fn answer(
    gateway: &Gateway,
    context: &Context,
    type_name: Result<Path<String>, PathRejection>,
    pairs: &str,
    streamed: Option<Extension<Streamed>>,
) -> Result<Answer, Refusal> {
    if let Some(Extension(streamed)) = streamed {
        let answer = in_parts(gateway, context, type_name, pairs, streamed).await;
        return answer.map_err(|error| {
            gateway.counters().search(SearchEnd::Refused);
            error.into()
        });
    }
    if let Some(page) = kept(gateway, context, &type_name, pairs) {
        return told(gateway, page);
    }
    respond(gateway, context, page(gateway, context, type_name, pairs).await).await
}

/// A page of a snapshot, if it is one that a link leads to.
fn kept(
    gateway: &Gateway,
    context: &Context,
    type_name: &Result<Path<String>, PathRejection>,
    pairs: &str,
) -> Option<Result<Composed, GatewayError>> {
    let link = page::link(pairs).ok().flatten()?;
    let Path(type_name) = type_name.as_ref().ok()?;
    page::snapshot::resume(gateway, context, type_name, &link)
}

/// Writes a page, if it is one, and says how complete it is.
pub(super) async fn respond(
    gateway: &Gateway,
    context: &Context,
    page: Result<Page, GatewayError>,
) -> Result<Answer, Refusal> {
    let result = match page {
        Ok(page) => composed(gateway, context, page).await,
        Err(error) => Err(error),
    };
    told(gateway, result)
}

fn told(gateway: &Gateway, result: Result<Composed, GatewayError>) -> Result<Answer, Refusal> {
    gateway.counters().search(match &result {
        Ok(composed) if composed.complete => SearchEnd::Complete,
        Ok(_) => SearchEnd::Partial,
        Err(_) => SearchEnd::Refused,
    });
    let composed = result?;
    let complete = if composed.complete { "true" } else { "false" };
    let answer = Answer::resource(StatusCode::OK, composed.body)
        .with(COMPLETE, HeaderValue::from_static(complete))
        .with(REGIONS, composed.regions);
    Ok(match composed.behind_link {
        // The journal says whose record was shown, which the link does not.
        Some(asked) => answer.noting(Detail(asked)),
        None => answer,
    })
}

async fn in_parts(
    gateway: &Gateway,
    context: &Context,
    type_name: Result<Path<String>, PathRejection>,
    pairs: &str,
    streamed: Streamed,
) -> Result<Answer, GatewayError> {
    if page::link(pairs)?.is_some() {
        let why = "A page link leads to a Bundle: ask for application/fhir+json.";
        return Err(GatewayError::NotSupported(page::PARAMETER.to_owned(), why));
    }
    let question = question(context, type_name, pairs)?;
    stream(gateway, context, question, pairs, streamed).await
}

fn question(
    context: &Context,
    type_name: Result<Path<String>, PathRejection>,
    pairs: &str,
) -> Result<Question, GatewayError> {
    let Path(type_name) = type_name.map_err(|_| GatewayError::UnknownType)?;
    Question::parse(&type_name, pairs, context.handling)
}

/// The first page of a question, or the one that a link leads to.
async fn page(
    gateway: &Gateway,
    context: &Context,
    type_name: Result<Path<String>, PathRejection>,
    pairs: &str,
) -> Result<Page, GatewayError> {
    let Some(link) = page::link(pairs)? else {
        let question = question(context, type_name, pairs)?;
        let question = question.in_pages_of(gateway.federation().page_size);
        return page::begin(gateway, question, context).await;
    };
    let Path(type_name) = type_name.map_err(|_| GatewayError::UnknownType)?;
    page::resume(gateway, &type_name, &link, context).await
}

async fn composed(
    gateway: &Gateway,
    context: &Context,
    mut page: Page,
) -> Result<Composed, GatewayError> {
    if bytes(&page.1) <= INLINE_BYTES_MAX {
        return compose(gateway, context, &mut page);
    }
    let (gateway, context) = (gateway.clone(), context.clone());
    let composing = move || compose(&gateway, &context, &mut page);
    let composed = tokio::task::spawn_blocking(composing).await;
    composed.unwrap_or_else(|_panic| Err(GatewayError::Internal("a merge panicked".into())))
}

fn bytes(collected: &Collected) -> usize {
    let answers = collected.answers.iter().filter_map(|answer| answer.result.as_ref().ok());
    answers.flat_map(|answer| &answer.entries).map(|entry| entry.resource.len()).sum()
}
