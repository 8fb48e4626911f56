//! One resource of one hub, passed through.

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use service::client::read_body;
use tokio::time::timeout_at;

use super::{FHIR, Hub, IDLE_MAX, REGION_BYTES_MAX, is_json, not_read};
use crate::context::Context;
use crate::outcome::{Failure, RegionStatus};

/// A read's answer, as the hub gave it.
#[derive(Debug)]
pub struct ReadAnswer {
    /// The hub's status.
    pub status: StatusCode,
    /// The hub's headers.
    pub headers: HeaderMap,
    /// The resource or OperationOutcome; empty if the hub sent something else.
    pub body: Bytes,
}

/// Reads one resource from a region's hub: `path` below its base, with the caller's conditions.
pub async fn read(
    hub: &Hub<'_>,
    path: &str,
    conditions: HeaderMap,
    context: &Context,
) -> Result<ReadAnswer, Failure> {
    let url = format!("{}/{path}", hub.region.base());
    let request = hub.client.get(url).headers(conditions).header(ACCEPT, FHIR);
    let exchange = async {
        let response = hub.send(request, context, None).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let redirected = status.is_redirection() && status != StatusCode::NOT_MODIFIED;
        let foreign = status == StatusCode::OK && !is_json(&headers);
        if redirected || foreign || status.is_informational() {
            return Err(RegionStatus::Invalid.into());
        }
        let body = read_body(response, REGION_BYTES_MAX, IDLE_MAX).await;
        let body = body.map_err(|e| not_read(&e))?;
        let body = if is_json(&headers) { body } else { Bytes::new() };
        Ok(ReadAnswer { status, headers, body })
    };
    let deadline = context.region_deadline();
    let asking = async {
        let read = timeout_at(deadline, exchange).await;
        read.unwrap_or_else(|_elapsed| Err(RegionStatus::Timeout.into()))
    };
    hub.gate.pass(deadline, asking, |answer| answer.status.is_server_error()).await
}
