//! `$everything`: a patient's whole record, of every region that holds something.
//! `GET|POST [base]/Patient/[nhs-number]/$everything`, and `[base]/Patient/$everything` for any
//! number with its system. <https://hl7.org/fhir/R4/operation-patient-everything.html>

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use service::journal::Detail;
use service::parameters::Input;
use service::refusal::Refusal;

use super::search::respond;
use crate::Gateway;
use crate::context::Context;
use crate::error::GatewayError;
use crate::page;
use crate::question::Question;

/// Of the patient with the NHS number in the path.
pub async fn by_path(
    State(gateway): State<Gateway>,
    context: Context,
    number: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match number {
        Ok(Path(number)) => answer(&gateway, &context, Some(&number), query, headers, body).await,
        Err(_) => Refusal::from(GatewayError::NotHere).into_response(),
    }
}

/// Of the patient whom the parameter `identifier` names.
pub async fn by_identifier(
    State(gateway): State<Gateway>,
    context: Context,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    answer(&gateway, &context, None, query, headers, body).await
}

async fn answer(
    gateway: &Gateway,
    context: &Context,
    number: Option<&str>,
    query: Option<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let input = match Input::read(query.as_deref(), &headers, body).await {
        Ok(input) => input,
        Err(refusal) => return refusal.into_response(),
    };
    let page = match Question::everything(number, input.pairs, context.handling) {
        Ok(question) => page::begin(gateway, question, context).await,
        Err(error) => Err(error),
    };
    let mut response = respond(gateway, context, page).await.into_response();
    if !input.body.is_empty() {
        response.extensions_mut().insert(Detail(input.body));
    }
    response
}
