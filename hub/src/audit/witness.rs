//! Heads of the trail, kept by others: each is sent to the configured witnesses, and theirs are kept here.
//! `POST /audit/heads`
//!
//! A head says who made it by its signature, so it takes no token; in enforced mode the certificate must
//! be of the same region. A witness sees no entry. It refuses a head whose trail cannot have grown out of
//! one that it keeps, and its file of heads shows `hub verify` what was done between two of them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use fhir::instant::Interval;
use fhir::outcome::IssueCode;
use futures::future::join_all;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use service::body::any;
use service::program::ProgramError;
use service::refusal::Refusal;
use service::tls::Tls;
use service::tls::peer::Peer;

use super::head::{Head, VerifyingKey};
use super::keeper::{append, beside_journal};
use crate::Hub;
use crate::config::{Witness, Witnessed};
use crate::error::HubError;
use crate::store::{StoreError, trail};

/// How long a witness may take.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Largest head, in bytes: some thousand lanes.
const HEAD_BYTES_MAX: usize = 512 << 10;
/// How far a head's time may be ahead of ours, in microseconds.
const AHEAD_MICROS_MAX: i64 = 300 * 1_000_000;

/// Who is sent the heads of this record's trail.
#[derive(Debug)]
pub struct Witnesses {
    plain: reqwest::Client,
    tls: Option<Arc<Tls>>,
    /// The URL of each, and the newest head that it has not taken: it binds all that those before did.
    owed: Vec<(String, Mutex<Option<String>>)>,
}

impl Witnesses {
    /// The configured ones; heads go over our certificate, if there is one.
    pub(super) fn new(witnesses: &[Witness], tls: Option<Arc<Tls>>) -> Result<Self, ProgramError> {
        let plain = service::client::build()
            .map_err(|error| ProgramError::failed("building the HTTP client", error))?;
        let owed = witnesses.iter().map(|witness| (witness.url.clone(), Mutex::default()));
        Ok(Self { plain, tls, owed: owed.collect() })
    }

    /// Remembers a head that is to be sent.
    pub(super) fn owe(&self, document: &str) {
        for (_, owed) in &self.owed {
            *owed.lock().unwrap_or_else(PoisonError::into_inner) = Some(document.to_owned());
        }
    }

    /// Sends each witness what it has not taken; what it cannot take now is sent the next time.
    pub async fn send(&self) {
        join_all(self.owed.iter().map(|(url, owed)| self.send_to(url, owed))).await;
    }

    async fn send_to(&self, url: &str, owed: &Mutex<Option<String>>) {
        let document = owed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(document) = document else { return };
        let client = match &self.tls {
            Some(tls) => tls.current().client.clone(),
            None => self.plain.clone(),
        };
        let request = client.post(url).header(CONTENT_TYPE, "application/json");
        match request.timeout(TIME_MAX).body(document.clone()).send().await {
            Ok(answer) if answer.status().is_success() => {
                let mut owed = owed.lock().unwrap_or_else(PoisonError::into_inner);
                if owed.as_ref() == Some(&document) {
                    *owed = None;
                }
            }
            Ok(answer) if answer.status() == StatusCode::CONFLICT => {
                tracing::error!(url, "a witness saw another audit trail: run hub verify");
            }
            Ok(answer) => {
                tracing::warn!(url, status = answer.status().as_u16(), "a witness took no head");
            }
            Err(error) => {
                let cause = service::client::root_cause(&error);
                tracing::warn!(url, cause, "a witness was not told where the audit trail ends");
            }
        }
    }
}

/// The keys of the regions whose heads are kept here.
pub(crate) fn keys(witnessed: &[Witnessed]) -> Result<HashMap<String, VerifyingKey>, ProgramError> {
    let key =
        |of: &Witnessed| Ok((of.ods.as_str().to_owned(), VerifyingKey::load(&of.public_key_file)?));
    witnessed.iter().map(key).collect()
}

/// The route.
pub fn router(hub: Arc<Hub>) -> Router {
    let only_post = async || Refusal::method_not_allowed("POST");
    Router::new().route("/audit/heads", post(keep).fallback(only_post)).with_state(hub)
}

/// Keeps a head, if it is its region's and goes with those that are kept.
async fn keep(State(hub): State<Arc<Hub>>, request: Request) -> Result<Response, HubError> {
    let peer = request.extensions().get::<Peer>().cloned();
    let (parts, body) = request.into_parts();
    let document = document(&parts.headers, body).await?;
    let (region, recorded) = proven(&hub, &document, peer.as_ref())?;
    let head = trail::Witnessed { region: region.clone(), recorded, document: document.clone() };
    match hub.store.witness(head).await {
        Ok(()) => {}
        Err(StoreError::Moved) => {
            tracing::error!(
                region,
                "a region's audit trail contradicts what was seen of it before"
            );
            let text = "This head contradicts one that is kept here: of a lane that was seen before, \
                        entries are gone or are others now.";
            return Err(Refusal::error(StatusCode::CONFLICT, IssueCode::Conflict, text).into());
        }
        Err(error) => return Err(error.into()),
    }
    let (file, line) = (file(&hub, &region), format!("{document}\n"));
    let written = tokio::task::spawn_blocking(move || append(&file, &line)).await;
    let written = written.map_err(std::io::Error::other).flatten();
    written.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn document(headers: &HeaderMap, body: Body) -> Result<String, Refusal> {
    let bytes = any(headers, body, HEAD_BYTES_MAX).await?;
    let text = std::str::from_utf8(&bytes).ok().map(str::trim).filter(|text| !text.contains('\n'));
    text.map(str::to_owned).ok_or_else(|| {
        Refusal::bad_request(IssueCode::Structure, "Send one head, as one line of JSON in UTF-8.")
    })
}

/// Whose head it is and when it was made, once that is proven.
fn proven(hub: &Hub, document: &str, peer: Option<&Peer>) -> Result<(String, i64), Refusal> {
    let unreadable = || {
        let text = "This is no head of an audit trail, or its time is none or still to come.";
        Refusal::bad_request(IssueCode::Structure, text)
    };
    let (head, _) = Head::read(document, None).map_err(|_| unreadable())?;
    let key = hub.witnessed.get(&head.region);
    let signed = key.is_some_and(|key| matches!(Head::read(document, Some(key)), Ok((_, true))));
    let own = peer.is_none_or(|peer| peer.organisation.as_str() == head.region);
    if !signed || !own {
        let text = "The head is not signed with the key that is known here of its region, or comes over \
                    the certificate of another.";
        return Err(Refusal::error(StatusCode::FORBIDDEN, IssueCode::Forbidden, text));
    }
    let time = Interval::parse(&head.time).map(|instant| instant.low);
    let latest = hub.clock.now_micros() + AHEAD_MICROS_MAX;
    let time = time.filter(|time| *time <= latest).ok_or_else(unreadable)?;
    Ok((head.region, time))
}

/// Where a region's heads are kept for `hub verify`.
fn file(hub: &Hub, region: &str) -> PathBuf {
    beside_journal(&hub.config, &format!("witnessed-{region}"))
}
