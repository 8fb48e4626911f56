//! A question: what is asked, and how it is written.

use std::fmt::Write as _;

use url::form_urlencoded::Serializer;

use super::dice::Dice;
use super::parameters::{self, Kind, Parameter};
use super::world::{BASE, CODES, DATES, DISPLAYS, NAMES, NUMBERS, SYSTEMS, UCUM, URIS, VALUES};

/// All that is asked at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Question {
    pub types: Vec<&'static str>,
    /// In the compartment of this Patient.
    pub patient: Option<String>,
    pub asks: Vec<Ask>,
    /// The parameter, and whether greatest first.
    pub sort: Vec<(&'static str, bool)>,
    pub count: usize,
    pub include: Vec<Include>,
}

/// One criterion.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub hops: Vec<Hop>,
    pub code: &'static str,
    pub test: Test,
}

/// A step to another resource.
#[derive(Debug, Clone)]
pub(super) enum Hop {
    Along { code: &'static str, of_type: Option<&'static str> },
    Back { source: &'static str, code: &'static str },
}

/// Any of these.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Ids(Vec<String>),
    Missing(bool),
    Token(Vec<Token>),
    Not(Vec<Token>),
    Words(Vec<String>),
    /// System, code, value.
    OfType(Vec<[String; 3]>),
    /// Above or below a code of a system.
    Above(Vec<[String; 2]>),
    Below(Vec<[String; 2]>),
    Starts(Vec<String>),
    Exact(Vec<String>),
    Contains(Vec<String>),
    Date(Vec<(&'static str, String)>),
    Number(Vec<(&'static str, String, Unit)>),
    /// Only of this type.
    Refers(Option<&'static str>, Vec<String>),
    Identified(Vec<Token>),
    Uri(Vec<String>),
    UriAbove(Vec<String>),
    UriBelow(Vec<String>),
    Near(f64, f64, f64),
    /// The code, and a test of one value.
    Pair(Vec<(Token, Test)>),
}

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub system: Option<String>,
    pub code: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Unit {
    Any,
    Coded(String, String),
    Named(String),
}

#[derive(Debug, Clone)]
pub(super) struct Include {
    pub reverse: bool,
    pub source: &'static str,
    pub code: &'static str,
    pub of_type: Option<&'static str>,
    pub iterate: bool,
}

const PREFIXES: [&str; 12] = ["", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap", ""];

impl Question {
    /// The path and query below the base.
    pub(super) fn url(&self) -> String {
        let mut query = Serializer::new(String::new());
        let path = match (&self.patient, self.types.as_slice()) {
            (Some(patient), [one]) => format!("Patient/{patient}/{one}"),
            (None, [one]) => (*one).to_owned(),
            (_, types) => {
                query.append_pair("_type", &types.join(","));
                String::new()
            }
        };
        for ask in &self.asks {
            let (name, value) = ask.written();
            query.append_pair(&name, &value);
        }
        if !self.sort.is_empty() {
            let key =
                |(code, down): &(&str, bool)| format!("{}{code}", if *down { "-" } else { "" });
            query.append_pair("_sort", &self.sort.iter().map(key).collect::<Vec<_>>().join(","));
        }
        for Include { reverse, source, code, of_type, iterate } in &self.include {
            let name = if *reverse { "_revinclude" } else { "_include" };
            let of_type = of_type.map(|t| format!(":{t}")).unwrap_or_default();
            let name = format!("{name}{}", if *iterate { ":iterate" } else { "" });
            query.append_pair(&name, &format!("{source}:{code}{of_type}"));
        }
        query.append_pair("_count", &self.count.to_string()).append_pair("_total", "accurate");
        format!("{path}?{}", query.finish())
    }

    /// The same question without one of its parts, for each part.
    pub(super) fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        let mut without = |change: &dyn Fn(&mut Self)| {
            let mut question = self.clone();
            change(&mut question);
            smaller.push(question);
        };
        for at in 0..self.asks.len() {
            without(&|question| drop(question.asks.remove(at)));
        }
        for at in 0..self.sort.len() {
            without(&|question| {
                question.sort.remove(at);
            });
        }
        for at in 0..self.include.len() {
            without(&|question| {
                question.include.remove(at);
            });
        }
        if self.count < 1_000 {
            without(&|question| question.count = 1_000);
        }
        smaller
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if matches!(c, ',' | '|' | '$' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

impl Token {
    fn written(&self) -> String {
        let code = self.code.as_deref().map(escaped).unwrap_or_default();
        match &self.system {
            None => code,
            Some(system) => format!("{}|{code}", escaped(system)),
        }
    }
}

impl Ask {
    fn written(&self) -> (String, String) {
        let mut name = String::new();
        for hop in &self.hops {
            let written = match hop {
                Hop::Along { code, of_type: None } => write!(name, "{code}."),
                Hop::Along { code, of_type: Some(of_type) } => write!(name, "{code}:{of_type}."),
                Hop::Back { source, code } => write!(name, "_has:{source}:{code}:"),
            };
            written.unwrap();
        }
        let (modifier, values) = self.test.written();
        (format!("{name}{}{modifier}", self.code), values.join(","))
    }
}

impl Test {
    fn written(&self) -> (String, Vec<String>) {
        let all = |texts: &[String]| texts.iter().map(|text| escaped(text)).collect::<Vec<_>>();
        let tokens = |any: &[Token]| any.iter().map(Token::written).collect::<Vec<_>>();
        let joined = |parts: &[String]| all(parts).join("|");
        let (modifier, values) = match self {
            Self::Ids(any) => ("", any.clone()),
            Self::Missing(missing) => (":missing", vec![missing.to_string()]),
            Self::Token(any) => ("", tokens(any)),
            Self::Not(any) => (":not", tokens(any)),
            Self::Identified(any) => (":identifier", tokens(any)),
            Self::Words(any) => (":text", all(any)),
            Self::OfType(any) => (":of-type", any.iter().map(|t| joined(t)).collect()),
            Self::Above(any) => (":above", any.iter().map(|t| joined(t)).collect()),
            Self::Below(any) => (":below", any.iter().map(|t| joined(t)).collect()),
            Self::Starts(any) | Self::Uri(any) => ("", all(any)),
            Self::Exact(any) => (":exact", all(any)),
            Self::Contains(any) => (":contains", all(any)),
            Self::UriAbove(any) => (":above", all(any)),
            Self::UriBelow(any) => (":below", all(any)),
            Self::Date(any) => ("", any.iter().map(|(p, date)| format!("{p}{date}")).collect()),
            Self::Number(any) => ("", any.iter().map(number).collect()),
            Self::Refers(of_type, any) => {
                let modifier = of_type.map(|t| format!(":{t}")).unwrap_or_default();
                return (modifier, all(any));
            }
            Self::Near(latitude, longitude, km) => {
                ("", vec![format!("{latitude}|{longitude}|{km}|km")])
            }
            Self::Pair(any) => {
                let pair = |(token, test): &(Token, Self)| {
                    format!("{}${}", token.written(), test.written().1[0])
                };
                ("", any.iter().map(pair).collect())
            }
        };
        (modifier.to_owned(), values)
    }
}

fn number((prefix, number, unit): &(&str, String, Unit)) -> String {
    match unit {
        Unit::Any => format!("{prefix}{number}"),
        Unit::Coded(system, code) => format!("{prefix}{number}|{system}|{code}"),
        Unit::Named(code) => format!("{prefix}{number}||{code}"),
    }
}

/// A question of any kind.
pub(super) fn thrown(dice: &mut Dice) -> Question {
    let types: Vec<&'static str> = match dice.below(12) {
        0 => vec!["Patient", "Organization"],
        1 => vec!["Encounter", "Observation"],
        2 => vec!["Patient"],
        3 => vec!["Encounter"],
        4 => vec!["MedicationRequest"],
        5 => vec!["RiskAssessment"],
        6 => vec!["ValueSet"],
        7 => vec![*dice.one(&["Location", "Organization"])],
        _ => vec!["Observation"],
    };
    let compartment = types.len() == 1 && !parameters::compartment(types[0]).is_empty();
    let patient = (compartment && dice.percent(12)).then(|| format!("p{}", dice.below(8)));
    let asks = match dice.below(10) {
        0 => Vec::new(),
        1..=5 => vec![ask(dice, &types)],
        6..=8 => vec![ask(dice, &types), ask(dice, &types)],
        _ => vec![ask(dice, &types), ask(dice, &types), ask(dice, &types)],
    };
    let mut question =
        Question { types, patient, asks, count: 1 + dice.below(9), ..Question::default() };
    if dice.percent(50) {
        let keys = 1 + dice.below(3);
        question.sort =
            (0..keys).map(|_| (sort_key(dice, &question.types), dice.percent(50))).collect();
    }
    if question.types.len() == 1 && dice.percent(15) {
        question.include = include(dice, question.types[0]).into_iter().collect();
        question.count = 1_000;
    }
    question
}

fn shared(dice: &mut Dice, types: &[&'static str]) -> Parameter {
    loop {
        let parameter = *dice.one(&parameters::of(types[0]));
        let same = |other: Parameter| {
            std::mem::discriminant(&other.kind) == std::mem::discriminant(&parameter.kind)
                || matches!(
                    (other.kind, parameter.kind),
                    (Kind::Name, Kind::Text) | (Kind::Text, Kind::Name)
                )
        };
        if types[1..].iter().all(|t| parameters::parameter(t, parameter.code).is_some_and(same)) {
            return parameter;
        }
    }
}

fn sort_key(dice: &mut Dice, types: &[&'static str]) -> &'static str {
    match dice.below(6) {
        0 => "_id",
        1 => "_lastUpdated",
        _ => loop {
            let parameter = shared(dice, types);
            if !matches!(parameter.kind, Kind::Pair(..) | Kind::Near) {
                return parameter.code;
            }
        },
    }
}

/// Nothing for a type that neither refers nor is referred to.
fn include(dice: &mut Dice, of: &'static str) -> Option<Include> {
    let reverse = dice.percent(40);
    let iterate = dice.percent(30);
    for _ in 0..500 {
        let parameter = *dice.one(parameters::PARAMETERS);
        let Kind::Reference(targets, _) = parameter.kind else { continue };
        let starts = if reverse { targets.contains(&of) } else { parameter.of == of };
        if !starts {
            continue;
        }
        let of_type = (!reverse && dice.percent(40)).then(|| *dice.one(targets));
        let (source, code) = (parameter.of, parameter.code);
        return Some(Include { reverse, source, code, of_type, iterate });
    }
    None
}

fn ask(dice: &mut Dice, types: &[&'static str]) -> Ask {
    let mut hops = Vec::new();
    let mut of: Vec<&'static str> = types.to_vec();
    while hops.len() < 3 && of.len() == 1 && dice.percent(if hops.is_empty() { 25 } else { 20 }) {
        let Some((hop, next)) = hop(dice, of[0]) else { break };
        hops.push(hop);
        of = vec![next];
    }
    if dice.percent(6) && hops.is_empty() {
        let id = |dice: &mut Dice| format!("{}{}", dice.one(&["p", "o", "e"]), dice.below(9));
        return Ask { hops, code: "_id", test: Test::Ids(dice.few(id)) };
    }
    let parameter = shared(dice, &of);
    let several = types.len() > 1;
    Ask { hops, code: parameter.code, test: test(dice, &parameter, several) }
}

/// A step that leads to one type alone: what a chain without one may lead to is asked with others.
fn hop(dice: &mut Dice, of: &'static str) -> Option<(Hop, &'static str)> {
    for _ in 0..40 {
        let parameter = *dice.one(parameters::PARAMETERS);
        let Kind::Reference(targets, only) = parameter.kind else { continue };
        if parameter.of == of && dice.percent(60) {
            let target = *dice.one(targets);
            let bare = only && dice.percent(70);
            let of_type = (!bare).then_some(target);
            return Some((Hop::Along { code: parameter.code, of_type }, target));
        }
        if targets.contains(&of) {
            return Some((Hop::Back { source: parameter.of, code: parameter.code }, parameter.of));
        }
    }
    None
}

fn token(dice: &mut Dice, codes: &[&str]) -> Token {
    let code = Some((*dice.one(codes)).to_owned());
    let system = Some((*dice.one(&SYSTEMS)).to_owned());
    match dice.below(8) {
        0 => Token { system: Some(String::new()), code },
        1 => Token { system, code: None },
        2..=4 => Token { system, code },
        _ => Token { system: None, code },
    }
}

fn number_test(dice: &mut Dice) -> (&'static str, String) {
    let extra = ["1e2", "10", "0.50", "5.40", "90", "6"];
    let text = if dice.percent(30) { *dice.one(&extra) } else { *dice.one(&NUMBERS) };
    (*dice.one(&PREFIXES), text.to_owned())
}

fn test(dice: &mut Dice, parameter: &Parameter, several: bool) -> Test {
    if dice.percent(10) && !matches!(parameter.kind, Kind::Pair(..) | Kind::Truth | Kind::Near) {
        return Test::Missing(dice.percent(50));
    }
    let text = |of: &'static [&'static str]| {
        move |dice: &mut Dice| {
            let whole = *dice.one(of);
            // Often only its beginning.
            let cut = if dice.percent(50) { 1 + dice.below(whole.chars().count()) } else { 99 };
            let part: String = whole.chars().take(cut).collect();
            if part.trim().is_empty() { whole.to_owned() } else { part }
        }
    };
    match parameter.kind {
        Kind::Code(system) => coded(dice, system),
        Kind::Truth => Test::Token(vec![Token {
            system: None,
            code: Some((*dice.one(&["true", "false"])).to_owned()),
        }]),
        Kind::Contact(_) => Test::Token(
            dice.few(|dice| Token { system: None, code: Some((*dice.one(&VALUES)).to_owned()) }),
        ),
        Kind::Identifier if dice.percent(25) => Test::OfType(dice.few(|dice| {
            [dice.one(&SYSTEMS), dice.one(&CODES), dice.one(&VALUES)].map(|t| (*t).to_owned())
        })),
        Kind::Identifier => Test::Token(dice.few(|dice| token(dice, &VALUES))),
        Kind::Concept | Kind::Coding => match dice.below(6) {
            0 => Test::Not(dice.few(|dice| token(dice, &CODES))),
            1 => Test::Words(dice.few(text(&DISPLAYS))),
            _ => Test::Token(dice.few(|dice| token(dice, &CODES))),
        },
        Kind::Text | Kind::Name => match dice.below(4) {
            0 => Test::Exact(dice.few(text(&NAMES))),
            1 => Test::Contains(dice.few(|dice| {
                let whole: Vec<char> = dice.one(&NAMES).chars().collect();
                let part: String = whole[dice.below(whole.len())..].iter().collect();
                if part.trim().is_empty() { "n".to_owned() } else { part }
            })),
            _ => Test::Starts(dice.few(text(&NAMES))),
        },
        Kind::Date => {
            Test::Date(dice.few(|dice| (*dice.one(&PREFIXES), (*dice.one(&DATES)).to_owned())))
        }
        Kind::Number => Test::Number(dice.few(|dice| {
            let (prefix, number) = number_test(dice);
            (prefix, number, Unit::Any)
        })),
        Kind::Quantity => Test::Number(dice.few(quantity)),
        Kind::Reference(targets, _) => refers(dice, targets, several),
        Kind::Uri => match dice.below(3) {
            0 => Test::UriAbove(dice.few(|dice| (*dice.one(&URIS)).to_owned())),
            1 => Test::UriBelow(dice.few(|dice| (*dice.one(&URIS)).to_owned())),
            _ => Test::Uri(dice.few(|dice| (*dice.one(&URIS)).to_owned())),
        },
        Kind::Near => {
            Test::Near(51.5, *dice.one(&[-0.125, 0.0]), *dice.one(&[1.0, 60.0, 200.0, 500.0]))
        }
        Kind::Pair(_, kind, _) => pair(dice, kind),
    }
}

fn pair(dice: &mut Dice, kind: &Kind) -> Test {
    Test::Pair(dice.few(|dice| {
        let mut of = token(dice, &CODES);
        if of.code.is_none() {
            of.system = None;
            of.code = Some("c1".to_owned());
        }
        let test = match kind {
            Kind::Quantity => Test::Number(vec![quantity(dice)]),
            Kind::Date => Test::Date(vec![(*dice.one(&PREFIXES), (*dice.one(&DATES)).to_owned())]),
            Kind::Text => Test::Starts(vec![(*dice.one(&NAMES)).to_owned()]),
            _ => Test::Token(vec![token(dice, &CODES)]),
        };
        (of, test)
    }))
}

fn coded(dice: &mut Dice, system: &str) -> Test {
    let codes: &[&str] = match system {
        "" => &["true", "false"],
        s if s.ends_with("gender") => &["male", "female"],
        s if s.ends_with("observation-status") => &["final", "amended", "corrected"],
        s if s.ends_with("intent") => &["order", "plan"],
        s if s.ends_with("encounter-status") => &["planned", "finished"],
        _ => &["active", "completed", "draft"],
    };
    let hierarchical = system.ends_with("observation-status");
    if hierarchical && dice.percent(30) {
        let any = dice.few(|dice| [system.to_owned(), (*dice.one(codes)).to_owned()]);
        return if dice.percent(50) { Test::Above(any) } else { Test::Below(any) };
    }
    let any = dice.few(|dice| Token {
        system: (!system.is_empty() && dice.percent(30)).then(|| system.to_owned()),
        code: Some((*dice.one(codes)).to_owned()),
    });
    if dice.percent(25) { Test::Not(any) } else { Test::Token(any) }
}

fn quantity(dice: &mut Dice) -> (&'static str, String, Unit) {
    let (prefix, number) = number_test(dice);
    let unit = match dice.below(7) {
        0 => Unit::Any,
        1 => Unit::Named((*dice.one(&["mg", "tablet", "g"])).to_owned()),
        2 => Unit::Coded("urn:units".to_owned(), "mg".to_owned()),
        3 => Unit::Coded(UCUM.to_owned(), (*dice.one(&["min", "h"])).to_owned()),
        _ => Unit::Coded(UCUM.to_owned(), (*dice.one(&["mg", "g", "kg"])).to_owned()),
    };
    (prefix, number, unit)
}

fn refers(dice: &mut Dice, targets: &'static [&'static str], several: bool) -> Test {
    if dice.percent(20) && !several {
        return Test::Identified(dice.few(|dice| token(dice, &VALUES)));
    }
    let of_type = (dice.percent(20) && !several).then(|| *dice.one(targets));
    Test::Refers(
        of_type,
        dice.few(|dice| {
            let target = of_type.unwrap_or_else(|| *dice.one(targets));
            let id = format!("{}{}", target[..1].to_lowercase(), dice.below(7));
            match dice.below(5) {
                0 => id,
                1 => format!("{BASE}/{target}/{id}"),
                2 => format!("http://other.test/fhir/{target}/{id}"),
                _ => format!("{target}/{id}"),
            }
        }),
    )
}
