//! `SearchParameter` to one line per resource type and code.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use fhir::definitions::ParameterKind;
use fhir::definitions::compile::{self, Compiler, Member, joined, relative, union};
use serde_json::Value;

use crate::elements::Schema;
use crate::{items, text};

const HEADER: &str = "\
# FHIR R4 4.0.1: search parameters, their expressions compiled to JSON members. Written by examples/derive.
# Resource type, code, kind, target types (* any), terms; a composite has its contexts as terms and then
# one column per component: code, kind, terms. Terms are separated by | and read as
#   member.member:type      the values of a path, of that data type
#   member[a=b]             only those whose member a is b
#   member[0]               only the first
#   ...:Reference[T]        only references to T
#   ...:code@S              codes whose value set is the system S
#   a+b:truth               true if a or b is there and not false, else false
#   .                       the resource itself (contexts only)
#   /member                 from the resource, not from the context (components only)
";

/// Value sets that hold the codes of exactly one system.
pub(crate) fn systems(value_sets: &[Value]) -> BTreeMap<String, String> {
    let mut systems = BTreeMap::new();
    for value_set in value_sets {
        let includes = items(&value_set["compose"], "include");
        let named: BTreeSet<_> = includes.iter().map(|i| text(i, "system")).collect();
        let named: Vec<_> = named.into_iter().collect();
        let plain = includes.iter().all(|i| i["valueSet"].is_null());
        if let ([system], true) = (named.as_slice(), plain) {
            systems.insert(text(value_set, "url").to_owned(), (*system).to_owned());
        }
    }
    systems
}

pub(crate) fn table(
    schema: &Schema,
    systems: &BTreeMap<String, String>,
    parameters: &[Value],
) -> String {
    let by_url: BTreeMap<_, _> = parameters.iter().map(|p| (text(p, "url"), p)).collect();
    let compiler = Compiler { schema: &Elements { schema, systems } };
    let mut lines = BTreeSet::new();
    let mut refused = BTreeSet::new();
    for parameter in parameters {
        for base in items(parameter, "base").iter().filter_map(Value::as_str) {
            let terms = if text(parameter, "type") == "composite" {
                composite(&compiler, &by_url, parameter, base)
            } else {
                simple(&compiler, parameter, base)
            };
            let (code, kind) = (text(parameter, "code"), text(parameter, "type"));
            match terms {
                Ok((terms, notes)) => {
                    let targets = targets(schema, parameter);
                    lines.insert(format!("{base}\t{code}\t{kind}\t{targets}\t{terms}"));
                    refused.extend(notes.iter().map(|why| format!("{base}\t{code}\t{why}")));
                }
                Err(why) => {
                    refused.insert(format!("{base}\t{code}\t{why}"));
                }
            }
        }
    }
    let mut table = HEADER.to_owned();
    for line in &lines {
        let _ = writeln!(table, "{line}");
    }
    table.push_str("# Not compiled, and why:\n");
    for line in &refused {
        let _ = writeln!(table, "# {line}");
    }
    table
}

/// Elements with the systems of their codes.
struct Elements<'s> {
    schema: &'s Schema,
    systems: &'s BTreeMap<String, String>,
}

impl compile::Schema for Elements<'_> {
    fn members(&self, type_name: &str, element: &str) -> Vec<Member<'_>> {
        let members = self.schema.members(type_name, element).into_iter();
        members
            .map(|member| {
                let value_set = member.value_set.split('|').next().unwrap_or_default();
                let system = self.systems.get(value_set).map(String::as_str);
                Member { json: &member.json, data_type: &member.data_type, system }
            })
            .collect()
    }
}

type Compiled = Result<(String, Vec<String>), String>;

fn kind(name: &str) -> Result<ParameterKind, String> {
    ParameterKind::named(name).ok_or_else(|| format!("{name} is no kind of parameter"))
}

fn simple(compiler: &Compiler<'_, Elements<'_>>, parameter: &Value, base: &str) -> Compiled {
    let kind = kind(text(parameter, "type"))?;
    let compiled = compiler.expression(text(parameter, "expression"), base, kind)?;
    Ok((compiled.column(), compiled.notes))
}

/// A composite's contexts, and the terms of its components within them.
fn composite(
    compiler: &Compiler<'_, Elements<'_>>,
    by_url: &BTreeMap<&str, &Value>,
    parameter: &Value,
    base: &str,
) -> Compiled {
    let mut contexts = Vec::new();
    for term in union(text(parameter, "expression")) {
        match relative(term, base) {
            Some(path) if path.is_empty() => contexts.push((".".to_owned(), base.to_owned())),
            Some(path) => contexts.extend(compiler.context(&path, base)?),
            None => {}
        }
    }
    let mut columns = vec![joined(contexts.iter().map(|(path, _)| path.clone()))];
    for component in items(parameter, "component") {
        let definition =
            by_url.get(text(component, "definition")).ok_or("a component has no definition")?;
        let code = text(definition, "code");
        let expression = text(component, "expression");
        let mut kind = kind(text(definition, "type"))?;
        let mut terms = Vec::new();
        for (_, context) in &contexts {
            for term in union(expression) {
                let (found, of_kind) = compiler.component(term, context, base, kind)?;
                terms.extend(found);
                kind = of_kind;
            }
        }
        columns.push(format!("{code} {} {}", kind.as_str(), joined(terms)));
    }
    Ok((columns.join("\t"), Vec::new()))
}

fn targets(schema: &Schema, parameter: &Value) -> String {
    let targets: Vec<_> = items(parameter, "target").iter().filter_map(Value::as_str).collect();
    // Parameters are never stored, so R4's lists of every type leave them out.
    let mut referable = schema.resources().filter(|name| *name != "Parameters");
    if !targets.is_empty() && referable.all(|name| targets.contains(&name)) {
        return "*".to_owned();
    }
    targets.join(",")
}
