//! What the specification's text has a question answer, resource by resource, without any index.

use std::collections::BTreeSet;

use serde_json::Value;
use service::clock::Clock;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::parameters::{self, Kind, Parameter};
use super::question::{Ask, Hop, Include, Question, Test, Token, Unit};
use super::scale::{Exact, OPEN, Span, ucum};
use super::world::{BASE, UCUM, World};

/// Type and id.
pub(super) type Name = (String, String);

/// All resources that match.
pub(super) fn matches(world: &World, question: &Question) -> BTreeSet<Name> {
    let matching = world.iter().filter(|((of, _), resource)| {
        question.types.contains(&of.as_str())
            && question.patient.as_ref().is_none_or(|p| in_compartment(resource, p))
            && question.asks.iter().all(|ask| holds(world, resource, ask))
    });
    matching.map(|(name, _)| name.clone()).collect()
}

/// What goes along with all of these.
pub(super) fn included(world: &World, question: &Question, of: &BTreeSet<Name>) -> BTreeSet<Name> {
    let mut included = BTreeSet::new();
    for include in &question.include {
        let mut fresh: Vec<Name> = of.iter().cloned().collect();
        while !fresh.is_empty() {
            let next = step(world, include, &fresh);
            let new = |name: &Name| !of.contains(name) && included.insert(name.clone());
            fresh = next.into_iter().filter(new).collect();
            if !include.iterate {
                break;
            }
        }
    }
    included
}

fn step(world: &World, include: &Include, from: &[Name]) -> Vec<Name> {
    let parameter = parameters::parameter(include.source, include.code).unwrap();
    let mut next = Vec::new();
    for (source, resource) in world.iter().filter(|((of, _), _)| of == include.source) {
        for target in targets(resource, &parameter).iter().filter_map(Target::own) {
            let wanted = include.of_type.is_none_or(|t| t == target.0);
            let (this, other) = if include.reverse { (&target, source) } else { (source, &target) };
            if wanted && from.contains(this) && world.contains_key(other) {
                next.push(other.clone());
            }
        }
    }
    next
}

fn in_compartment(resource: &Value, patient: &str) -> bool {
    let of = resource["resourceType"].as_str().unwrap();
    let codes = parameters::compartment(of).iter();
    let mut parameters = codes.map(|code| parameters::parameter(of, code).unwrap());
    let patient = ("Patient".to_owned(), patient.to_owned());
    parameters.any(|p| targets(resource, &p).iter().any(|t| t.own().as_ref() == Some(&patient)))
}

fn holds(world: &World, resource: &Value, ask: &Ask) -> bool {
    let of = resource["resourceType"].as_str().unwrap();
    let Some((hop, rest)) = ask.hops.split_first() else {
        if let Test::Ids(ids) = &ask.test {
            return ids.iter().any(|id| resource["id"] == **id);
        }
        let parameter = parameters::parameter(of, ask.code).unwrap();
        return meets(resource, &parameter, &ask.test);
    };
    let rest = Ask { hops: rest.to_vec(), ..ask.clone() };
    match hop {
        Hop::Along { code, of_type } => {
            let parameter = parameters::parameter(of, code).unwrap();
            let found = targets(resource, &parameter);
            let own = found.iter().filter_map(Target::own);
            own.filter(|(t, _)| of_type.is_none_or(|of_type| of_type == t))
                .filter_map(|name| world.get(&name))
                .any(|next| holds(world, next, &rest))
        }
        Hop::Back { source, code } => {
            let parameter = parameters::parameter(source, code).unwrap();
            let this = (of.to_owned(), resource["id"].as_str().unwrap().to_owned());
            world.iter().any(|((of, _), other)| {
                let refers =
                    || targets(other, &parameter).iter().any(|t| t.own().as_ref() == Some(&this));
                of == source && refers() && holds(world, other, &rest)
            })
        }
    }
}

/// The elements at a path, arrays walked into.
fn at<'v>(value: &'v Value, path: &str) -> Vec<&'v Value> {
    let mut found = vec![value];
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let next = found.into_iter().filter_map(|value| value.get(step));
        found = next
            .flat_map(|v| v.as_array().map_or_else(|| vec![v], |items| items.iter().collect()))
            .collect();
    }
    found
}

fn elements<'v>(resource: &'v Value, paths: &[&str]) -> Vec<&'v Value> {
    paths.iter().flat_map(|path| at(resource, path)).collect()
}

fn meets(resource: &Value, parameter: &Parameter, test: &Test) -> bool {
    let found = elements(resource, parameter.paths);
    if let Test::Missing(missing) = test {
        return found_any(&found, parameter) != *missing;
    }
    match (parameter.kind, test) {
        (Kind::Pair(contexts, kind, paths), Test::Pair(any)) => {
            let elements = contexts.iter().flat_map(|context| at(resource, context));
            elements.into_iter().any(|element| {
                any.iter().any(|(token, test)| {
                    let code = tokens(&at(element, "code"), &Kind::Concept);
                    let value = elements_of(element, paths);
                    code.iter().any(|code| is_token(token, code)) && value_meets(&value, kind, test)
                })
            })
        }
        (kind, test) => value_meets(&found, &kind, test),
    }
}

fn elements_of<'v>(element: &'v Value, paths: &[&str]) -> Vec<&'v Value> {
    elements(element, paths)
}

fn found_any(found: &[&Value], parameter: &Parameter) -> bool {
    match parameter.kind {
        Kind::Contact(system) => found.iter().any(|c| system.is_empty() || c["system"] == system),
        Kind::Reference(allowed, true) => found.iter().any(|r| resolves_to(r, allowed[0])),
        Kind::Name => found.iter().any(|name| !strings(&[name], &Kind::Name).is_empty()),
        _ => !found.is_empty(),
    }
}

fn value_meets(found: &[&Value], kind: &Kind, test: &Test) -> bool {
    let any_token = |any: &[Token]| {
        let found = tokens(found, kind);
        any.iter().any(|token| found.iter().any(|one| is_token(token, one)))
    };
    let subsumed = |any: &[[String; 2]], below: bool| {
        let near = |code: &str| {
            match (code, below) {
                ("amended", true) => vec!["amended", "corrected"],
                ("corrected", false) => vec!["corrected", "amended"],
                _ => vec![code],
            }
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
        };
        let codes: Vec<String> = any.iter().flat_map(|[_, code]| near(code)).collect();
        tokens(found, kind).iter().any(|(_, code)| codes.contains(code))
    };
    let any_text = |any: &[String], holds: fn(&str, &str) -> bool| {
        strings(found, kind).iter().any(|text| any.iter().any(|asked| holds(text, asked)))
    };
    match test {
        Test::Token(any) => any_token(any),
        Test::Not(any) => !any_token(any),
        Test::Words(any) => words(found).iter().any(|text| any.iter().any(|a| starts(text, a))),
        Test::OfType(any) => any.iter().any(|asked| found.iter().any(|f| is_of_type(f, asked))),
        Test::Above(any) => subsumed(any, false),
        Test::Below(any) => subsumed(any, true),
        Test::Starts(any) => any_text(any, starts),
        Test::Exact(any) => any_text(any, |text, asked| text == asked),
        Test::Contains(any) => any_text(any, |text, asked| folded(text).contains(&folded(asked))),
        Test::Date(any) => {
            let spans: Vec<Span> = found.iter().filter_map(|value| span(value)).collect();
            spans.iter().any(|span| any.iter().any(|(p, date)| in_time(*span, p, date)))
        }
        Test::Number(any) => {
            found.iter().any(|value| any.iter().any(|(p, n, unit)| in_range(value, p, n, unit)))
        }
        Test::Refers(of_type, any) => refers(found, kind, *of_type, any),
        Test::Identified(any) => {
            let identifiers = referred(found, kind).into_iter().filter_map(|r| r.get("identifier"));
            let found = tokens(&identifiers.collect::<Vec<_>>(), &Kind::Identifier);
            any.iter().any(|token| found.iter().any(|one| is_token(token, one)))
        }
        Test::Uri(any) => found.iter().any(|f| any.iter().any(|uri| *f == uri)),
        Test::UriBelow(any) => {
            found.iter().any(|f| any.iter().any(|u| is_below(f.as_str().unwrap(), u)))
        }
        Test::UriAbove(any) => {
            found.iter().any(|f| any.iter().any(|u| is_below(u, f.as_str().unwrap())))
        }
        Test::Near(latitude, longitude, km) => found.iter().any(|position| {
            let of = |name: &str| position[name].as_f64().unwrap();
            distance((*latitude, *longitude), (of("latitude"), of("longitude"))) <= *km
        }),
        Test::Ids(_) | Test::Missing(_) | Test::Pair(_) => unreachable!("asked of the resource"),
    }
}

fn is_below(uri: &str, of: &str) -> bool {
    uri.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Kilometres on the great circle.
fn distance(a: (f64, f64), b: (f64, f64)) -> f64 {
    let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
    let across = a.0.to_radians().cos() * b.0.to_radians().cos() * half(a.1, b.1);
    2.0 * 6_371.0 * (half(a.0, b.0) + across).sqrt().asin()
}

/// System and code of what is a token; either may be empty.
fn tokens(found: &[&Value], kind: &Kind) -> Vec<(String, String)> {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    match kind {
        Kind::Truth => {
            let holds = found.iter().any(|value| **value != Value::Bool(false));
            vec![(String::new(), holds.to_string())]
        }
        Kind::Code(system) => {
            let code =
                |value: &&Value| value.as_str().map_or_else(|| value.to_string(), Into::into);
            found.iter().map(|value| ((*system).to_owned(), code(value))).collect()
        }
        Kind::Concept => {
            let codings: Vec<&Value> = found.iter().flat_map(|f| at(f, "coding")).collect();
            tokens(&codings, &Kind::Coding)
        }
        Kind::Identifier => found.iter().map(|f| (text(f, "system"), text(f, "value"))).collect(),
        Kind::Contact(system) => {
            let fits = |c: &&&Value| system.is_empty() || c["system"] == *system;
            found.iter().filter(fits).map(|f| (String::new(), text(f, "value"))).collect()
        }
        _ => found.iter().map(|f| (text(f, "system"), text(f, "code"))).collect(),
    }
}

fn is_token(asked: &Token, (system, code): &(String, String)) -> bool {
    asked.system.as_ref().is_none_or(|s| s == system)
        && asked.code.as_ref().is_none_or(|c| c == code)
}

/// The texts beside codes.
fn words(found: &[&Value]) -> Vec<String> {
    let texts = found
        .iter()
        .flat_map(|f| [at(f, "display"), at(f, "text"), at(f, "coding.display")].concat());
    texts.filter_map(|text| text.as_str().map(Into::into)).collect()
}

fn is_of_type(identifier: &Value, [system, code, value]: &[String; 3]) -> bool {
    let of = |t: &&Value| t["system"] == **system && t["code"] == **code;
    identifier["value"] == **value && at(identifier, "type.coding").iter().any(of)
}

fn strings(found: &[&Value], kind: &Kind) -> Vec<String> {
    let parts: &[&str] =
        if *kind == Kind::Name { &["family", "given", "prefix", "suffix", "text"] } else { &[""] };
    let texts = found.iter().flat_map(|f| elements(f, parts));
    texts.filter_map(|text| text.as_str().map(Into::into)).collect()
}

fn starts(text: &str, asked: &str) -> bool {
    folded(text).starts_with(&folded(asked))
}

/// Without case, marks and uneven spaces: what `fhir::fold` says of itself.
fn folded(text: &str) -> String {
    let plain: String = text
        .nfkd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
        .map(|c| if c == 'ς' { 'σ' } else { c })
        .collect();
    plain.replace('ß', "ss").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The time that a date, a Period or a Timing covers.
fn span(value: &Value) -> Option<Span> {
    if let Some(date) = value.as_str() {
        return Some(Span::of(date));
    }
    if let Some(events) = value["event"].as_array() {
        let spans = events.iter().map(|event| Span::of(event.as_str().unwrap()));
        return spans.reduce(|a, b| Span { low: a.low.min(b.low), high: a.high.max(b.high) });
    }
    Some(Span {
        low: value["start"].as_str().map_or(-OPEN, |start| Span::of(start).low),
        high: value["end"].as_str().map_or(OPEN, |end| Span::of(end).high),
    })
}

/// <https://hl7.org/fhir/R4/search.html#prefix>
fn in_time(stored: Span, prefix: &str, date: &str) -> bool {
    let asked = Span::of(date);
    let contained = asked.low <= stored.low && stored.high <= asked.high;
    match prefix {
        "ne" => !contained,
        "gt" => stored.high > asked.high,
        "lt" => stored.low < asked.low,
        "ge" => stored.high > asked.high || contained,
        "le" => stored.low < asked.low || contained,
        "sa" => stored.low >= asked.high,
        "eb" => stored.high <= asked.low,
        "ap" => {
            // A tenth of the time from then to now, either way.
            let now = i128::from(Clock::System.now_micros());
            let slack = (asked.low - now).abs() / 10;
            stored.low < asked.high + slack && stored.high > asked.low - slack
        }
        _ => contained,
    }
}

/// What a stored number or quantity spans: a comparator leaves one end open.
fn range(value: &Value) -> (Exact, Exact) {
    let number = value.get("value").unwrap_or(value).to_string();
    let exact = Exact::of(&number);
    match value["comparator"].as_str() {
        Some("<") => (Exact::of("-1e20"), exact),
        Some(">=") => (exact, Exact::of("1e20")),
        _ => (exact, exact),
    }
}

fn in_range(value: &Value, prefix: &str, number: &str, unit: &Unit) -> bool {
    let one = Exact::of("1");
    let (stored_by, asked_by) = match unit {
        Unit::Any => (one, one),
        Unit::Named(name) if value["code"] == **name || value["unit"] == **name => (one, one),
        Unit::Coded(system, code) if value["system"] == **system && value["code"] == **code => {
            (one, one)
        }
        Unit::Coded(system, code) if system == UCUM && value["system"] == UCUM => {
            let (stored, asked) = (ucum(value["code"].as_str().unwrap()), ucum(code));
            if stored.0 != asked.0 {
                return false;
            }
            (stored.1, asked.1)
        }
        _ => return false,
    };
    let (low, high) = range(value);
    let (low, high) = (low.times(stored_by), high.times(stored_by));
    let asked = Exact::of(number);
    let (from, to) = asked.around();
    let (exact, from, to) = (asked.times(asked_by), from.times(asked_by), to.times(asked_by));
    let contained = from <= low && high < to;
    match prefix {
        "ne" => !contained,
        "gt" => high > exact,
        "lt" => low < exact,
        "ge" => high >= exact,
        "le" => low <= exact,
        "sa" => low > exact,
        "eb" => high < exact,
        "ap" => {
            let tenth = exact.tenth();
            low <= exact.plus(tenth, 1).max(to) && high >= exact.plus(tenth, -1).min(from)
        }
        _ => contained,
    }
}

/// What a Reference is to.
#[derive(Debug, PartialEq)]
pub(super) enum Target {
    Own(String, String),
    Elsewhere(String),
}

impl Target {
    fn read(reference: &str) -> Self {
        let own = reference.strip_prefix(BASE).map_or(reference, |rest| &rest[1..]);
        if own.contains("://") {
            return Self::Elsewhere(own.to_owned());
        }
        let mut parts = own.split('/');
        let (of, id) = (parts.next().unwrap(), parts.next().unwrap());
        Self::Own(of.to_owned(), id.to_owned())
    }

    fn own(&self) -> Option<Name> {
        match self {
            Self::Own(of, id) => Some((of.clone(), id.clone())),
            Self::Elsewhere(_) => None,
        }
    }
}

/// Whether a Reference is to that type, by its type or by its URL.
fn resolves_to(reference: &Value, of: &str) -> bool {
    match (reference["type"].as_str(), reference["reference"].as_str()) {
        (Some(named), _) => named == of,
        (None, Some(url)) => url.split('/').any(|part| part == of),
        (None, None) => true,
    }
}

/// The References that count for a parameter.
fn referred<'v>(found: &[&'v Value], kind: &Kind) -> Vec<&'v Value> {
    let Kind::Reference(allowed, only) = kind else { return Vec::new() };
    found.iter().copied().filter(|r| !only || resolves_to(r, allowed[0])).collect()
}

fn targets(resource: &Value, parameter: &Parameter) -> Vec<Target> {
    let found = elements(resource, parameter.paths);
    let urls =
        referred(&found, &parameter.kind).into_iter().filter_map(|r| r["reference"].as_str());
    urls.map(Target::read).collect()
}

fn refers(found: &[&Value], kind: &Kind, of_type: Option<&str>, any: &[String]) -> bool {
    let urls = referred(found, kind).into_iter().filter_map(|r| r["reference"].as_str());
    let found: Vec<Target> = urls.map(Target::read).collect();
    any.iter().any(|asked| {
        found.iter().any(|target| match target {
            Target::Own(of, id) if !asked.contains('/') => {
                id == asked && of_type.is_none_or(|t| t == of)
            }
            Target::Own(of, _) => *target == Target::read(asked) && of_type.is_none_or(|t| t == of),
            // What is elsewhere is known by its URL, and not by a type of ours.
            Target::Elsewhere(url) => url == asked && of_type.is_none(),
        })
    })
}

/// A sort value; a resource without one comes last, whichever way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Time(i128),
    Number(Exact),
    Text(String, String),
}

/// What a resource is ordered by, for each key. `resource` is as the hub gave it.
pub(super) fn ranks(resource: &Value, question: &Question) -> Vec<(Option<Rank>, bool)> {
    let of = resource["resourceType"].as_str().unwrap();
    if question.sort.is_empty() {
        return vec![(parameters::clinical(of).and_then(|p| clinical(resource, &p)), true)];
    }
    let rank =
        |(code, down): &(&'static str, bool)| (rank(resource, of, question, code, *down), *down);
    question.sort.iter().map(rank).collect()
}

fn clinical(resource: &Value, parameter: &Parameter) -> Option<Rank> {
    let spans = elements(resource, parameter.paths).into_iter().filter_map(span);
    let lows = spans.map(|span| span.low).filter(|low| *low != -OPEN);
    lows.min().map(|low| Rank::Time(low.div_euclid(1_000)))
}

fn rank(resource: &Value, of: &str, question: &Question, code: &str, down: bool) -> Option<Rank> {
    let text = |value: &Value| Some(Rank::Text(value.as_str()?.to_owned(), String::new()));
    match code {
        "_id" => return text(&resource["id"]),
        "_lastUpdated" => return text(&resource["meta"]["lastUpdated"]),
        _ => {}
    }
    let parameter = parameters::parameter(of, code).unwrap();
    let clinical_of = |t: &&str| parameters::clinical(t).is_some_and(|p| p.code == code);
    if question.types.iter().all(clinical_of) {
        return clinical(resource, &parameter);
    }
    let found = elements(resource, parameter.paths);
    let ranks: Vec<Rank> = match parameter.kind {
        Kind::Date => found.iter().filter_map(|v| span(v)).map(|s| Rank::Time(s.low)).collect(),
        Kind::Number | Kind::Quantity => found.iter().map(|v| Rank::Number(range(v).0)).collect(),
        Kind::Text | Kind::Name => {
            let texts = strings(&found, &parameter.kind).into_iter();
            texts.map(|text| Rank::Text(folded(&text), text)).collect()
        }
        Kind::Uri => found.iter().filter_map(|value| text(value)).collect(),
        Kind::Reference(..) => {
            let targets = targets(resource, &parameter).into_iter();
            targets
                .map(|target| match target {
                    Target::Own(_, id) => Rank::Text(id, String::new()),
                    Target::Elsewhere(url) => Rank::Text(url, String::new()),
                })
                .collect()
        }
        kind => {
            let codes = tokens(&found, &kind).into_iter().map(|(_, code)| code);
            codes.map(|code| Rank::Text(code, String::new())).collect()
        }
    };
    if down { ranks.into_iter().max() } else { ranks.into_iter().min() }
}

/// Whether two resources may follow each other in this order.
pub(super) fn in_order(a: &[(Option<Rank>, bool)], b: &[(Option<Rank>, bool)]) -> bool {
    for ((a, down), (b, _)) in a.iter().zip(b) {
        let ordering = match (a, b) {
            (None, None) => continue,
            (None, Some(_)) => return false,
            (Some(_), None) => return true,
            (Some(a), Some(b)) => {
                if *down {
                    b.cmp(a)
                } else {
                    a.cmp(b)
                }
            }
        };
        if ordering.is_ne() {
            return ordering.is_lt();
        }
    }
    true
}
