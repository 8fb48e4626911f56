//! The values that a search parameter finds in a resource.
//!
//! [`values`] walks a parameter's compiled [`Term`]s over a [`Tree`] and gives every value found, typed,
//! borrowed from the tree. What a value becomes in an index is the reader's business. [`composites`] does the
//! same for the components of a composite, element by element. The types are in [`value`]; how each R4
//! data type is read, in `leaf`.

mod leaf;
pub mod value;

use crate::definitions::{Leaf, ResourceType, SearchParameter, Step, Term};
use crate::tree::Tree;
pub use value::{IdentifierValue, PeriodValue, QuantityValue, ReferenceValue, Value};

/// Every value of a parameter in a resource; none for a composite.
pub fn values<'t>(parameter: &SearchParameter, resource: &'t Tree<'t>) -> Vec<Value<'t>> {
    let mut found = Vec::new();
    collect(&parameter.terms, resource, resource, &mut found);
    found
}

/// As [`values`], but adds to `found`: one vector serves all parameters of a resource.
pub fn values_into<'t>(
    parameter: &SearchParameter,
    resource: &'t Tree<'t>,
    found: &mut Vec<Value<'t>>,
) {
    collect(&parameter.terms, resource, resource, found);
}

/// For each element that a composite starts from, the values of each of its components, in their order.
///
/// An element in which some component has no value matches nothing and is left out.
pub fn composites<'t>(
    parameter: &SearchParameter,
    resource: &'t Tree<'t>,
) -> Vec<Vec<Vec<Value<'t>>>> {
    let mut found = Vec::new();
    if parameter.components.is_empty() {
        return found;
    }
    for term in &parameter.terms {
        walk(resource, &term.steps, &mut |element| {
            let mut components = Vec::with_capacity(parameter.components.len());
            for component in &parameter.components {
                let mut values = Vec::new();
                collect(&component.terms, element, resource, &mut values);
                components.push(values);
            }
            if components.iter().all(|values| !values.is_empty()) {
                found.push(components);
            }
        });
    }
    found
}

fn collect<'t>(
    terms: &[Term],
    element: &'t Tree<'t>,
    resource: &'t Tree<'t>,
    found: &mut Vec<Value<'t>>,
) {
    for term in terms {
        let start = if term.from_resource { resource } else { element };
        if term.leaf == Leaf::Truth {
            found.push(truth(&term.steps, start));
            continue;
        }
        walk(start, &term.steps, &mut |node| {
            if let Some(target) = term.target
                && !may_refer_to(node, target, resource)
            {
                return;
            }
            leaf::read(term, node, found);
        });
    }
}

fn walk<'t>(node: &'t Tree<'t>, steps: &[Step], found: &mut impl FnMut(&'t Tree<'t>)) {
    let items = node.items();
    let Some((step, rest)) = steps.split_first() else {
        items.iter().for_each(found);
        return;
    };
    if *step == Step::First {
        if let Some(first) = items.first() {
            walk(first, rest, found);
        }
        return;
    }
    for item in items {
        match step {
            Step::Member(name) => {
                if let Some(value) = item.get(name) {
                    walk(value, rest, found);
                }
            }
            Step::Where { member, value } if item.text(member) == Some(value) => {
                walk(item, rest, found);
            }
            Step::Where { .. } | Step::First => {}
        }
    }
}

/// `x.exists() and x != false`, where the steps name the forms that `x` may have.
fn truth<'t>(forms: &[Step], resource: &'t Tree<'t>) -> Value<'t> {
    let holds = forms.iter().any(|form| {
        let Step::Member(name) = form else {
            return false;
        };
        resource.get(name).is_some_and(|value| !matches!(value, Tree::Bool(false) | Tree::Null))
    });
    Value::Code { system: None, code: if holds { "true" } else { "false" } }
}

/// Whether a Reference may be to a resource of that type, as far as its own text says.
///
/// A reference by identifier alone that names no type may be to anything its element allows.
fn may_refer_to(node: &Tree<'_>, target: ResourceType, resource: &Tree<'_>) -> bool {
    if let Some(named) = node.text("type") {
        return named.rsplit('/').next() == Some(target.as_str());
    }
    let Some(reference) = node.text("reference") else {
        return node.get("identifier").is_some();
    };
    match reference.strip_prefix('#') {
        None => value::type_of(reference) == Some(target),
        Some("") => resource.text("resourceType") == Some(target.as_str()),
        Some(id) => resource.get("contained").is_some_and(|contained| {
            contained.items().iter().any(|inner| {
                inner.text("id") == Some(id) && inner.text("resourceType") == Some(target.as_str())
            })
        }),
    }
}

#[cfg(test)]
mod tests;
