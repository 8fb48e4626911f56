//! A resource and those that it contains: each is referred to, and no reference within leads nowhere.
//! <https://hl7.org/fhir/R4/references.html#contained> (dom-3, ref-1)

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::walk::{Place, Segment, Walk};
use crate::definitions::ResourceType;
use crate::outcome::IssueCode;

/// A resource may refer to this many different ids within itself.
const TARGETS_MAX: usize = 10_000;

/// What one resource contains, and what of that is referred to.
#[derive(Default)]
pub(super) struct Container<'a> {
    contained: Vec<Contained>,
    /// Which of them has an id.
    ids: BTreeMap<Cow<'a, str>, usize>,
    /// Each id that is referred to, and where a Reference first does.
    targets: BTreeMap<Cow<'a, str>, Option<String>>,
}

struct Contained {
    /// Its place in the array.
    item: usize,
    /// Whether something in it refers to the container.
    refers_out: bool,
}

impl<'a> Walk<'a> {
    /// A contained resource begins here.
    pub(super) fn contain(&mut self) {
        let item = match self.path.last() {
            Some(Segment::Index(item)) => *item,
            _ => 0,
        };
        self.container.contained.push(Contained { item, refers_out: false });
    }

    /// The contained resource that is being read has this id.
    pub(super) fn identify(&mut self, id: Cow<'a, str>) {
        // One that is contained in a contained one is refused for that.
        let Some(number) = self.container.contained.len().checked_sub(1) else { return };
        if self.container.ids.insert(id, number).is_some() {
            let message = "Another contained resource has this id.";
            self.issue(IssueCode::Duplicate, message);
        }
    }

    /// Something here refers to `#target`; `reference` if it is a Reference, which must find it.
    pub(super) fn refer(&mut self, target: Cow<'a, str>, reference: bool) {
        if target.is_empty() {
            if self.place() == Place::Contained
                && let Some(contained) = self.container.contained.last_mut()
            {
                contained.refers_out = true;
            }
            return;
        }
        let known = self.container.targets.get(&target);
        if known.is_some_and(|first| first.is_some() || !reference) {
            return;
        }
        if known.is_none() && self.container.targets.len() >= TARGETS_MAX {
            let message = "A resource may refer to at most 10000 contained ids.";
            self.issue(IssueCode::TooCostly, message);
            return;
        }
        let at = reference.then(|| self.expression());
        self.container.targets.insert(target, at);
    }

    /// The container ends here: says what is not referred to, and what is not there.
    pub(super) fn close(&mut self, container: &Container<'a>, resource_type: Option<ResourceType>) {
        let may_contain = |t: ResourceType| t.definition().element("contained").is_some();
        let references =
            container.targets.iter().filter(|(id, _)| !container.ids.contains_key(*id));
        // Parameters may speak of a resource that is elsewhere.
        if resource_type.is_some_and(may_contain) {
            for at in references.filter_map(|(_, at)| at.as_ref()) {
                let message = "This refers to a contained resource that is not there. (ref-1)";
                self.issue_of(at.clone(), IssueCode::Invariant, message);
            }
        }
        for (id, number) in &container.ids {
            let unused = !container.targets.contains_key(id);
            let contained = container.contained.get(*number);
            if let Some(contained) = contained.filter(|c| unused && !c.refers_out) {
                let path = [Segment::Element("contained"), Segment::Index(contained.item)];
                let message = "A contained resource must be referred to by what contains it, or \
                               refer to that itself. (dom-3)";
                self.issue_below(&path, IssueCode::Invariant, message);
            }
        }
    }
}

const _: () = assert!(TARGETS_MAX == 10_000, "the sentence says the number");
