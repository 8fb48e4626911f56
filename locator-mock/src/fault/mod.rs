//! Scripted misbehaviour, for those who test what becomes of a region when its locator fails.
//!
//! The admin listener takes scripts; the API misbehaves until a script is over or taken back.
//!
//! | request | from then on |
//! |---|---|
//! | `PUT /faults/delay` `{"ms": 300}` | each request waits first, at most a minute |
//! | `PUT /faults/refuse` `{"status": 503}` | each is refused (400 to 599) with `FAILURE_TO_PROCESS_MESSAGE` |
//! | … `{"status": 503, "afterwards": true}` | it is carried out and refused nevertheless: its sender cannot know |
//! | `PUT /faults/stale` | reads see the registry as it is now, whatever is written |
//! | `PUT /faults/lost` | the registry is empty; what is written to it is kept until the script is over |
//! | `GET /faults` | says what is scripted |
//! | `DELETE /faults/{fault}`, `DELETE /faults` | takes one back, or all |
//!
//! Every script is bounded. `"for_ms"`: how long it lasts (one minute without it; at most an hour).
//! `"requests"`: after how many requests it is over, if sooner. `"at"`: `"producer"`, `"consumer"` or
//! `"token"`, for a delay or refusal of that part of the API alone. A second script of a fault takes
//! the first one's place. Probes, `_status` and the admin listener are never touched.
//!
//! A stale or lost registry loses nothing: the database file stays as it is, or has what was written,
//! and is back when the script is over, or when the locator is restarted.

mod admin;
mod script;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

pub(crate) use admin::routes;
pub(crate) use script::Faults;

use crate::Locator;
use crate::error::LocatorError;

/// Middleware: does to a request what is scripted.
pub(crate) async fn interfere(
    State(locator): State<Locator>,
    request: Request,
    next: Next,
) -> Response {
    let Some(part) = script::Part::of(request.uri().path()) else {
        return next.run(request).await;
    };
    let doom = locator.faults().meet(part, locator.now_micros(), locator.registry());
    if let Some(delay) = doom.delay {
        tokio::time::sleep(delay).await;
    }
    match doom.refuse {
        None => next.run(request).await,
        Some((status, afterwards)) => {
            if afterwards {
                next.run(request).await;
            }
            LocatorError::Scripted(status).into_response()
        }
    }
}
