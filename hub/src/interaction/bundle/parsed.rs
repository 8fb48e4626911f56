//! A valid transaction, not yet looked at against the record.

use std::collections::HashSet;

use bytes::Bytes;
use fhir::outcome::IssueCode;
use fhir::validate::{Found, FoundKind, validate};
use http::Method;
use service::refusal::Refusal;

use super::entry::Job;
use super::incoming::{Entry, Incoming};
use super::{at, expression};
use crate::interaction::content::{check, refuse_issues, unreadable};
use crate::interaction::intent::Intent;
use crate::interaction::links::{Links, Place, base, conditional, element, rewrite};

/// What a transaction asks for.
#[derive(Debug)]
pub(super) struct Parsed {
    /// The entries.
    pub entries: Vec<Entry>,
    /// What each asks for.
    pub jobs: Vec<Job>,
    /// Each conditional reference once.
    pub conditional: Vec<ConditionalReference>,
    found: Vec<Found>,
}

/// A reference by criteria.
#[derive(Debug)]
pub(super) struct ConditionalReference {
    /// As it stands in the text.
    pub written: String,
    /// The type's name.
    pub resource_type: String,
    /// The criteria.
    pub criteria: String,
    /// Where it stands first.
    pub at: String,
}

impl Parsed {
    /// Validates a Bundle and reads what its entries ask for; `base` is our own.
    pub(super) fn new(incoming: Incoming, base: &str) -> Result<Self, Refusal> {
        let survey = validate(&incoming.text).map_err(|malformed| unreadable(&malformed))?;
        refuse_issues(&survey.issues)?;
        let found = survey.references;
        let entries = incoming.entries;
        let jobs = entries.iter().map(|entry| match entry.job(base)? {
            Job::Ask(ask) if ask.method == Method::POST => {
                let text = "An operation cannot be part of a transaction: send it in a batch.";
                let here = format!("{}.request.url", expression(entry.place));
                Err(at(here, IssueCode::NotSupported, text))
            }
            job => Ok(job),
        });
        let jobs = jobs.collect::<Result<Vec<Job>, Refusal>>()?;
        let conditional = conditional_references(&entries, &found);
        Ok(Self { entries, jobs, conditional, found })
    }

    /// The resource of an entry with its links rewritten, checked again: only now is it known of what
    /// type the resources are that it refers to.
    pub(super) fn rewritten(
        &self,
        entry: &Entry,
        intent: &Intent,
        links: &Links,
        own: &str,
    ) -> Result<Option<Bytes>, Refusal> {
        let Some((carried, _)) = intent.carries() else { return Ok(None) };
        let Some((start, resource)) = &entry.resource else { return Ok(None) };
        let base = entry.full_url.as_deref().and_then(base).unwrap_or(own);
        let place = Place { start: *start, resource, base, expression: &intent.at };
        let text = rewrite(&place, &self.found, links)?;
        check(&text, carried, &intent.at)?;
        Ok(Some(text.into()))
    }
}

fn conditional_references(entries: &[Entry], found: &[Found]) -> Vec<ConditionalReference> {
    let mut seen = HashSet::new();
    let mut references = Vec::new();
    for entry in entries {
        let Some((start, resource)) = &entry.resource else { continue };
        let first = found.partition_point(|span| span.start < *start);
        let last = found.partition_point(|span| span.start < start + resource.len());
        for span in found[first..last].iter().filter(|span| span.kind == FoundKind::Reference) {
            let (from, to) = (span.start - start, span.end - start);
            let written = String::from_utf8_lossy(&resource[from..to]);
            let Some((resource_type, criteria)) = conditional(&written) else { continue };
            if seen.insert(written.clone().into_owned()) {
                let at =
                    format!("{}.resource.{}", expression(entry.place), element(resource, from));
                let written = written.into_owned();
                references.push(ConditionalReference { written, resource_type, criteria, at });
            }
        }
    }
    references
}
