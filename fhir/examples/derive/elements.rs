//! `StructureDefinition.snapshot` to one line per JSON member.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use crate::{amend, items, last_part, text};

const HEADER: &str = "\
# FHIR R4 4.0.1: every resource, complex type and backbone element. Written by examples/derive.
# Type line:   name, kind (resource, complex, backbone, abstract), the type it inherits members from.
# Member line: tab, JSON name, type, cardinality (? 0..1, 1 1..1, * 0..*, + 1..*), s if in the summary, m if
#              a modifier, then, where they apply: the choice element it is one form of; target types of a
#              Reference or, after =, the value set that a code must be of.
";

/// One JSON member of a type.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the table's own")]
pub(crate) struct Member {
    pub(crate) json: String,
    pub(crate) data_type: String,
    /// The FHIR element's name: differs from `json` for choices.
    pub(crate) element: String,
    pub(crate) value_set: String,
    required: bool,
    many: bool,
    summary: bool,
    modifier: bool,
    targets: String,
}

/// One type: a resource, a data type or a backbone element.
#[derive(Debug)]
pub(crate) struct Type {
    kind: &'static str,
    base: String,
    members: Vec<Member>,
}

/// All types by name.
#[derive(Debug)]
pub(crate) struct Schema {
    types: BTreeMap<String, Type>,
}

impl Schema {
    /// Profiles, primitives and the backported types of later versions are left out.
    pub(crate) fn read(definitions: &[Value]) -> Self {
        let mut types = BTreeMap::new();
        for definition in definitions {
            let kind = text(definition, "kind");
            let left_out = text(definition, "derivation") == "constraint"
                || kind == "primitive-type"
                || text(definition, "id") == "MetadataResource"
                || text(definition, "fhirVersion") != "4.0.1";
            if !left_out {
                read_definition(definition, &mut types);
            }
        }
        let mut schema = Self { types };
        schema.generalise();
        schema
    }

    /// A member of one resource type (`Bundle.entry.response.outcome`) says which by its `resourceType`
    /// in JSON, as a member of any resource type does.
    fn generalise(&mut self) {
        let resources: Vec<_> = self.resources().map(str::to_owned).collect();
        for member in self.types.values_mut().flat_map(|t| &mut t.members) {
            if resources.contains(&member.data_type) {
                "Resource".clone_into(&mut member.data_type);
            }
        }
    }

    /// The members that an element name stands for: several if it is a choice.
    pub(crate) fn members(&self, type_name: &str, element: &str) -> Vec<&Member> {
        let Some(found) = self.types.get(type_name) else {
            return Vec::new();
        };
        let own = found.members.iter().filter(|m| m.element == element);
        let own: Vec<_> = own.collect();
        if own.is_empty() && !found.base.is_empty() {
            return self.members(&found.base, element);
        }
        own
    }

    /// Names of all resource types, in order.
    pub(crate) fn resources(&self) -> impl Iterator<Item = &str> {
        self.types.iter().filter(|(_, t)| t.kind == "resource").map(|(name, _)| name.as_str())
    }

    pub(crate) fn resource_types(&self) -> String {
        self.resources().fold(String::new(), |mut table, name| {
            table.push_str(name);
            table.push('\n');
            table
        })
    }

    /// The value sets of all required bindings.
    pub(crate) fn value_sets(&self) -> BTreeSet<&str> {
        let members = self.types.values().flat_map(|t| &t.members);
        members.map(|m| m.value_set.as_str()).filter(|name| !name.is_empty()).collect()
    }

    pub(crate) fn table(&self) -> String {
        let mut table = String::from(HEADER);
        for (name, found) in &self.types {
            let line = format!("{name}\t{}\t{}", found.kind, found.base);
            let _ = writeln!(table, "{}", line.trim_end());
            for member in &found.members {
                let _ = writeln!(table, "{}", member.line());
            }
        }
        table
    }
}

impl Member {
    fn line(&self) -> String {
        let cardinality = match (self.required, self.many) {
            (false, false) => "?",
            (true, false) => "1",
            (false, true) => "*",
            (true, true) => "+",
        };
        let summary = if self.summary { "s" } else { "" };
        let modifier = if self.modifier { "m" } else { "" };
        let choice = if self.element == self.json { "" } else { &self.element };
        let detail = if self.value_set.is_empty() {
            self.targets.clone()
        } else {
            format!("={}", last_part(&self.value_set))
        };
        let flags = format!("{cardinality}{summary}{modifier}");
        format!("\t{}\t{}\t{flags}\t{choice}\t{detail}", self.json, self.data_type)
            .trim_end()
            .to_owned()
    }
}

fn read_definition(definition: &Value, types: &mut BTreeMap<String, Type>) {
    let elements = amend::elements(definition);
    let name = text(definition, "id");
    let kind = match (definition["abstract"] == true, text(definition, "kind") == "resource") {
        (true, _) => "abstract",
        (false, true) => "resource",
        (false, false) => "complex",
    };
    let base = match last_part(text(definition, "baseDefinition")) {
        "MetadataResource" => "DomainResource",
        base => base,
    };
    types.insert(name.to_owned(), Type::new(kind, base));
    for element in &elements {
        let path = text(element, "path");
        let Some((parent, last)) = path.rsplit_once('.') else {
            continue;
        };
        let inherited = text(&element["base"], "path") != path;
        let forms = items(element, "type");
        if !inherited {
            let parent = types.get_mut(parent).expect("a parent comes first");
            parent.members.extend(members(element, last));
        }
        if let [form] = forms {
            let code = text(form, "code");
            if matches!(code, "BackboneElement" | "Element") && !inherited {
                types.insert(path.to_owned(), Type::new("backbone", code));
            }
        }
    }
}

impl Type {
    fn new(kind: &'static str, base: &str) -> Self {
        Self { kind, base: base.to_owned(), members: Vec::new() }
    }
}

fn members(element: &Value, last: &str) -> Vec<Member> {
    if let Some(content) = element["contentReference"].as_str() {
        return vec![member(element, last, last, content.trim_start_matches('#'))];
    }
    let forms = items(element, "type");
    let Some(choice) = last.strip_suffix("[x]") else {
        let data_type = data_type(element, &forms[0]);
        let mut member = member(element, last, last, &data_type);
        member.targets = targets(&forms[0]);
        return vec![member];
    };
    forms
        .iter()
        .map(|form| {
            let data_type = text(form, "code");
            let (first, rest) = data_type.split_at(1);
            let json = format!("{choice}{}{rest}", first.to_uppercase());
            let mut member = member(element, &json, choice, data_type);
            member.targets = targets(form);
            member
        })
        .collect()
}

fn member(element: &Value, json: &str, name: &str, data_type: &str) -> Member {
    Member {
        json: json.to_owned(),
        data_type: data_type.to_owned(),
        element: name.to_owned(),
        value_set: value_set(element, data_type).to_owned(),
        required: element["min"].as_u64() > Some(0),
        many: text(element, "max") == "*",
        summary: element["isSummary"] == true,
        modifier: element["isModifier"] == true,
        targets: String::new(),
    }
}

/// The value set that the element's codes must be of. A binding that only prefers the common languages
/// still asks for a language; it is named without its URL, for no search parameter derives a system from it.
fn value_set<'e>(element: &'e Value, data_type: &str) -> &'e str {
    const LANGUAGES: &str = "http://hl7.org/fhir/ValueSet/all-languages";
    let binding = &element["binding"];
    let coded = matches!(data_type, "code" | "Coding" | "CodeableConcept");
    let at_most = items(binding, "extension").iter().any(|e| e["valueCanonical"] == LANGUAGES);
    match text(binding, "strength") {
        "required" if coded => text(binding, "valueSet"),
        _ if at_most && data_type == "code" => last_part(LANGUAGES),
        _ => "",
    }
}

/// The FHIR name of an element's type; backbone elements are named by their path.
fn data_type(element: &Value, form: &Value) -> String {
    let path = text(element, "path");
    let code = text(form, "code");
    if path == "Resource.id" {
        return "id".to_owned();
    }
    if matches!(code, "BackboneElement" | "Element") {
        return path.to_owned();
    }
    if code.starts_with("http://hl7.org/fhirpath/System.") {
        let mut named = items(form, "extension").iter().map(|e| text(e, "valueUrl"));
        return named.next_back().unwrap_or("string").to_owned();
    }
    code.to_owned()
}

/// Target types of a Reference; nothing if any will do.
fn targets(form: &Value) -> String {
    if text(form, "code") != "Reference" {
        return String::new();
    }
    let profiles = items(form, "targetProfile").iter();
    let names: Vec<_> = profiles
        .filter_map(|p| p.as_str().map(last_part))
        .filter(|name| *name != "Resource")
        .collect();
    names.join(",")
}
