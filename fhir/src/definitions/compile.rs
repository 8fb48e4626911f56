//! The FHIRPath forms that R4's search parameters use, compiled to the terms of
//! `search-parameters.tsv`, whose head says how they are written.
//!
//! Choice elements become the JSON member of each data type that the kind of parameter can search.
//! The forms: paths, unions, `as`, `ofType`, `where(x='y')`, `where(resolve() is T)`, `extension('url')`,
//! `[0]`, `exists()`, and `x.exists() and x != false`.

mod text;

use super::elements::{DataType, types};
use super::{ParameterKind, ResourceType};
pub(super) use text::unescaped;
use text::{escaped, in_parentheses, inside, split, split_once, steps, without};

/// Where an expression may lead at once.
const PLACES_MAX: usize = 1_000;

/// What elements there are.
pub trait Schema {
    /// The members that an element name stands for: several if it is a choice.
    fn members(&self, type_name: &str, element: &str) -> Vec<Member<'_>>;
}

/// One JSON member of a type.
#[derive(Debug, Clone, Copy)]
pub struct Member<'s> {
    /// Its name: `valueQuantity`.
    pub json: &'s str,
    /// The type of its value; `Resource` for any resource, `Observation.component` for a backbone.
    pub data_type: &'s str,
    /// The system that all its codes are of, if it holds codes.
    pub system: Option<&'s str>,
}

/// The elements of `elements.tsv`.
#[derive(Debug, Clone, Copy)]
pub struct Published;

impl Schema for Published {
    fn members(&self, type_name: &str, element: &str) -> Vec<Member<'_>> {
        let Some(found) = types().iter().find(|t| t.name == type_name) else {
            return Vec::new();
        };
        let own = found.elements.iter().filter(|e| e.element == element);
        own.map(|element| Member {
            json: element.name,
            data_type: match element.data_type {
                DataType::Primitive(primitive) => primitive.as_str(),
                DataType::Complex(index) => index.definition().name,
                DataType::Resource => "Resource",
            },
            system: element.value_set.and_then(|set| set.definition().only_system()),
        })
        .collect()
    }
}

/// What an expression became.
#[derive(Debug, Default)]
pub struct Terms {
    /// Terms as the table has them.
    pub terms: Vec<String>,
    /// Data types left out, and why.
    pub notes: Vec<String>,
}

impl Terms {
    /// The terms as a column of the table, each once.
    pub fn column(&self) -> String {
        joined(self.terms.iter().cloned())
    }
}

/// A path so far: where it leads, and the data type found there.
#[derive(Debug, Clone)]
struct Place {
    path: String,
    data_type: String,
    system: Option<String>,
    filter: String,
}

/// Compiles expressions.
#[derive(Debug)]
pub struct Compiler<'s, S> {
    /// The elements that they are about.
    pub schema: &'s S,
}

impl<S: Schema> Compiler<'_, S> {
    /// The expression of a parameter of resources of the type `base`.
    ///
    /// # Errors
    /// If it has another form than those above, or leads to nothing that the kind can search.
    pub fn expression(
        &self,
        expression: &str,
        base: &str,
        kind: ParameterKind,
    ) -> Result<Terms, String> {
        if expression.is_empty() {
            return Err("has no expression: not a search of elements".to_owned());
        }
        let mut all = Terms::default();
        for term in union(expression) {
            let Some(relative) = relative(term, base) else {
                continue;
            };
            let compiled = self.terms(&relative, base, kind)?;
            all.terms.extend(compiled.terms);
            all.notes.extend(compiled.notes);
        }
        if all.terms.is_empty() {
            return Err(match all.notes.first() {
                Some(note) => note.clone(),
                None => format!("no term of the expression fits {base}: {expression}"),
            });
        }
        Ok(all)
    }

    /// Where a composite's components start.
    ///
    /// # Errors
    /// As [`Compiler::expression`].
    pub fn context(
        &self,
        term: &str,
        base: &str,
    ) -> Result<impl Iterator<Item = (String, String)> + use<S>, String> {
        let places = self.places(term, base)?;
        Ok(places.into_iter().map(|p| (p.path, p.data_type)))
    }

    /// A composite's component. Where its definition is of a kind that its expression cannot be
    /// (R4 has swapped the two definitions of DocumentReference's `relationship`), the expression decides.
    ///
    /// # Errors
    /// As [`Compiler::expression`].
    pub fn component(
        &self,
        term: &str,
        context: &str,
        resource: &str,
        kind: ParameterKind,
    ) -> Result<(Vec<String>, ParameterKind), String> {
        use ParameterKind::{Date, Quantity, Reference, String, Token};
        let (start, path, from) = match term.strip_prefix("%resource.") {
            Some(path) => ("/", path, resource),
            None => ("", term, context),
        };
        for kind in [kind, Token, Reference, Quantity, Date, String] {
            let found = self.terms(path, from, kind)?;
            if !found.terms.is_empty() {
                let terms = found.terms.iter().map(|t| format!("{start}{t}")).collect();
                return Ok((terms, kind));
            }
        }
        Err(format!("component {term} cannot be searched"))
    }

    /// One term, relative to `base`, as paths that a parameter of `kind` can search.
    fn terms(&self, term: &str, base: &str, kind: ParameterKind) -> Result<Terms, String> {
        if let Some(term) = self.truth(term, base) {
            if kind != ParameterKind::Token {
                return Err("what is there or not is searched as a token".to_owned());
            }
            return Ok(Terms { terms: vec![term], notes: Vec::new() });
        }
        let places = self.places(term, base)?;
        let narrowed = places.len() == 1;
        let mut found = Terms::default();
        for place in &places {
            if searchable(kind).contains(&place.data_type.as_str()) {
                found.terms.push(place.written());
            } else if narrowed {
                let (kind, data_type) = (kind.as_str(), &place.data_type);
                found.notes.push(format!(
                    "{}: a {kind} parameter has no meaning for {data_type}",
                    place.path
                ));
            }
        }
        Ok(found)
    }

    /// `x.exists() and x != false`: present, and not `false`. `x.exists()` alone says the same of what
    /// cannot be `false`.
    fn truth(&self, term: &str, base: &str) -> Option<String> {
        let element = match split_once(term, " and ") {
            Some((first, second)) => {
                let element = first.strip_suffix(".exists()")?;
                (second.strip_suffix(" != false")? == element).then_some(element)?
            }
            None => term.strip_suffix(".exists()")?,
        };
        let members = self.schema.members(base, element);
        let alone = split_once(term, " and ").is_none();
        if members.is_empty() || alone && members.iter().any(|m| m.data_type == "boolean") {
            return None;
        }
        let names: Vec<_> = members.iter().map(|m| m.json).collect();
        Some(format!("{}:truth", names.join("+")))
    }

    fn places(&self, term: &str, base: &str) -> Result<Vec<Place>, String> {
        let (term, after) = in_parentheses(term).unwrap_or((term, ""));
        let (path, narrowed) = match split_once(term, " as ") {
            Some((path, data_type)) => (path, Some(data_type.trim())),
            None => (term, None),
        };
        let mut places = vec![Place {
            path: String::new(),
            data_type: base.to_owned(),
            system: None,
            filter: String::new(),
        }];
        for step in steps(path) {
            places = self.step(&places, step)?;
        }
        if let Some(data_type) = narrowed {
            places = only(places, data_type);
        }
        for step in steps(after) {
            places = self.step(&places, step)?;
        }
        if places.is_empty() {
            return Err(format!("{term} leads nowhere in {base}"));
        }
        Ok(places)
    }

    fn step(&self, places: &[Place], step: &str) -> Result<Vec<Place>, String> {
        if let Some(data_type) = inside(step, "as(").or_else(|| inside(step, "ofType(")) {
            return Ok(only(places.to_vec(), data_type));
        }
        if let Some(condition) = inside(step, "where(") {
            return places.iter().map(|place| self.filtered(place, condition)).collect();
        }
        if let Some(url) = inside(step, "extension(") {
            let condition = format!("url={url}");
            let extensions = self.step(places, "extension")?;
            return extensions.iter().map(|place| self.filtered(place, &condition)).collect();
        }
        let (name, index) = match step.strip_suffix("[0]") {
            Some(name) => (name, "[0]"),
            None => (step, ""),
        };
        let mut found = Vec::new();
        for place in places {
            if !place.filter.is_empty() {
                return Err(format!("{step} is of another resource: chain to it instead"));
            }
            for member in self.schema.members(&place.data_type, name) {
                found.push(place.member(member, index));
            }
        }
        match found.len() {
            0 => Err(format!("{step} is not an element there")),
            1..=PLACES_MAX => Ok(found),
            _ => Err(format!("{step} leads to too many places: say of which types")),
        }
    }

    fn filtered(&self, place: &Place, condition: &str) -> Result<Place, String> {
        let mut place = place.clone();
        let unknown = || format!("where({condition}) is not a form of R4");
        if let Some(target) = condition.strip_prefix("resolve() is ") {
            let is_type = target.parse::<ResourceType>().is_ok();
            if place.data_type != "Reference" || !place.filter.is_empty() || !is_type {
                return Err(unknown());
            }
            place.filter = format!("[{target}]");
            return Ok(place);
        }
        let (member, value) = condition.split_once('=').ok_or_else(unknown)?;
        let (member, value) = (member.trim(), value.trim());
        let value = value.strip_prefix('\'').and_then(|v| v.strip_suffix('\''));
        let value = value.filter(|v| !v.contains(['\'', '\\'])).ok_or_else(unknown)?;
        let is_plain = !place.path.is_empty() && !place.path.ends_with(']');
        if !is_plain || self.schema.members(&place.data_type, member).is_empty() {
            return Err(unknown());
        }
        place.path = format!("{}[{member}={}]", place.path, escaped(value));
        Ok(place)
    }
}

impl Place {
    fn member(&self, member: Member<'_>, index: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            path: format!("{}{dot}{}{index}", self.path, member.json),
            data_type: member.data_type.to_owned(),
            system: member.system.map(str::to_owned),
            filter: String::new(),
        }
    }

    fn written(&self) -> String {
        let system = match (self.data_type.as_str(), &self.system) {
            ("code", Some(system)) => format!("@{system}"),
            _ => String::new(),
        };
        format!("{}:{}{}{system}", self.path, self.data_type, self.filter)
    }
}

/// The members of a union.
pub fn union(expression: &str) -> impl Iterator<Item = &str> {
    split(expression, '|').into_iter().map(str::trim).filter(|term| !term.is_empty())
}

/// `term` without its leading `base.`; nothing if it starts at another type.
pub fn relative(term: &str, base: &str) -> Option<String> {
    let start = term.trim_start_matches('(');
    let first = start.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    if first == base {
        let opened = &term[..term.len() - start.len()];
        let rest = start[base.len()..].trim_start_matches('.');
        return Some(without(&format!("{opened}{rest}"), &format!("{base}.")));
    }
    first.starts_with(|c: char| c.is_ascii_lowercase()).then(|| term.to_owned())
}

/// Terms as a column of the table, each once.
pub fn joined(terms: impl IntoIterator<Item = String>) -> String {
    let mut seen = Vec::new();
    for term in terms {
        if !seen.contains(&term) {
            seen.push(term);
        }
    }
    seen.join("|")
}

/// Those of a data type; R4 writes `DateTime` once for `dateTime`.
fn only(mut places: Vec<Place>, data_type: &str) -> Vec<Place> {
    places.retain(|place| place.data_type.eq_ignore_ascii_case(data_type));
    places
}

/// Which data types a kind of parameter searches. <https://hl7.org/fhir/R4/search.html#ptypes>
fn searchable(kind: ParameterKind) -> &'static [&'static str] {
    match kind {
        ParameterKind::Number => &["integer", "decimal", "positiveInt", "unsignedInt", "Range"],
        ParameterKind::Date => &["date", "dateTime", "instant", "Period", "Timing"],
        ParameterKind::String => &["string", "markdown", "HumanName", "Address"],
        ParameterKind::Token => &[
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
        ParameterKind::Reference => &["Reference", "canonical", "uri", "Resource"],
        ParameterKind::Quantity => {
            &["Quantity", "Age", "Count", "Distance", "Duration", "Money", "Range"]
        }
        ParameterKind::Uri => &["uri", "url", "canonical", "oid", "uuid"],
        ParameterKind::Special => &["Location.position"],
        ParameterKind::Composite => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(expression: &str, base: &str, kind: ParameterKind) -> Result<String, String> {
        let compiler = Compiler { schema: &Published };
        compiler.expression(expression, base, kind).map(|terms| terms.column())
    }

    #[test]
    fn an_extension_is_found_by_its_url_whatever_stands_in_it() {
        let url = "http://x.y/Patient.a|b)c as d and e";
        let wanted = "extension[url=http%3A%2F%2Fx%2Ey%2FPatient%2Ea%7Cb%29c%20as%20d%20and%20e]\
                      .valueCoding:Coding";
        for expression in [
            format!("Patient.extension.where(url='{url}').value.as(Coding)"),
            format!("(Patient.extension.where(url = '{url}').value as Coding)"),
            format!("Patient.extension('{url}').value.ofType(Coding)"),
            format!("Practitioner.name | (Patient.extension('{url}').value as Coding)"),
        ] {
            let compiled = compile(&expression, "Patient", ParameterKind::Token);
            assert_eq!(compiled.as_deref(), Ok(wanted), "{expression}");
        }
        assert_eq!(unescaped(&escaped(url)).as_deref(), Some(url));
    }

    #[test]
    fn a_choice_becomes_what_the_kind_can_search() {
        let compiled = compile("Observation.value", "Observation", ParameterKind::Quantity);
        assert_eq!(compiled.as_deref(), Ok("valueQuantity:Quantity|valueRange:Range"));
        let compiled = compile("Observation.note.text", "Observation", ParameterKind::String);
        assert_eq!(compiled.as_deref(), Ok("note.text:markdown"));
        let compiled = compile("Patient.photo.exists()", "Patient", ParameterKind::Token);
        assert_eq!(compiled.as_deref(), Ok("photo:truth"));
        let compiled = compile("Patient.gender", "Patient", ParameterKind::Token);
        assert_eq!(
            compiled.as_deref(),
            Ok("gender:code@http://hl7.org/fhir/administrative-gender")
        );
    }

    #[test]
    fn what_has_another_form_or_cannot_be_searched_is_refused() {
        for (expression, kind) in [
            ("", ParameterKind::Token),
            ("Patient", ParameterKind::Token),
            ("Patient.nonsense", ParameterKind::Token),
            ("Observation.status", ParameterKind::Token),
            ("Patient.birthDate", ParameterKind::String),
            ("Patient.active.exists()", ParameterKind::Token),
            ("Patient.photo.exists()", ParameterKind::Date),
            ("Patient.name.first()", ParameterKind::String),
            ("Patient.name.where(use='a' or use='b').family", ParameterKind::String),
            ("Patient.name.where(nonsense='a').family", ParameterKind::String),
            ("Patient.name.where(use='a').where(use='b').family", ParameterKind::String),
            ("Patient.where(id='a').name", ParameterKind::String),
            ("Patient.link.other.where(resolve() is Nonsense)", ParameterKind::Reference),
            ("Patient.name.where(resolve() is Patient)", ParameterKind::Reference),
            ("Patient.link.other.where(resolve() is Patient).id", ParameterKind::Token),
            ("Patient.name.where(use='a", ParameterKind::String),
            ("(((", ParameterKind::String),
            (")'|'(", ParameterKind::String),
            ("Patient.contact.name.given | Patient.birthDate.x", ParameterKind::String),
        ] {
            assert!(compile(expression, "Patient", kind).is_err(), "{expression}");
        }
    }
}
