//! Every search parameter of R4, as HL7 publishes them: a strict caller may search by it, and what an
//! example has is found by it. <https://hl7.org/fhir/R4/searchparameter-registry.html>

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Read as _;

use axum::body::Body;
use fhir::definitions::ResourceType;
use fhir::tree::Tree;
use flate2::read::GzDecoder;
use http::StatusCode;
use serde_json::Value;
use url::form_urlencoded::byte_serialize;

use super::asked::{Question, questions, vain};
use super::{Example, example, examples, shared};
use crate::kit::{Kit, Response, matches, on_both_engines};

on_both_engines!(
    every_parameter_is_searched_by_or_listed_with_its_reason,
    what_an_example_has_is_found_by_every_parameter,
);

/// Base, code, and why it is not searched by.
const UNSEARCHED: [(&str, &str, &str); 7] = [
    ("Resource", "_content", "no index of all words is kept"),
    ("DomainResource", "_text", "no index of narratives is kept"),
    ("Resource", "_query", "no named queries are defined"),
    ("MolecularSequence", "chromosome-variant-coordinate", THREE),
    ("MolecularSequence", "chromosome-window-coordinate", THREE),
    ("MolecularSequence", "referenceseqid-variant-coordinate", THREE),
    ("MolecularSequence", "referenceseqid-window-coordinate", THREE),
];
const THREE: &str = "composites of three components are not indexed";
/// Types that are no DomainResource. <https://hl7.org/fhir/R4/domainresource.html>
const BARE: [&str; 3] = ["Binary", "Bundle", "Parameters"];
/// Examples by which a parameter is tried, and questions asked about each.
const EXAMPLES_EACH: usize = 2;
const QUESTIONS_EACH: usize = 4;
/// Parameters, each of one type, that the examples have values of.
const TRIED_MIN: usize = 1_200;

/// A parameter as it is published.
struct Published {
    bases: Vec<String>,
    code: String,
    kind: String,
    /// The kinds of its components.
    components: Vec<String>,
}

/// All of them; none if they are not beside this project.
fn published() -> Vec<Published> {
    let Ok(file) = std::fs::File::open(shared("fhir-r4/search-parameters.json.gz")) else {
        eprintln!("skipped: the definitions are not beside this project");
        return Vec::new();
    };
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let bundle: Value = serde_json::from_str(&text).unwrap();
    let all: Vec<&Value> =
        bundle["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]).collect();
    let kinds: BTreeMap<&str, &str> =
        all.iter().map(|p| (word(p, "url"), word(p, "type"))).collect();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let read = |parameter: &&Value| Published {
        bases: list(&parameter["base"]).iter().map(|b| b.as_str().unwrap().to_owned()).collect(),
        code: word(parameter, "code").to_owned(),
        kind: word(parameter, "type").to_owned(),
        components: list(&parameter["component"])
            .iter()
            .map(|component| kinds[word(component, "definition")].to_owned())
            .collect(),
    };
    all.iter().map(read).collect()
}

fn word<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap()
}

/// Types that are stored as they are sent: not the audit trail, which has few parameters of its own.
fn stored_types() -> impl Iterator<Item = ResourceType> {
    ResourceType::all().filter(|t| *t != ResourceType::AUDIT_EVENT)
}

/// The types that a base stands for.
fn types(base: &str) -> Vec<ResourceType> {
    match base {
        "Resource" => stored_types().collect(),
        "DomainResource" => stored_types().filter(|t| !BARE.contains(&t.as_str())).collect(),
        "AuditEvent" => Vec::new(),
        _ => vec![base.parse().unwrap()],
    }
}

impl Published {
    fn types(&self) -> BTreeSet<ResourceType> {
        self.bases.iter().flat_map(|base| types(base)).collect()
    }

    /// A value of its kind.
    fn value(&self) -> String {
        let of_kind = |kind: &str| match kind {
            "number" | "quantity" => "1",
            "date" => "2020-05",
            "special" => "1|1",
            _ => "a",
        };
        match self.components.as_slice() {
            [] => of_kind(&self.kind).to_owned(),
            all => all.iter().map(|kind| of_kind(kind)).collect::<Vec<_>>().join("$"),
        }
    }

    /// A value of any other kind, for those that can tell.
    fn wrong_value(&self) -> Option<&'static str> {
        matches!(&*self.kind, "number" | "quantity" | "date" | "special" | "composite")
            .then_some("a")
    }
}

async fn strictly(kit: &Kit, url: &str) -> Response {
    kit.send("GET", &format!("/FHIR/R4/{url}"), &[("prefer", "handling=strict")], Body::empty())
        .await
}

async fn every_parameter_is_searched_by_or_listed_with_its_reason(kit: Kit) {
    let published = published();
    if published.is_empty() {
        return;
    }
    let unknown = strictly(&kit, "Patient?no-such=a").await;
    unknown.assert_refused(StatusCode::BAD_REQUEST);
    let (mut refused, mut wrong) = (BTreeSet::new(), Vec::new());
    for parameter in &published {
        for of in parameter.types() {
            let (code, value) = (&parameter.code, parameter.value());
            match strictly(&kit, &format!("{of}?{code}={}", encoded(&value))).await.status {
                StatusCode::OK => {}
                StatusCode::BAD_REQUEST => {
                    refused.insert((of.as_str(), code.as_str()));
                    continue;
                }
                status => wrong.push(format!("{of}?{code}={value}: {status}")),
            }
            let Some(value) = parameter.wrong_value() else { continue };
            let status = strictly(&kit, &format!("{of}?{code}={value}")).await.status;
            if status != StatusCode::BAD_REQUEST {
                wrong.push(format!("{of}?{code}={value}: {status}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let listed = UNSEARCHED.iter().flat_map(|(base, code, _)| {
        let types = types(base);
        types.into_iter().map(|t| (t.as_str(), *code)).collect::<Vec<_>>()
    });
    assert_eq!(refused, listed.collect::<BTreeSet<_>>());
}

/// What has come of the questions.
#[derive(Default)]
struct Tried {
    /// Parameters, each of one type, by kind.
    parameters: BTreeMap<String, usize>,
    questions: usize,
    wrong: Vec<String>,
}

async fn what_an_example_has_is_found_by_every_parameter(kit: Kit) {
    let (published, stored) = (published(), stored(&kit, examples()).await);
    if published.is_empty() || stored.is_empty() {
        return;
    }
    let mut by_type: BTreeMap<ResourceType, Vec<(&Example, Tree<'_>)>> = BTreeMap::new();
    for example in &stored {
        let tree = Tree::parse(example.text.as_bytes()).unwrap();
        by_type.entry(example.resource_type).or_default().push((example, tree));
    }
    let mut tried = Tried::default();
    for parameter in &published {
        for of in parameter.types() {
            let Some(examples) = by_type.get(&of) else { continue };
            tried.parameter(&kit, parameter, of, examples).await;
        }
    }
    let parameters = tried.parameters.values().sum::<usize>();
    eprintln!("{parameters} parameters, {} questions: {:?}", tried.questions, tried.parameters);
    assert!(tried.wrong.is_empty(), "{} wrong:\n{}", tried.wrong.len(), tried.wrong.join("\n"));
    assert!(parameters >= TRIED_MIN, "only {parameters} parameters have been tried");
}

/// The examples as they are stored: two of the same patient are not.
async fn stored(kit: &Kit, examples: Vec<Example>) -> Vec<Example> {
    let mut stored = Vec::new();
    for one in examples {
        let answer = kit.put(&one.path(), &one.text).await;
        if answer.status == StatusCode::CONFLICT {
            assert_eq!(one.resource_type, ResourceType::PATIENT, "{}", answer.text);
            continue;
        }
        assert_eq!(answer.status, StatusCode::CREATED, "{}: {}", one.path(), answer.text);
        stored.push(example(kit.get(&one.path()).await.text));
    }
    stored
}

impl Tried {
    /// Asks for values that some of the examples have.
    async fn parameter(
        &mut self,
        kit: &Kit,
        published: &Published,
        of: ResourceType,
        examples: &[(&Example, Tree<'_>)],
    ) {
        let Some(parameter) = of.search_parameter(&published.code) else { return };
        let asked = examples.iter().map(|(example, tree)| (example, questions(parameter, tree)));
        let asked = asked.filter(|(_, questions)| !questions.is_empty()).take(EXAMPLES_EACH);
        let asked: Vec<_> = asked.collect();
        if let Some((example, _)) = asked.first() {
            *self.parameters.entry(published.kind.clone()).or_default() += 1;
            let nothing = Question { modifier: "", values: vec![vain(parameter)] };
            self.ask(kit, example, &published.code, &nothing, false).await;
        }
        for (example, questions) in asked {
            for question in questions.iter().take(QUESTIONS_EACH) {
                self.ask(kit, example, &published.code, question, true).await;
            }
        }
    }

    async fn ask(
        &mut self,
        kit: &Kit,
        example: &Example,
        code: &str,
        question: &Question,
        finds: bool,
    ) {
        let mut url = format!("{}?_id={}", example.resource_type, example.id);
        for value in &question.values {
            write!(url, "&{code}{}={}", question.modifier, encoded(value)).unwrap();
        }
        let answer = strictly(kit, &url).await;
        self.questions += 1;
        let expected: &[&str] = if finds { &[&example.id] } else { &[] };
        if answer.status != StatusCode::OK || matches(&answer.json()) != expected {
            self.wrong.push(format!("{url}: {}: not {expected:?}", answer.status));
        }
    }
}

fn encoded(value: &str) -> String {
    byte_serialize(value.as_bytes()).collect()
}
