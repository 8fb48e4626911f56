//! How late a region answers, and how wrong.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::StreamExt;
use futures::stream;
use tokio::time::sleep;

use super::fhir;

/// Bytes a second of a region that drips.
const DRIP: usize = 1_000;

/// How late an answer is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delay {
    /// As many answers are later as are earlier.
    pub(super) middle: Duration,
    /// The deviation of the delay's logarithm; 0 for the same delay always.
    pub(super) spread: f64,
}

impl Delay {
    /// Waits, so many times as long.
    pub(super) async fn pass(self, times: u32) {
        if !self.middle.is_zero() {
            let spread = if self.spread > 0.0 { (self.spread * normal()).exp() } else { 1.0 };
            sleep(self.middle.mul_f64(spread) * times).await;
        }
    }
}

/// A number of the normal distribution, by Box and Muller.
fn normal() -> f64 {
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    let random = RandomState::new().hash_one(DRAWN.fetch_add(1, Ordering::Relaxed));
    let unit = |bits: u64| (f64::from(bits as u32) + 1.0) / (f64::from(u32::MAX) + 2.0);
    (-2.0 * unit(random).ln()).sqrt() * (std::f64::consts::TAU * unit(random >> 32)).cos()
}

/// How a region misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It takes the question and never answers.
    Silent,
    /// It takes ten times as long.
    Slow,
    /// Its answer comes at a thousand bytes a second.
    Drip,
    /// It is overloaded.
    Refuse,
    /// Its answer breaks off within a resource.
    Broken,
}

impl Fault {
    /// The answer of a region that misbehaves so.
    pub(super) async fn answer(self, body: Bytes) -> Response {
        match self {
            Self::Slow => fhir(body.into()),
            Self::Silent => std::future::pending().await,
            Self::Drip => {
                let drops = body.chunks(DRIP / 10).map(Bytes::copy_from_slice).collect::<Vec<_>>();
                fhir(Body::from_stream(stream::iter(drops).then(async |drop| {
                    sleep(Duration::from_millis(100)).await;
                    Ok::<_, Infallible>(drop)
                })))
            }
            Self::Refuse => {
                let mut response = fhir(Body::empty());
                *response.status_mut() = axum::http::StatusCode::SERVICE_UNAVAILABLE;
                response
            }
            Self::Broken => fhir(body.slice(..body.len() * 9 / 10).into()),
        }
    }
}

/// A region, by its number, and how it misbehaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faulty {
    pub(super) region: u16,
    pub(super) fault: Fault,
}

impl FromStr for Faulty {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is not NUMBER=silent, slow, drip, refuse or broken");
        let (region, fault) = text.split_once('=').ok_or_else(wrong)?;
        let fault = match fault {
            "silent" => Fault::Silent,
            "slow" => Fault::Slow,
            "drip" => Fault::Drip,
            "refuse" => Fault::Refuse,
            "broken" => Fault::Broken,
            _ => return Err(wrong()),
        };
        Ok(Self { region: region.parse().map_err(|_| wrong())?, fault })
    }
}
