//! Search parameters, compiled to JSON members. <https://hl7.org/fhir/R4/searchparameter-registry.html>

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use super::compile::unescaped;
use super::{DEFINITIONS, ResourceType, TypeSet, lines};

/// Texts of records' own parameters that a process keeps, and the longest of them: 16 MiB at most.
const KEPT_MAX: usize = 4_096;
const KEPT_BYTES_MAX: usize = 4 << 10;

/// The kinds of parameter. <https://hl7.org/fhir/R4/search.html#ptypes>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the search parameter type of that name")]
pub enum ParameterKind {
    Number,
    Date,
    String,
    Token,
    Reference,
    Composite,
    Quantity,
    Uri,
    Special,
}

impl ParameterKind {
    const ALL: [(&'static str, Self); 9] = [
        ("number", Self::Number),
        ("date", Self::Date),
        ("string", Self::String),
        ("token", Self::Token),
        ("reference", Self::Reference),
        ("composite", Self::Composite),
        ("quantity", Self::Quantity),
        ("uri", Self::Uri),
        ("special", Self::Special),
    ];

    /// The kind's code in the specification.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    /// The kind of that code.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(n, _)| *n == name).map(|(_, kind)| *kind)
    }
}

/// A search parameter of one resource type.
#[derive(Debug, Clone)]
pub struct SearchParameter {
    /// The name by which it is searched.
    pub code: &'static str,
    /// How its values are compared.
    pub kind: ParameterKind,
    /// What a reference may refer to; empty for other kinds.
    pub targets: Vec<ResourceType>,
    /// Where its values are; for a composite, the elements that its components start from.
    pub terms: Vec<Term>,
    /// The parts of a composite, in order; empty for other kinds.
    pub components: Vec<Component>,
    /// The places, among the type's parameters, of those whose values together are exactly its own
    /// (`combo-code`: `code` and `component-code`); empty if there are no such.
    pub parts: Vec<usize>,
}

/// One part of a composite parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The code of the parameter that it stands for.
    pub code: &'static str,
    /// How its values are compared.
    pub kind: ParameterKind,
    /// Where its values are, from the composite's element.
    pub terms: Vec<Term>,
}

/// One path of a union.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// How to get there.
    pub steps: Vec<Step>,
    /// What is found there, and how it is read.
    pub leaf: Leaf,
    /// Only references to this type count.
    pub target: Option<ResourceType>,
    /// The code system that a code belongs to by its binding.
    pub system: Option<&'static str>,
    /// Starts at the resource even within a composite's element.
    pub from_resource: bool,
}

/// One step of a path. Arrays are walked into without saying so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The member of that name.
    Member(&'static str),
    /// Only objects whose member has that value.
    Where {
        /// The member.
        member: &'static str,
        /// Its value.
        value: &'static str,
    },
    /// Only the first item.
    First,
}

/// How a value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the data type of that name, unless it says otherwise")]
pub enum Leaf {
    Address,
    CodeableConcept,
    Coding,
    ContactPoint,
    HumanName,
    Identifier,
    Instant,
    Money,
    Period,
    Quantity,
    Range,
    Reference,
    Timing,
    /// `date` and `dateTime`.
    Date,
    /// All numeric types.
    Number,
    /// A `canonical` or `uri` that a reference parameter searches.
    Canonical,
    /// A `uri` and its kin that a uri parameter searches.
    Uri,
    /// `code`, `id`, `boolean`, `string` or `uri` as a token.
    Code,
    /// `string` and `markdown` as text.
    Text,
    /// `Location.position`.
    Position,
    /// A resource inside this one.
    Resource,
    /// Whether one of the members named by the last steps is present and not `false`.
    Truth,
    /// A composite's element: read by its components.
    Context,
}

impl Leaf {
    fn read(kind: ParameterKind, data_type: &str) -> Option<Self> {
        Some(match (data_type, kind) {
            ("Address", _) => Self::Address,
            ("CodeableConcept", _) => Self::CodeableConcept,
            ("Coding", _) => Self::Coding,
            ("ContactPoint", _) => Self::ContactPoint,
            ("HumanName", _) => Self::HumanName,
            ("Identifier", _) => Self::Identifier,
            ("instant", _) => Self::Instant,
            ("Money", _) => Self::Money,
            ("Period", _) => Self::Period,
            ("Quantity" | "Age" | "Count" | "Distance" | "Duration", _) => Self::Quantity,
            ("Range", _) => Self::Range,
            ("Reference", _) => Self::Reference,
            ("Timing", _) => Self::Timing,
            ("date" | "dateTime", _) => Self::Date,
            ("integer" | "decimal" | "positiveInt" | "unsignedInt", _) => Self::Number,
            ("Location.position", _) => Self::Position,
            ("Resource", _) => Self::Resource,
            ("truth", _) => Self::Truth,
            ("canonical" | "uri", ParameterKind::Reference) => Self::Canonical,
            (_, ParameterKind::Uri) => Self::Uri,
            (_, ParameterKind::String) => Self::Text,
            ("code" | "id" | "boolean" | "string" | "uri", ParameterKind::Token) => Self::Code,
            _ => return None,
        })
    }
}

impl Term {
    /// One term of the table: see the head of `search-parameters.tsv`.
    fn read(kind: ParameterKind, text: &'static str) -> Option<Self> {
        let from_resource = text.starts_with('/');
        let text = text.trim_start_matches('/');
        let (path, leaf) = text.split_once(':').unwrap_or((text, ""));
        let (leaf, system) = match leaf.split_once('@') {
            Some((leaf, system)) => (leaf, Some(system)),
            None => (leaf, None),
        };
        let (leaf, target) = match leaf.strip_suffix(']').and_then(|l| l.split_once('[')) {
            Some((leaf, target)) => (leaf, Some(target)),
            None => (leaf, None),
        };
        let leaf = match kind {
            ParameterKind::Composite => Leaf::Context,
            _ => Leaf::read(kind, leaf)?,
        };
        let target = target.map(str::parse).transpose().ok()?;
        Some(Self { steps: steps(path)?, leaf, target, system, from_resource })
    }

    fn union(kind: ParameterKind, text: &'static str) -> Option<Vec<Self>> {
        text.split('|').map(|term| Self::read(kind, term)).collect()
    }
}

fn steps(path: &'static str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    for step in path.split(['.', '+']).filter(|step| !step.is_empty()) {
        let Some((name, filter)) = step.strip_suffix(']').and_then(|s| s.split_once('[')) else {
            steps.push(Step::Member(step));
            continue;
        };
        steps.push(Step::Member(name));
        steps.push(match filter.split_once('=') {
            Some((member, value)) if value.contains('%') => {
                Step::Where { member, value: kept(&unescaped(value)?)? }
            }
            Some((member, value)) => Step::Where { member, value },
            None => Step::First,
        });
    }
    Some(steps)
}

/// Text that lives as long as the process, so that the terms of a record's own parameters are what
/// those of FHIR are. Each text is kept once, and no more of them than a process that is told now and
/// then to take up other parameters can need; nothing if there are more.
fn kept(text: &str) -> Option<&'static str> {
    static KEPT: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut kept = KEPT.lock().expect("no holder of this lock panics");
    if let Some(known) = kept.get(text) {
        return Some(known);
    }
    if kept.len() >= KEPT_MAX || text.len() > KEPT_BYTES_MAX {
        return None;
    }
    let text: &'static str = Box::leak(text.into());
    kept.insert(text);
    Some(text)
}

/// The search parameters of all types: those of `search-parameters.tsv`, and perhaps some of a record's
/// own.
#[derive(Debug, Clone)]
pub struct SearchParameters(Vec<Arc<[SearchParameter]>>);

impl SearchParameters {
    /// FHIR's own.
    pub fn published() -> &'static Self {
        &DEFINITIONS.parameters
    }

    /// All parameters of a type, the common ones included, in order of their codes.
    pub fn of(&self, resource_type: ResourceType) -> &[SearchParameter] {
        &self.0[resource_type.index()]
    }

    /// The parameter of that code.
    pub fn named(&self, resource_type: ResourceType, code: &str) -> Option<&SearchParameter> {
        let parameters = self.of(resource_type);
        let found = parameters.binary_search_by(|p| p.code.cmp(code)).ok()?;
        Some(&parameters[found])
    }

    /// These and more, given as lines of the table. Those that cannot be read, of which there are too
    /// many in this process, or whose code the type has already, are left out. None of them is part of
    /// another or has parts: what is searched by these stays what it is.
    #[must_use]
    pub fn with(&self, added: &str) -> Self {
        let mut with = self.clone();
        for line in added.lines() {
            let Some((base, more)) = kept(line).and_then(parameter) else { continue };
            let Ok(base) = base.parse::<ResourceType>() else { continue };
            let all = &mut with.0[base.index()];
            if let Err(place) = all.binary_search_by(|parameter| parameter.code.cmp(more.code)) {
                *all = inserted(all, place, more);
            }
        }
        with
    }

    pub(super) fn read(table: &'static str) -> Self {
        let mut common = Vec::new();
        let mut of_type = vec![Vec::new(); ResourceType::all().len()];
        for line in lines(table) {
            let (base, parameter) = parameter(line).expect("the table is as its head says");
            match base.parse::<ResourceType>() {
                Ok(base) => of_type[base.index()].push(parameter),
                Err(_) => common.push(parameter),
            }
        }
        let all = |mut parameters: Vec<SearchParameter>| {
            parameters.extend(common.iter().cloned());
            ordered(parameters)
        };
        Self(of_type.into_iter().map(all).collect())
    }
}

/// A type's parameters and another one, which is part of none.
fn inserted(
    parameters: &[SearchParameter],
    place: usize,
    more: SearchParameter,
) -> Arc<[SearchParameter]> {
    let mut all = parameters.to_vec();
    for part in all.iter_mut().flat_map(|parameter| &mut parameter.parts) {
        *part += usize::from(*part >= place);
    }
    all.insert(place, more);
    all.into()
}

/// A type's parameters in order of their codes, each knowing its parts.
fn ordered(mut parameters: Vec<SearchParameter>) -> Arc<[SearchParameter]> {
    parameters.sort_by_key(|p| p.code);
    let parts: Vec<_> = (0..parameters.len()).map(|at| parts(&parameters, at)).collect();
    for (parameter, parts) in parameters.iter_mut().zip(parts) {
        parameter.parts = parts;
    }
    parameters.into()
}

/// The parameters of which the one at `whole` is the union, if each has fewer terms than it.
fn parts(parameters: &[SearchParameter], whole: usize) -> Vec<usize> {
    let of = &parameters[whole];
    let alike = |a: &[Component], b: &[Component]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.kind == b.kind && a.terms == b.terms)
    };
    let is_part = |part: &SearchParameter| {
        part.kind == of.kind
            && alike(&part.components, &of.components)
            && part.terms.len() < of.terms.len()
            && part.terms.iter().all(|term| of.terms.contains(term))
    };
    let found: Vec<usize> = (0..parameters.len()).filter(|at| is_part(&parameters[*at])).collect();
    let covers = |term: &Term| found.iter().any(|at| parameters[*at].terms.contains(term));
    if of.terms.len() > 1 && of.terms.iter().all(covers) { found } else { Vec::new() }
}

/// One line of the table: see its head.
fn parameter(line: &'static str) -> Option<(&'static str, SearchParameter)> {
    let mut columns = line.split('\t');
    let mut column = || columns.next();
    let (base, code, kind) = (column()?, column()?, column()?);
    let (targets, terms) = (column()?, column()?);
    let kind = ParameterKind::named(kind)?;
    let targets = match targets {
        "*" => ResourceType::all().collect(),
        _ => TypeSet::listed(targets).iter().collect(),
    };
    let parameter = SearchParameter {
        code,
        kind,
        targets,
        terms: Term::union(kind, terms)?,
        components: columns.map(component).collect::<Option<_>>()?,
        parts: Vec::new(),
    };
    Some((base, parameter))
}

fn component(column: &'static str) -> Option<Component> {
    let mut words = column.splitn(3, ' ');
    let (code, kind, terms) = (words.next()?, ParameterKind::named(words.next()?)?, words.next()?);
    Some(Component { code, kind, terms: Term::union(kind, terms)? })
}
