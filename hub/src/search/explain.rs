//! `GET /explain?path=Observation%3Fpatient%3Dp%26code%3Dc` on the admin listener: how a search would
//! be answered. Nothing is searched, and no value of the search comes back: only names, kinds and
//! numbers of alternatives.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query as Form, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use service::refusal::Refusal;

use super::condition::{Condition, Keys, Test, Under};
use super::page::{plan, units};
use super::parameters::parse;
use super::plan::Scope;
use crate::Hub;
use crate::access::View;
use crate::error::HubError;
use crate::interaction::search::{below, decode};
use crate::store::Engine;
use crate::store::query::Argument;

/// The search: its path and query below the base.
#[derive(Debug, Deserialize)]
struct Asked {
    path: String,
}

/// How a search would be answered.
#[derive(Debug, Serialize)]
struct Explanation {
    /// `sqlite` or `postgres`
    engine: &'static str,
    /// Names of the parameters that count.
    understood: Vec<String>,
    /// Sentences about those that do not.
    left_out: Vec<String>,
    /// The conditions, each by its kind and its number of alternatives.
    conditions: Vec<String>,
    /// What is walked through.
    driver: &'static str,
    /// The first page's query.
    sql: String,
    /// The kinds of its arguments, in order.
    arguments: Vec<&'static str>,
    /// What the engine makes of it, a line a step.
    plan: Vec<String>,
}

/// The route.
pub fn router(hub: Arc<Hub>) -> Router {
    Router::new().route("/explain", get(explain)).with_state(hub)
}

async fn explain(
    State(hub): State<Arc<Hub>>,
    Form(asked): Form<Asked>,
) -> Result<Response, HubError> {
    let explanation = explanation(&hub, &asked.path).await?;
    let json = serde_json::to_vec_pretty(&explanation).map_err(|e| Refusal::internal(&e))?;
    Ok(([(CONTENT_TYPE, "application/json")], json).into_response())
}

async fn explanation(hub: &Hub, asked: &str) -> Result<Explanation, HubError> {
    let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
    let pairs = decode(query.as_bytes());
    let place = below(hub, path, &pairs)?;
    let search = parse(place, &pairs, false, &hub.store.terms(), hub.base())?;
    let units = if search.needs_units { units(hub).await? } else { Vec::new() };
    let view = View::whole();
    let plan = plan(hub, &search, &view, &units);
    let page = plan.page(Scope::All, None, search.count + 1);
    let left_out = search.left_out.iter().filter_map(|issue| issue.diagnostics.clone());
    let (engine, sql) = match hub.store.engine() {
        Engine::Sqlite => ("sqlite", page.sql().to_owned()),
        Engine::Postgres => ("postgres", page.postgres_sql()),
    };
    Ok(Explanation {
        engine,
        understood: search.executed.iter().map(|(name, _)| name.clone()).collect(),
        left_out: left_out.collect(),
        conditions: search.matching.conditions.iter().map(described).collect(),
        driver: plan.driver(),
        sql,
        arguments: page.arguments().iter().map(kind).collect(),
        plan: hub.store.explain(&page).await?,
    })
}

fn kind(argument: &Argument) -> &'static str {
    match argument {
        Argument::Number(_) => "number",
        Argument::Real(_) => "real",
        Argument::Text(_) => "text",
    }
}

fn described(condition: &Condition) -> String {
    match condition {
        Condition::Ids { ids, .. } => format!("id: {}", ids.len()),
        Condition::LastUpdated(tests) => format!("last updated: {}", tests.len()),
        Condition::Value(under, test) => value(under, test),
        Condition::Referred { sources, .. } => {
            format!("referred to by what meets {} conditions", sources.conditions.len())
        }
        Condition::Compartment(patients) => format!("compartment of {}", entries(patients)),
        Condition::ReferredFrom { source, .. } => {
            format!("referred to from ({})", described(source))
        }
        Condition::Within(_) => "clinical time".into(),
        Condition::Listed { lists, .. } => format!("listed by {}", entries(lists)),
        Condition::Present(_, table) => format!("has a value in {table:?}").to_lowercase(),
        Condition::Not(condition) => format!("not ({})", described(condition)),
        Condition::Any(any) => any.iter().map(described).collect::<Vec<_>>().join(" or "),
    }
}

fn value(under: &Under, test: &Test) -> String {
    let (what, count) = match test {
        Test::Token { any, by_patient: true } => ("token, kept by patient too", any.len()),
        Test::Token { any, by_patient: false } => ("token", any.len()),
        Test::Below(uris) => ("uri or what is below it", uris.len()),
        Test::Date(dates) => ("date", dates.len()),
        Test::Number(numbers) => ("number", numbers.len()),
        Test::Near(circles) => ("position", circles.len()),
        Test::Reference { targets, compartment: true } => {
            return format!("reference into the compartment of {}", entries(targets));
        }
        Test::Reference { targets, compartment: false } => {
            return format!("reference to {}", entries(targets));
        }
    };
    match under {
        Under::Parameters(_) => format!("{what}: {count}"),
        Under::Pairs { .. } => format!("composite with {what}: {count}"),
    }
}

fn entries(keys: &Keys) -> String {
    match keys {
        Keys::Entries(entries) => format!("{} named", entries.len()),
        Keys::Identified { numbers, others, .. } => {
            format!("{} by identifier", numbers.len() + others.len())
        }
        Keys::Texts(texts) => format!("{} texts", texts.len()),
        Keys::Matching(matching) => format!("what matches, {} alternatives", matching.len()),
    }
}
