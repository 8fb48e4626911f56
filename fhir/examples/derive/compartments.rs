//! `CompartmentDefinition` to one line per compartment and resource type.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{items, text};

const HEADER: &str = "\
# FHIR R4 4.0.1: compartments. Written by examples/derive.
# Compartment, resource type, the search parameters that lead to the compartment; _id for the type itself
# where the definition says {def}.
";

pub(crate) fn table(resources: &[Value]) -> String {
    let mut lines = Vec::new();
    for definition in resources {
        if text(definition, "resourceType") != "CompartmentDefinition" {
            continue;
        }
        for resource in items(definition, "resource") {
            let codes: Vec<_> = items(resource, "param")
                .iter()
                .filter_map(Value::as_str)
                .map(|code| if code == "{def}" { "_id" } else { code })
                .collect();
            if !codes.is_empty() {
                lines.push(format!(
                    "{}\t{}\t{}",
                    text(definition, "code"),
                    text(resource, "code"),
                    codes.join(" ")
                ));
            }
        }
    }
    lines.sort();
    lines.iter().fold(HEADER.to_owned(), |mut table, line| {
        let _ = writeln!(table, "{line}");
        table
    })
}
