//! The admin listener's part: scripts in, what is scripted out.

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequest, Path, Request, State};
use axum::routing::get;
use fhir::outcome::IssueCode;
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};
use service::answer::Answer;
use service::refusal::Refusal;

use super::script::{Kind, Order};
use crate::Locator;

/// Largest script, in bytes.
const SCRIPT_BYTES_MAX: usize = 4 << 10;

/// The routes of `/faults`.
pub(crate) fn routes(locator: Locator) -> Router {
    let one = axum::routing::put(script).delete(take_back);
    Router::new()
        .route("/faults", get(tell).delete(take_all_back))
        .route("/faults/{fault}", one)
        .with_state(locator)
}

impl FromRequest<Locator> for Order {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &Locator) -> Result<Self, Refusal> {
        let (parts, body): (_, Body) = request.into_parts();
        let text = service::body::any(&parts.headers, body, SCRIPT_BYTES_MAX).await?;
        if text.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(&text).map_err(|error| unfit(&format!("Not a script: {error}.")))
    }
}

async fn script(
    State(locator): State<Locator>,
    Path(fault): Path<String>,
    order: Order,
) -> Result<Answer, Refusal> {
    let kind = named(&fault)?;
    order.check(kind).map_err(unfit)?;
    let registry = locator.registry();
    let done = match kind {
        Kind::Stale => registry.freeze().await,
        Kind::Lost => registry.lose().await,
        Kind::Delay | Kind::Refuse => Ok(()),
    };
    done.map_err(|error| Refusal::internal(&error))?;
    locator.faults().script(kind, order, locator.now_micros());
    tracing::warn!(fault, "a fault is scripted");
    Ok(told(&locator))
}

async fn tell(State(locator): State<Locator>) -> Answer {
    told(&locator)
}

async fn take_back(
    State(locator): State<Locator>,
    Path(fault): Path<String>,
) -> Result<Answer, Refusal> {
    locator.faults().take_back(named(&fault)?, locator.registry());
    Ok(told(&locator))
}

async fn take_all_back(State(locator): State<Locator>) -> Answer {
    for kind in Kind::ALL {
        locator.faults().take_back(kind, locator.registry());
    }
    told(&locator)
}

/// What is scripted, by the fault's name.
fn told(locator: &Locator) -> Answer {
    let scripts = locator.faults().told(locator.now_micros(), locator.registry());
    let names = ["delay", "refuse", "stale", "lost"];
    let told = names
        .into_iter()
        .zip(scripts)
        .filter_map(|(name, order)| Some((name.to_owned(), serde_json::to_value(order?).ok()?)));
    let body = Value::Object(told.collect::<Map<_, _>>()).to_string();
    Answer::content(HeaderValue::from_static("application/json"), body)
}

fn named(fault: &str) -> Result<Kind, Refusal> {
    serde_json::from_value(Value::from(fault)).map_err(|_| {
        let text = "There is no such fault: script delay, refuse, stale or lost.";
        Refusal::error(StatusCode::NOT_FOUND, IssueCode::NotFound, text)
    })
}

fn unfit(text: &str) -> Refusal {
    Refusal::bad_request(IssueCode::Invalid, text)
}
