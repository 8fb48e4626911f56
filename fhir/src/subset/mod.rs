//! Part of a resource: `_elements` and `_summary`. <https://hl7.org/fhir/R4/search.html#summary>
//!
//! The text is read once and the kept members are copied as they stand. What comes out says that it is a part,
//! by the tag SUBSETTED in `meta.tag`, and is well-formed: mandatory and modifier elements are never left out.

use crate::definitions::{DataType, Element, ResourceType, Type};
use crate::json::push_string;
use crate::tree::{Fault, Reader, Tree};

/// The code system of the tag.
const SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";
/// The tag's code.
const CODE: &str = "SUBSETTED";
const TAG: &str = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED","display":"subsetted"}"#;

/// Which part of each resource is asked for. `_summary=count` is none: it asks for no resource at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subset {
    /// `_elements`: these, of the resource's own elements. See [`parse_elements`].
    Elements(Vec<String>),
    /// `_summary=true`: what the specification marks as summary, at every level.
    True,
    /// `_summary=text`: the narrative, and what is mandatory.
    Text,
    /// `_summary=data`: all but the narrative.
    Data,
}

/// The elements that a value of `_elements` lists: `identifier`, `value` for any form of a choice, `Patient.name`
/// for Patients alone. Empty items are left out.
pub fn parse_elements(value: &str) -> Vec<String> {
    let items = value.split(',').map(str::trim);
    items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// The part of a resource that is asked for, as JSON text, tagged as SUBSETTED once.
///
/// A resource to which no item of `_elements` applies, because each names another type, is given whole and
/// untagged; so is text that is not a JSON object. Resources inside a Bundle or Parameters are not taken apart.
pub fn apply(text: &[u8], resource_type: ResourceType, subset: &Subset) -> Vec<u8> {
    let whole = match subset {
        Subset::Elements(items) => items.iter().all(|item| root(item, resource_type).is_none()),
        _ => false,
    };
    if whole {
        return text.to_vec();
    }
    part(text, resource_type, subset).unwrap_or_else(|_| text.to_vec())
}

/// Whether a resource says that it is only a part; to store it would lose what was left out.
pub fn is_subsetted(resource: &Tree<'_>) -> bool {
    resource.get("meta").is_some_and(is_tagged)
}

fn is_tagged(meta: &Tree<'_>) -> bool {
    let tags = meta.get("tag").map_or(&[][..], Tree::items);
    tags.iter().any(|tag| tag.text("system") == Some(SYSTEM) && tag.text("code") == Some(CODE))
}

impl Subset {
    fn wants(&self, resource_type: ResourceType, element: &Element) -> bool {
        let mandatory = is_required(resource_type.definition(), element)
            || matches!(element.name, "id" | "meta");
        match self {
            Self::True => mandatory || element.summary || element.modifier,
            Self::Text => mandatory || element.name == "text",
            Self::Data => element.name != "text",
            Self::Elements(items) => {
                let mut roots = items.iter().filter_map(|item| root(item, resource_type));
                mandatory
                    || element.modifier
                    || roots.any(|root| root == element.element || root == element.name)
            }
        }
    }
}

/// The resource's own element that an item of `_elements` names; nothing if it is another type's.
fn root(item: &str, resource_type: ResourceType) -> Option<&str> {
    let mut parts = item.split('.');
    let first = parts.next()?;
    if first.starts_with(|c: char| c.is_ascii_uppercase()) {
        return parts.next().filter(|_| first == resource_type.as_str());
    }
    Some(first)
}

fn is_required(definition: &Type, element: &Element) -> bool {
    definition.required & (1 << element.slot) != 0
}

fn part(text: &[u8], resource_type: ResourceType, subset: &Subset) -> Result<Vec<u8>, Fault> {
    let definition = resource_type.definition();
    let mut out = Vec::with_capacity(text.len() + TAG.len() + 32);
    let mut tagged = false;
    let mut reader = Reader::new(text)?;
    out.push(b'{');
    reader.members(|reader, key| {
        if key == "meta" {
            tagged = true;
            begin(&mut out, &key);
            return tag(reader.skip()?, &mut out);
        }
        match definition.element(key.strip_prefix('_').unwrap_or(&key)) {
            Some((_, element)) if !subset.wants(resource_type, element) => {}
            Some((_, element)) if *subset == Subset::True => {
                return summary(reader, &key, element, &mut out);
            }
            None if key != "resourceType" && *subset != Subset::Data => {}
            _ => {
                begin(&mut out, &key);
                out.extend_from_slice(reader.skip()?.as_bytes());
                return Ok(());
            }
        }
        reader.skip().map(|_| ())
    })?;
    reader.end()?;
    if !tagged {
        begin(&mut out, "meta");
        tag("{}", &mut out)?;
    }
    out.push(b'}');
    Ok(out)
}

/// Writes a member's name, after a comma unless it is the first of its object.
fn begin(out: &mut Vec<u8>, name: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    push_string(out, name);
    out.push(b':');
}

/// Writes a `meta` with the tag among its tags.
fn tag(meta: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut reader = Reader::new(meta.as_bytes())?;
    if is_tagged(&reader.tree()?) {
        out.extend_from_slice(meta.as_bytes());
        return Ok(());
    }
    let mut tagged = false;
    out.push(b'{');
    Reader::new(meta.as_bytes())?.members(|reader, key| {
        begin(out, &key);
        let value = reader.skip()?;
        let others = value.strip_suffix(']').filter(|_| key == "tag").map(str::trim_ascii_end);
        let Some(others) = others else {
            out.extend_from_slice(value.as_bytes());
            return Ok(());
        };
        tagged = true;
        out.extend_from_slice(others.as_bytes());
        if others != "[" {
            out.push(b',');
        }
        out.extend_from_slice(TAG.as_bytes());
        out.push(b']');
        Ok(())
    })?;
    if !tagged {
        begin(out, "tag");
        out.push(b'[');
        out.extend_from_slice(TAG.as_bytes());
        out.push(b']');
    }
    out.push(b'}');
    Ok(())
}

/// Writes a member of a summary; nothing at all if nothing below it is part of the summary.
fn summary(
    reader: &mut Reader<'_>,
    key: &str,
    element: &Element,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let before = out.len();
    begin(out, key);
    let kept = match element.data_type {
        // An extension is a summary of nothing: it is there for its meaning, or is not.
        DataType::Complex(index) if index.definition().name != "Extension" => {
            summary_value(reader, index.definition(), out)?
        }
        _ => {
            out.extend_from_slice(reader.skip()?.as_bytes());
            true
        }
    };
    if !kept {
        out.truncate(before);
    }
    Ok(())
}

/// Writes what is part of the summary of a value, or of each item of an array; says whether there was any.
fn summary_value(
    reader: &mut Reader<'_>,
    definition: &'static Type,
    out: &mut Vec<u8>,
) -> Result<bool, Fault> {
    let start = out.len() + 1;
    match reader.peek() {
        Some(b'[') => {
            out.push(b'[');
            reader.items(|reader| {
                let before = out.len();
                if before > start {
                    out.push(b',');
                }
                if !summary_value(reader, definition, out)? {
                    out.truncate(before);
                }
                Ok(())
            })?;
        }
        Some(b'{') => {
            out.push(b'{');
            reader.members(|reader, key| {
                let found = definition.element(key.strip_prefix('_').unwrap_or(&key));
                let kept = found.filter(|(_, element)| {
                    element.summary || element.modifier || is_required(definition, element)
                });
                match kept {
                    Some((_, element)) => summary(reader, &key, element, out),
                    None => reader.skip().map(|_| ()),
                }
            })?;
        }
        _ => {
            out.extend_from_slice(reader.skip()?.as_bytes());
            return Ok(true);
        }
    }
    let kept = out.len() > start;
    out.push(if out[start - 1] == b'[' { b']' } else { b'}' });
    Ok(kept)
}

#[cfg(test)]
mod tests;
