//! What is scripted, and for how long yet.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::registry::Registry;

/// Longest delay of a request.
const DELAY_MS_MAX: u64 = 60_000;
/// How long a script lasts that does not say.
const FOR_MS: u64 = 60_000;
/// Longest script.
const FOR_MS_MAX: u64 = 3_600_000;

/// A part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    Producer,
    Consumer,
    Token,
}

impl Part {
    /// The part that a path belongs to.
    pub(super) fn of(path: &str) -> Option<Self> {
        let first = path.trim_start_matches('/').split('/').next();
        match first {
            _ if path.ends_with("/_status") => None,
            Some("producer") => Some(Self::Producer),
            Some("consumer") => Some(Self::Consumer),
            Some("oauth2") => Some(Self::Token),
            _ => None,
        }
    }
}

/// What can be scripted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Delay,
    Refuse,
    Stale,
    Lost,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Delay, Self::Refuse, Self::Stale, Self::Lost];
}

/// A script as it was sent, and as it is told.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    afterwards: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    for_ms: Option<u64>,
}

impl Order {
    /// Whether a fault of this kind can be scripted so, or what to send instead.
    pub(super) fn check(&self, kind: Kind) -> Result<(), &'static str> {
        let ok = match kind {
            Kind::Delay => self.ms.is_some_and(|ms| (1..=DELAY_MS_MAX).contains(&ms)),
            Kind::Refuse => self.status.is_some_and(|status| (400..=599).contains(&status)),
            Kind::Stale | Kind::Lost => self.at.is_none(),
        };
        let own = (self.ms.is_none() || kind == Kind::Delay)
            && ((self.status.is_none() && self.afterwards.is_none()) || kind == Kind::Refuse);
        let bounded = self.for_ms.is_none_or(|ms| (1..=FOR_MS_MAX).contains(&ms));
        match kind {
            _ if !bounded => Err("for_ms is between 1 and 3600000."),
            _ if self.requests == Some(0) => Err("requests is at least 1."),
            _ if ok && own => Ok(()),
            Kind::Delay => Err("A delay takes ms (1 to 60000), at, requests and for_ms."),
            Kind::Refuse => {
                Err("A refusal takes status (400 to 599), afterwards, at, requests and for_ms.")
            }
            Kind::Stale | Kind::Lost => Err("A stale or lost registry takes requests and for_ms."),
        }
    }
}

/// A script under way.
#[derive(Debug, Clone)]
struct Scripted {
    order: Order,
    until_micros: i64,
    requests_left: Option<u64>,
}

impl Scripted {
    fn is_over(&self, now_micros: i64) -> bool {
        self.until_micros <= now_micros || self.requests_left == Some(0)
    }
}

/// What is to be done to a request.
#[derive(Debug, Default)]
pub(super) struct Doom {
    pub(super) delay: Option<Duration>,
    /// The status, and whether it is carried out first.
    pub(super) refuse: Option<(StatusCode, bool)>,
}

/// The scripts of all faults.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    scripts: Mutex<[Option<Scripted>; 4]>,
}

impl Faults {
    /// Takes a script, in place of an earlier one of its kind.
    pub(super) fn script(&self, kind: Kind, order: Order, now_micros: i64) {
        let for_micros = order.for_ms.unwrap_or(FOR_MS) as i64 * 1_000;
        let (until_micros, requests_left) = (now_micros + for_micros, order.requests);
        self.scripts()[kind as usize] = Some(Scripted { order, until_micros, requests_left });
    }

    /// Takes a script back.
    pub(super) fn take_back(&self, kind: Kind, registry: &Registry) {
        end(&mut self.scripts()[kind as usize], kind, registry);
    }

    /// What is to be done to a request, which counts for every script that is about it.
    pub(super) fn meet(&self, part: Part, now_micros: i64, registry: &Registry) -> Doom {
        let mut scripts = self.scripts();
        let mut doom = Doom::default();
        for kind in Kind::ALL {
            let script = &mut scripts[kind as usize];
            if script.as_ref().is_some_and(|script| script.is_over(now_micros)) {
                end(script, kind, registry);
            }
            let Some(script) = script else { continue };
            if script.order.at.is_some_and(|at| at != part) {
                continue;
            }
            if let Some(left) = &mut script.requests_left {
                *left -= 1;
            }
            match kind {
                Kind::Delay => doom.delay = script.order.ms.map(Duration::from_millis),
                Kind::Refuse => {
                    let status = script.order.status.and_then(|s| StatusCode::from_u16(s).ok());
                    let afterwards = script.order.afterwards.unwrap_or_default();
                    doom.refuse = status.map(|status| (status, afterwards));
                }
                Kind::Stale | Kind::Lost => {}
            }
        }
        doom
    }

    /// What is scripted, and what is left of it.
    pub(super) fn told(&self, now_micros: i64, registry: &Registry) -> [Option<Order>; 4] {
        let mut scripts = self.scripts();
        Kind::ALL.map(|kind| {
            let script = &mut scripts[kind as usize];
            if script.as_ref().is_some_and(|script| script.is_over(now_micros)) {
                end(script, kind, registry);
            }
            script.as_ref().map(|script| Order {
                requests: script.requests_left,
                for_ms: Some(script.until_micros.abs_diff(now_micros) / 1_000),
                ..script.order.clone()
            })
        })
    }

    fn scripts(&self) -> MutexGuard<'_, [Option<Scripted>; 4]> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end(script: &mut Option<Scripted>, kind: Kind, registry: &Registry) {
    *script = None;
    match kind {
        Kind::Stale => registry.thaw(),
        Kind::Lost => registry.find(),
        Kind::Delay | Kind::Refuse => {}
    }
}
