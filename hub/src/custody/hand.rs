//! By whose hand a write is made. Decided against the version that is there when the write has its turn,
//! so that no one's custody changes between a look and a write. Pure.

use fhir::definitions::ResourceType;
use fhir::tree::Tree;

use super::Custodian;
use super::task::{TASK, is_ours};
use crate::store::write::{Conflict, Content, Held, Write};

/// Who writes, and what may be done to what belongs to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hand {
    /// The custodian of what it creates.
    pub organisation: Custodian,
    /// What it may do.
    pub may: May,
}

/// What may be done to another organisation's resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum May {
    /// Anything: the hub itself, which also says whose a resource becomes.
    Decide,
    /// Anything.
    All,
    /// All but to take security labels away.
    Edit,
    /// Nothing.
    Own,
}

impl Hand {
    /// The hub's own; what it stores becomes `custodian`'s.
    pub fn hubs(custodian: Custodian) -> Self {
        Self { organisation: custodian, may: May::Decide }
    }

    /// Whose a resource is from this write on.
    pub fn custodian(&self, held: Option<&Held>, content: Option<&Content>) -> Custodian {
        match (held, content) {
            (_, Some(content)) if self.may == May::Decide => content.custodian.clone(),
            (Some(held), _) => held.custodian.clone(),
            (None, _) => self.organisation.clone(),
        }
    }
}

/// Refuses what this hand may not do to what is there.
pub fn permit(write: &Write, held: Option<&Held>) -> Result<(), Conflict> {
    let Hand { organisation, may } = &write.hand;
    if *may == May::Decide {
        return Ok(());
    }
    let body = held.filter(|_| write.resource_type == TASK).and_then(|h| h.version.body.as_ref());
    let content = write.action.content();
    // What is asked for would be done: so no one else says who asks, nor of whom.
    if content.is_some_and(|content| content.asks) || body.is_some_and(|body| is_ours(body)) {
        return Err(Conflict::ByOperation);
    }
    let theirs = held.filter(|held| held.custodian != *organisation);
    match (may, theirs) {
        (May::Own, Some(Held { version, .. })) => {
            let current = format!("{}/_history/{}", write.name(), version.version);
            return Err(Conflict::NotCustodian { current });
        }
        (May::Edit, Some(Held { version, custodian })) => {
            if let Some(before) = &version.body {
                let after = content.map(|content| content.draft.render(1, 0, custodian));
                keeps_labels(write.resource_type, before, after.as_deref())?;
            }
        }
        _ => {}
    }
    let Some(content) = content else { return Ok(()) };
    let custodian = held.map_or(organisation, |held| &held.custodian);
    match content.claims.iter().find(|(_, claimed)| claimed != custodian) {
        Some((place, _)) => {
            let tag = format!("{}.meta.tag[{place}]", write.resource_type);
            Err(Conflict::OtherCustodian { tag })
        }
        None => Ok(()),
    }
}

/// Refuses a text in which a security label of the one before is missing; none, if there is no text.
pub fn keeps_labels(
    resource_type: ResourceType,
    before: &[u8],
    after: Option<&[u8]>,
) -> Result<(), Conflict> {
    let read = |text| Tree::parse(text).expect("what is written was read before it is written");
    let (before, after) = (read(before), after.map(read));
    let kept = after.as_ref().map_or(&[][..], labels);
    let is_kept = |label: &Tree<'_>| kept.iter().any(|there| same(there, label));
    if labels(&before).iter().all(is_kept) {
        return Ok(());
    }
    Err(Conflict::LabelGone { labels: format!("{resource_type}.meta.security") })
}

fn labels<'t, 'a>(resource: &'t Tree<'a>) -> &'t [Tree<'a>] {
    let labels = resource.get("meta").and_then(|meta| meta.get("security"));
    labels.map_or(&[], Tree::items)
}

fn same(a: &Tree<'_>, b: &Tree<'_>) -> bool {
    a.text("system") == b.text("system") && a.text("code") == b.text("code")
}
