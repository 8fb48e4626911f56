//! The FHIRPath forms that R4's search parameters use, compiled to JSON member paths.
//!
//! Choice elements become the JSON member of each data type that the kind of parameter can search.

use std::collections::BTreeMap;

use crate::elements::{Member, Schema};

/// What one term of an expression became.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    pub(crate) terms: Vec<String>,
    /// Data types left out, and why.
    pub(crate) notes: Vec<String>,
}

/// A path so far: where it leads, and the data type found there.
#[derive(Debug, Clone)]
struct Place {
    path: String,
    data_type: String,
    value_set: String,
    filter: String,
}

#[derive(Debug)]
pub(crate) struct Compiler<'s> {
    pub(crate) schema: &'s Schema,
    pub(crate) systems: &'s BTreeMap<String, String>,
}

impl Compiler<'_> {
    /// One term, relative to `base`, as paths that a parameter of `kind` can search.
    pub(crate) fn terms(&self, term: &str, base: &str, kind: &str) -> Result<Terms, String> {
        if let Some(term) = self.truth(term, base) {
            return Ok(Terms { terms: vec![term], notes: Vec::new() });
        }
        let places = self.places(term, base)?;
        let narrowed = places.len() == 1;
        let mut found = Terms::default();
        for place in &places {
            if searchable(kind, &place.data_type) {
                found.terms.push(self.written(place));
            } else if narrowed {
                let data_type = &place.data_type;
                found.notes.push(format!(
                    "{}: a {kind} parameter has no meaning for {data_type}",
                    place.path
                ));
            }
        }
        Ok(found)
    }

    /// Where a composite's components start.
    pub(crate) fn context(
        &self,
        term: &str,
        base: &str,
    ) -> Result<impl Iterator<Item = (String, String)> + use<>, String> {
        let places = self.places(term, base)?;
        Ok(places.into_iter().map(|p| (p.path, p.data_type)))
    }

    /// A composite's component. Where its definition is of a kind that its expression cannot be
    /// (R4 has swapped the two definitions of DocumentReference's `relationship`), the expression decides.
    pub(crate) fn component(
        &self,
        term: &str,
        context: &str,
        resource: &str,
        kind: &str,
    ) -> Result<(Vec<String>, String), String> {
        let (start, path, from) = match term.strip_prefix("%resource.") {
            Some(path) => ("/", path, resource),
            None => ("", term, context),
        };
        let kinds = [kind, "token", "reference", "quantity", "date", "string"];
        for kind in kinds {
            let found = self.terms(path, from, kind)?;
            if !found.terms.is_empty() {
                let terms = found.terms.iter().map(|t| format!("{start}{t}")).collect();
                return Ok((terms, kind.to_owned()));
            }
        }
        Err(format!("component {term} cannot be searched"))
    }

    /// `x.exists() and x != false`: present, and not `false`.
    fn truth(&self, term: &str, base: &str) -> Option<String> {
        let (first, second) = term.split_once(" and ")?;
        let element = first.strip_suffix(".exists()")?;
        if second.strip_suffix(" != false")? != element {
            return None;
        }
        let members = self.schema.members(base, element);
        let names: Vec<_> = members.iter().map(|m| m.json.as_str()).collect();
        Some(format!("{}:truth", names.join("+")))
    }

    fn places(&self, term: &str, base: &str) -> Result<Vec<Place>, String> {
        let (term, after) = match term.strip_prefix('(').and_then(|t| t.rsplit_once(')')) {
            Some((inner, after)) => (inner, after),
            None => (term, ""),
        };
        let (path, narrowed) = match term.split_once(" as ") {
            Some((path, data_type)) => (path, Some(data_type.trim())),
            None => (term, None),
        };
        let mut places = vec![Place {
            path: String::new(),
            data_type: base.to_owned(),
            value_set: String::new(),
            filter: String::new(),
        }];
        for step in steps(path) {
            places = self.step(&places, &step)?;
        }
        if let Some(data_type) = narrowed {
            places = only(places, data_type);
        }
        for step in steps(after) {
            places = self.step(&places, &step)?;
        }
        if places.is_empty() {
            return Err(format!("{term} leads nowhere in {base}"));
        }
        Ok(places)
    }

    fn step(&self, places: &[Place], step: &str) -> Result<Vec<Place>, String> {
        if let Some(data_type) = inside(step, "as(") {
            return Ok(only(places.to_vec(), data_type));
        }
        if let Some(condition) = inside(step, "where(") {
            return places.iter().map(|p| filtered(p, condition)).collect();
        }
        let (name, index) = match step.strip_suffix("[0]") {
            Some(name) => (name, "[0]"),
            None => (step, ""),
        };
        let mut found = Vec::new();
        for place in places {
            for member in self.schema.members(&place.data_type, name) {
                found.push(place.member(member, index));
            }
        }
        if found.is_empty() {
            return Err(format!("{step} is not an element there"));
        }
        Ok(found)
    }

    fn written(&self, place: &Place) -> String {
        let system = self
            .systems
            .get(place.value_set.split('|').next().expect("split yields at least one part"));
        let system = match (place.data_type.as_str(), system) {
            ("code", Some(system)) => format!("@{system}"),
            _ => String::new(),
        };
        format!("{}:{}{}{system}", place.path, place.data_type, place.filter)
    }
}

impl Place {
    fn member(&self, member: &Member, index: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            path: format!("{}{dot}{}{index}", self.path, member.json),
            data_type: member.data_type.clone(),
            value_set: member.value_set.clone(),
            filter: String::new(),
        }
    }
}

/// The members of a union.
pub(crate) fn union(expression: &str) -> impl Iterator<Item = &str> {
    expression.split('|').map(str::trim).filter(|term| !term.is_empty())
}

/// The steps of a path; a dot within parentheses separates nothing.
fn steps(path: &str) -> Vec<String> {
    let mut steps = vec![String::new()];
    let mut depth = 0;
    for c in path.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if c == '.' && depth == 0 {
            steps.push(String::new());
        } else if let Some(last) = steps.last_mut() {
            last.push(c);
        }
    }
    steps.retain(|step| !step.is_empty());
    steps
}

fn inside<'t>(step: &'t str, opening: &str) -> Option<&'t str> {
    step.strip_prefix(opening)?.strip_suffix(')')
}

/// Those of a data type; R4 writes `DateTime` once for `dateTime`.
fn only(mut places: Vec<Place>, data_type: &str) -> Vec<Place> {
    places.retain(|place| place.data_type.eq_ignore_ascii_case(data_type));
    places
}

fn filtered(place: &Place, condition: &str) -> Result<Place, String> {
    let mut place = place.clone();
    if let Some(target) = condition.strip_prefix("resolve() is ") {
        place.filter = format!("[{target}]");
    } else if let Some((member, value)) = condition.split_once('=') {
        let value = value.trim_matches('\'');
        place.path = format!("{}[{member}={value}]", place.path);
    } else {
        return Err(format!("where({condition}) is not a form of R4"));
    }
    Ok(place)
}

/// Which data types a kind of parameter searches. <https://hl7.org/fhir/R4/search.html#ptypes>
fn searchable(kind: &str, data_type: &str) -> bool {
    let types: &[&str] = match kind {
        "number" => &["integer", "decimal", "positiveInt", "unsignedInt", "Range"],
        "date" => &["date", "dateTime", "instant", "Period", "Timing"],
        "string" => &["string", "markdown", "HumanName", "Address"],
        "token" => &[
            "Coding",
            "CodeableConcept",
            "Identifier",
            "ContactPoint",
            "code",
            "boolean",
            "id",
            "string",
            "uri",
        ],
        "reference" => &["Reference", "canonical", "uri", "Resource"],
        "quantity" => &["Quantity", "Age", "Count", "Distance", "Duration", "Money", "Range"],
        "uri" => &["uri", "url", "canonical", "oid", "uuid"],
        "special" => &["Location.position"],
        _ => &[],
    };
    types.contains(&data_type)
}
