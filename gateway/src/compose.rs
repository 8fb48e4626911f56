//! The answer: what every region said, checked and merged, and what is missing, first.

use std::sync::Arc;

use fhir::OWN_SYSTEM;
use fhir::bundle::{SearchMode, SearchsetWriter};
use fhir::identifier::{OdsCode, PatientNumber};
use fhir::instant::format_instant;
use fhir::outcome::{Issue, OperationOutcome, Severity};
use http::HeaderValue;

use crate::Gateway;
use crate::context::Context;
use crate::directory::Region;
use crate::error::GatewayError;
use crate::fan_out::Collected;
use crate::linkage::linkages;
use crate::merge::check::{Asked, Candidate, Expected, check};
use crate::merge::demographics::disagreements;
use crate::merge::key::Reading;
use crate::merge::{Merged, Shown, Source, merge, rules};
use crate::outcome::RegionStatus;
use crate::page::Page;
use crate::page::snapshot;
use crate::page::turn::Turn;
use crate::question::{Dedup, Pages, Question, Total};
use crate::remarks;
use crate::tally::Tally;

/// A searchset and what its headers have to say.
#[derive(Debug)]
pub struct Composed {
    /// The Bundle.
    pub body: Vec<u8>,
    /// Whether everything that matches, anywhere, is in it.
    pub complete: bool,
    /// The value of `X-Federation-Regions`.
    pub regions: HeaderValue,
    /// What was asked, if it is a page link that asks it.
    pub behind_link: Option<String>,
}

/// Everything there is to say, before it is written.
#[derive(Debug)]
pub struct Assembled<'a> {
    /// The entries.
    pub merged: Merged<'a>,
    /// Whether everything that matches, anywhere, is among them.
    pub complete: bool,
    /// How many matches there are on all pages, if that can be said.
    pub total: Option<u64>,
    /// The value of `X-Federation-Regions`.
    pub regions: HeaderValue,
    /// What the answer says about itself.
    pub issues: Vec<Issue>,
    /// The parameters that some region left out.
    pub left_out: Vec<String>,
}

/// Composes the answer, or says why what there is must not be shown.
pub fn compose(
    gateway: &Gateway,
    context: &Context,
    (question, collected, turn): &mut Page,
) -> Result<Composed, GatewayError> {
    let assembled = assemble(gateway, context, question, collected, turn)?;
    if question.pages == Pages::Snapshot && !question.count_only {
        return snapshot::take(gateway, context, question, collected, assembled);
    }
    let Assembled { merged, complete, total, regions, mut issues, left_out } = assembled;
    let own = question.self_url(gateway.base(), &left_out);
    let links = turn.links(gateway, context, question, collected, own)?;
    issues.extend(links.retry_too_costly.then(remarks::retry_too_costly));
    let head = Head { complete, total, links: links.urls };
    let body = write(gateway, question, &merged, &head, issues);
    let behind_link = (!turn.first).then(|| question.form());
    Ok(Composed { body, complete, regions, behind_link })
}

/// Checks and merges what every region said, or says why it must not be shown.
pub fn assemble<'a>(
    gateway: &Gateway,
    context: &Context,
    question: &'a Question,
    collected: &'a Collected,
    turn: &mut Turn,
) -> Result<Assembled<'a>, GatewayError> {
    let mut tally = Tally::new(collected.gaps.clone());
    let sources = sources(gateway, context, question, collected, &mut tally);
    settle(gateway, collected, &sources, turn, &mut tally);
    for ods in &collected.unknown {
        tracing::warn!(region.ods = %ods, "an organisation that holds records is not in the \
            directory");
        tally.count_unknown(ods);
    }
    if let Some(issues) = tally.refused_by_all() {
        return Err(GatewayError::RefusedByAll(issues));
    }
    let complete = tally.is_complete();
    if tally.is_failed() || (question.complete_only && !complete) {
        return Err(GatewayError::NoRegionAnswered(tally.shortfall()));
    }
    let mut issues = tally.issues(Severity::Warning);
    issues.extend(collected.superseded.then(remarks::superseded));
    issues.extend(sources.iter().flat_map(|s| remarks::of_source(s, collected.superseded)));
    let anothers = sources.iter().any(|source| source.checked.anothers > 0);
    let mut merged = merge(sources, question.dedup, question.order.descending);
    let folded_before = turn.fold(&mut merged, question);
    issues.extend(doubts(gateway, &merged));
    issues.extend(about_page(gateway, turn));
    issues.extend(question.notes.iter().cloned());
    let left_out = left_out(collected);
    let unsaid = left_out.iter().filter(|name| !issues.iter().any(|i| i.expression.contains(name)));
    let unsaid: Vec<_> = unsaid.map(|name| remarks::parameter_left_out(name)).collect();
    issues.extend(unsaid);
    if !question.count_only {
        issues.extend(remarks::findings(gateway.base(), &merged));
        let again = folded_before.iter().map(|place| &merged.matches[*place]);
        issues.extend(again.map(remarks::folded_before));
    }
    if turn.first && tally.is_unregistered(collected.located) {
        issues.push(remarks::unregistered());
    }
    issues.extend(only(gateway, question, collected));
    let total = total(question, turn, &merged, anothers).filter(|_| complete);
    if turn.first {
        turn.total = total;
    }
    Ok(Assembled { merged, complete, total, regions: tally.header(), issues, left_out })
}

/// Of which regions the answer speaks, if not of all.
fn only(gateway: &Gateway, question: &Question, collected: &Collected) -> Option<Issue> {
    let directory = gateway.directory();
    let chosen = question.regions.iter().filter_map(|ods| directory.find(ods));
    let is_asked =
        |region: &Arc<Region>| collected.answers.iter().any(|of| of.region.ods == region.ods);
    let (asked, others): (Vec<_>, Vec<_>) = chosen.partition(is_asked);
    (!question.regions.is_empty()).then(|| remarks::only(&asked, &others))
}

/// The regions' checked answers; every region is counted, whatever it sent.
fn sources<'a>(
    gateway: &Gateway,
    context: &Context,
    question: &'a Question,
    collected: &'a Collected,
    tally: &mut Tally,
) -> Vec<Source<'a>> {
    let expected = expected(question, &collected.numbers);
    let mut sources = Vec::new();
    for answer in &collected.answers {
        let region = &*answer.region;
        let checked = match &answer.result {
            Ok(said) => {
                check(&said.entries, region.base(), &expected).map(|checked| (said, checked))
            }
            Err(failure) => {
                note(gateway, context, &region.ods, failure.status);
                tally.count_failure(region, failure.clone());
                continue;
            }
        };
        match checked {
            Ok((said, checked)) => {
                let status = said.status(checked.matches.len());
                note(gateway, context, &region.ods, status);
                tally.count(region, status, said.issues.clone());
                sources.push(Source { region, checked });
            }
            Err(status) => {
                note(gateway, context, &region.ods, status);
                tally.count(region, status, Vec::new());
            }
        }
    }
    sources
}

/// What a region's answer has to be.
pub fn expected<'p>(question: &'p Question, numbers: &'p [PatientNumber]) -> Expected<'p> {
    let kind = question.kind;
    let told_apart = question.dedup != Dedup::Off && !question.count_only;
    let members = if told_apart { rules::members(kind.resource_type) } else { &[] };
    let (subjects, order) = (&kind.subjects, &question.order);
    let reading = Reading { subjects, dates: &order.dates, pick: order.pick, members };
    let asked = match question.everything {
        Some(_) => Asked::Everything,
        None => Asked::Type(kind.resource_type, reading),
    };
    Expected { asked, numbers, includes: question.has_includes(), told_apart }
}

fn note(gateway: &Gateway, context: &Context, ods: &OdsCode, status: RegionStatus) {
    if let Some(standing) = gateway.directory().standing(ods) {
        standing.counter.note(status);
    }
    match status {
        RegionStatus::Ok | RegionStatus::Empty | RegionStatus::Suppressed => {}
        RegionStatus::WrongPatient => {
            tracing::error!(region.ods = %ods, "ALERT: a region sent something of another patient");
            let of_region = format!("/FHIR/R4/at/{ods}");
            gateway.journal().alert(&context.caller, &of_region, status.as_str());
        }
        _ => tracing::warn!(
            region.ods = %ods,
            region.status = status.as_str(),
            "a region is missing from an answer"
        ),
    }
}

/// Whether the Patients of the answer can be one person; if not, somebody has to look.
fn doubts(gateway: &Gateway, merged: &Merged<'_>) -> Vec<Issue> {
    let found = disagreements(merged.people());
    for doubt in &found {
        tracing::error!(region.ods = %doubt.first.region.ods, other.ods = %doubt.second.region.ods,
            "ALERT: regions hold different people under one number");
    }
    found.iter().map(|doubt| remarks::disagreement(gateway.base(), doubt)).collect()
}

/// What the check of the regions' answers means for the page: nothing is shown of those that did not
/// pass, so they stand where they stood; and what the pages have passed by is told.
fn settle(
    gateway: &Gateway,
    collected: &Collected,
    sources: &[Source<'_>],
    turn: &mut Turn,
    tally: &mut Tally,
) {
    for answer in collected.answers.iter().filter(|answer| answer.result.is_ok()) {
        let ods = &answer.region.ods;
        if !sources.iter().any(|source| source.region.ods == *ods) {
            turn.fail(ods);
        }
    }
    let directory = gateway.directory();
    for region in turn.passed_by().filter_map(|ods| directory.find(ods)) {
        tally.lack(remarks::passed_by(&region));
    }
}

/// What there is to say of how the page came about.
fn about_page(gateway: &Gateway, turn: &Turn) -> Vec<Issue> {
    let mut issues: Vec<_> = turn.unordered.iter().map(|r| remarks::unordered(r)).collect();
    if turn.retry {
        let directory = gateway.directory();
        let regions = turn.regions().filter_map(|ods| directory.find(ods));
        issues.push(remarks::retried(regions));
    }
    issues
}

/// How many matches there are on all pages, if that can be said of a complete answer.
fn total(question: &Question, turn: &Turn, merged: &Merged<'_>, anothers: bool) -> Option<u64> {
    match question.total {
        Total::None if !question.count_only => None,
        _ if turn.is_all() => Some(merged.shown_count() as u64),
        Total::Estimate => turn.total,
        // Nobody knows what the pages to come will fold, or leave out.
        _ => turn.total.filter(|_| !turn.first || (question.dedup != Dedup::Fold && !anothers)),
    }
}

/// The parameters that some region left out, each once.
fn left_out(collected: &Collected) -> Vec<String> {
    let answered = collected.answers.iter().filter_map(|answer| answer.result.as_ref().ok());
    let mut names: Vec<_> = answered.flat_map(|said| said.left_out.iter().cloned()).collect();
    names.sort();
    names.dedup();
    names
}

/// A Bundle's members that say whether it is complete, and when it was.
pub fn meta(complete: bool, at_micros: i64) -> String {
    let (code, at) = (if complete { "complete" } else { "partial" }, format_instant(at_micros));
    format!(
        r#""meta":{{"tag":[{{"system":"{OWN_SYSTEM}completeness","code":"{code}"}}]}},"timestamp":"{at}","#
    )
}

/// What stands before a Bundle's entries.
struct Head {
    complete: bool,
    total: Option<u64>,
    links: Vec<(&'static str, String)>,
}

fn write(
    gateway: &Gateway,
    question: &Question,
    merged: &Merged<'_>,
    head: &Head,
    issues: Vec<Issue>,
) -> Vec<u8> {
    let meta = meta(head.complete, gateway.now_micros());
    let links: Vec<_> = head.links.iter().map(|(r, url)| (*r, url.as_str())).collect();
    let bytes: usize = merged.shown().map(|shown| shown.candidate.resource.len() + 320).sum();
    let capacity = if question.count_only { 0 } else { bytes };
    let mut writer = SearchsetWriter::new(&meta, head.total, &links, capacity);
    if !issues.is_empty() {
        writer.outcome(&OperationOutcome { issue: issues });
    }
    let mut entry = |shown: &Shown<'_>, mode| {
        let canonical = shown.canonical_url();
        let links = [("canonical", canonical.as_str())];
        let Candidate { key, resource } = &shown.candidate;
        let part = question.part(&key.resource_type, resource);
        writer.entry(&shown.full_url(gateway.base()), &links, &part, mode);
    };
    if !question.count_only {
        merged.shown().for_each(|shown| entry(shown, SearchMode::Match));
    }
    if !question.count_only {
        merged.includes.iter().for_each(|shown| entry(shown, SearchMode::Include));
    }
    if question.show_patient && !question.count_only {
        merged.patients.iter().for_each(|shown| entry(shown, SearchMode::Include));
    }
    if !question.count_only {
        for linkage in linkages(merged, gateway.ods()) {
            writer.transient(&linkage, SearchMode::Include);
        }
    }
    writer.finish()
}
