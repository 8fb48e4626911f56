//! `CodeSystem.concept` to an indented outline of each code system that has a hierarchy.

use serde_json::Value;

use crate::{items, text};

const HEADER: &str = "\
# FHIR R4 4.0.1: code systems that are defined in full. Written by examples/derive.
# System line:  its canonical URL. One without concept lines has no hierarchy.
# Concept line: a tab per level, the code, then, after a tab, children that are written elsewhere as well.
";

pub(crate) fn table(resources: &[Value]) -> String {
    let mut systems: Vec<_> = resources.iter().filter(|r| is_whole(r)).map(outline).collect();
    systems.sort();
    HEADER.to_owned() + &systems.concat()
}

/// What HL7 lists in full, and nests, if it does, by meaning.
fn is_whole(resource: &Value) -> bool {
    text(resource, "resourceType") == "CodeSystem"
        && text(resource, "content") == "complete"
        && matches!(text(resource, "hierarchyMeaning"), "" | "is-a")
}

fn outline(system: &Value) -> String {
    let mut outline = format!("{}\n", text(system, "url"));
    let concepts = items(system, "concept");
    if concepts.iter().any(has_children) {
        for concept in concepts {
            write(concept, 1, &mut outline);
        }
    }
    outline
}

fn has_children(concept: &Value) -> bool {
    !items(concept, "concept").is_empty() || children_elsewhere(concept).next().is_some()
}

fn write(concept: &Value, level: usize, outline: &mut String) {
    let mut line = "\t".repeat(level) + text(concept, "code");
    let elsewhere: Vec<_> = children_elsewhere(concept).collect();
    if !elsewhere.is_empty() {
        line.push('\t');
        line.push_str(&elsewhere.join(" "));
    }
    outline.push_str(&line);
    outline.push('\n');
    for child in items(concept, "concept") {
        write(child, level + 1, outline);
    }
}

/// <https://hl7.org/fhir/R4/codesystem-concept-properties.html>: the only such property that R4 uses.
fn children_elsewhere(concept: &Value) -> impl Iterator<Item = &str> {
    let properties = items(concept, "property").iter();
    properties.filter(|p| text(p, "code") == "child").map(|p| text(p, "valueCode"))
}
