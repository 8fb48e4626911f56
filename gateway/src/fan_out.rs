//! One question to many regions at once. The home hub is asked without waiting for the locator,
//! the others as soon as it has said who they are; dropping the future drops every request.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use fhir::identifier::{OdsCode, PatientNumber};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use url::form_urlencoded;

use crate::Gateway;
use crate::context::Context;
use crate::directory::Region;
use crate::error::GatewayError;
use crate::identity::whereabouts;
use crate::kind::Kind;
use crate::outcome::{Failure, Gap};
use crate::question::Question;
use crate::region::{self, HubSearch, RegionAnswer};

/// How one region ended.
#[derive(Debug)]
pub struct Regional {
    /// The region.
    pub region: Arc<Region>,
    /// What it holds, or why that is not known.
    pub result: Result<RegionAnswer, Failure>,
}

/// Every region's answer, in the order of the directory.
#[derive(Debug)]
pub struct Collected {
    /// The regions that were asked.
    pub answers: Vec<Regional>,
    /// The numbers by which they were asked.
    pub numbers: Vec<PatientNumber>,
    /// Organisations that hold something and could not be asked.
    pub unknown: Vec<OdsCode>,
    /// How many organisations the locator named.
    pub located: usize,
    /// What else is not known.
    pub gaps: Vec<Gap>,
}

/// Asks every region that holds something, until all have answered or the deadline has come.
pub async fn fan_out(
    gateway: &Gateway,
    question: &Question,
    context: &Context,
) -> Result<Collected, GatewayError> {
    let page_size = gateway.federation().page_size;
    let search = |numbers: &[PatientNumber]| {
        hub_search(question.kind, numbers, &question.forwarded, page_size)
    };
    let mut asked = FuturesUnordered::new();
    let mut answers = Vec::new();
    let home = gateway.directory().home();
    if let Some(home) = home {
        asked.push(ask(gateway, home.clone(), search(&[question.number]), context));
    }
    let mut locating = pin!(whereabouts(gateway, question.number, context));
    let found = loop {
        tokio::select! {
            found = &mut locating => break found?,
            Some(answer) = asked.next() => answers.push(answer),
        }
    };
    let search = search(&found.numbers);
    for region in &found.regions {
        if home.is_none_or(|home| home.ods != region.ods) {
            asked.push(ask(gateway, region.clone(), search.clone(), context));
        }
    }
    while let Some(answer) = asked.next().await {
        answers.push(answer);
    }
    answers.sort_by_key(|answer| gateway.directory().place(&answer.region.ods));
    Ok(Collected {
        answers,
        located: found.regions.len() + found.unknown.len(),
        numbers: found.numbers,
        unknown: found.unknown,
        gaps: found.gaps,
    })
}

async fn ask(
    gateway: &Gateway,
    region: Arc<Region>,
    search: HubSearch,
    context: &Context,
) -> Regional {
    let result = region::search(gateway.client(), &region, &search, context).await;
    Regional { region, result }
}

/// A hub's search for everything of a kind that belongs to the patient with one of these numbers,
/// the patient included.
pub fn hub_search(
    kind: &Kind,
    numbers: &[PatientNumber],
    forwarded: &[(String, String)],
    page_size: u32,
) -> HubSearch {
    let numbers: Vec<_> =
        numbers.iter().map(|number| format!("{}|{}", number.system(), number.value())).collect();
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair(kind.identity_parameter(), &numbers.join(","));
    form.extend_pairs(forwarded);
    if let Some(parameter) = kind.patient {
        form.append_pair("_include", &format!("{}:{parameter}", kind.name()));
    }
    form.append_pair("_count", &page_size.to_string());
    HubSearch {
        kind: kind.name(),
        form: Bytes::from(form.finish()),
        parameters: forwarded.iter().map(|(name, _)| name.clone()).collect(),
    }
}
