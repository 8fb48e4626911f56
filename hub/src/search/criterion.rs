//! Parameters about the resources: a name with its modifiers and chains, and its values, as a
//! condition. <https://hl7.org/fhir/R4/search.html#modifiers>

use fhir::definitions::hierarchy::{above, below, is_flat};
use fhir::definitions::{ParameterKind, ResourceType, SearchParameter};
use fhir::identifier::PatientNumber;
use service::refusal::Refusal;

use super::condition::{Condition, Keys, Near, System, Table, Test, TokenNumbers, Under};
use super::grammar::{DateTest, NumberTest, TextTest, TokenTest, UnitTest, split, unescape};
use super::parameters::{invalid, not_supported};
use crate::store::index::{by_patient, typed_key};
use crate::store::target::{Target, code_key};
use crate::store::vocabulary::{NO_SYSTEM, Numbers, Vocabulary};

/// Values in one OR list.
const VALUES_MAX: usize = 500;
/// Resources that one reference parameter may mean.
const TARGETS_MAX: usize = 1_000;
/// Kilometres within which `near` searches unless it says.
const NEAR_KM: f64 = 50.0;

/// Reads conditions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Criteria<'a> {
    /// The store's terms.
    pub terms: &'a Vocabulary,
    /// Our own FHIR base.
    pub base: &'a str,
}

/// A parameter of the types searched.
pub(super) struct Parameter<'a> {
    /// As it is asked for, for refusals.
    pub name: &'a str,
    /// Its definition; the first type's, where there are several.
    pub definition: &'a SearchParameter,
    /// Its numbers in all types.
    pub numbers: Vec<Numbers>,
    /// Whether whatever it refers to as a Patient has the resource in its compartment.
    pub in_compartment: bool,
}

impl Criteria<'_> {
    /// The condition that a parameter states; nothing if these types have no such parameter.
    pub(super) fn read(
        &self,
        types: &[ResourceType],
        name: &str,
        value: &str,
    ) -> Result<Option<Condition>, Refusal> {
        self.at_depth(types, name, value, 0)
    }

    /// As [`Criteria::read`], so many chains deep.
    pub(super) fn at_depth(
        &self,
        types: &[ResourceType],
        name: &str,
        value: &str,
        depth: usize,
    ) -> Result<Option<Condition>, Refusal> {
        let values = split(value, ',');
        if values.len() > VALUES_MAX {
            return Err(invalid(name, &format!("may have at most {VALUES_MAX} values")));
        }
        if name == "_has" || name.starts_with("_has.") {
            return Err(invalid(name, "must be _has:Type:reference:parameter"));
        }
        if let Some(rest) = name.strip_prefix("_has:") {
            return self.has(types, name, rest, value, depth).map(Some);
        }
        match name {
            "_id" => return Ok(Some(self.ids(types, &values))),
            "_lastUpdated" => return Ok(Some(Condition::LastUpdated(dates(name, &values)?))),
            "_list" => return self.listed(name, &values).map(Some),
            _ => {}
        }
        let (head, chain) = match name.split_once('.') {
            Some((head, chain)) => (head, Some(chain)),
            None => (name, None),
        };
        let (code, modifier) = match head.split_once(':') {
            Some((code, modifier)) => (code, Some(modifier)),
            None => (head, None),
        };
        let Some(parameter) = self.parameter(types, code, name) else { return Ok(None) };
        if let Some(chain) = chain {
            return self.chain(&parameter, modifier, chain, value, depth).map(Some);
        }
        if modifier == Some("missing") {
            return parameter.missing(&values).map(Some);
        }
        self.condition(&parameter, modifier, &values).map(Some)
    }

    /// The parameter of that code, if all types have one of the same kind.
    pub(super) fn parameter<'n>(
        &'n self,
        types: &[ResourceType],
        code: &str,
        name: &'n str,
    ) -> Option<Parameter<'n>> {
        let definition = self.terms.definition(*types.first()?, code)?;
        let mut numbers = Vec::new();
        for resource_type in types {
            let same = self.terms.definition(*resource_type, code)?.kind == definition.kind;
            numbers.extend(same.then(|| self.terms.numbers(*resource_type, code))?);
        }
        let in_compartment = matches!(types, [one] if leads_into_compartment(*one, definition));
        Some(Parameter { name, definition, numbers, in_compartment })
    }

    fn ids(&self, types: &[ResourceType], values: &[&str]) -> Condition {
        let types = types.iter().map(|t| self.terms.resource_type(*t)).collect();
        let own = |value: &&str| {
            let id = unescape(value);
            id.rsplit('/').next().unwrap_or(&id).to_owned()
        };
        Condition::Ids { types, ids: values.iter().map(own).collect() }
    }

    fn listed(&self, name: &str, values: &[&str]) -> Result<Condition, Refusal> {
        let list: ResourceType = "List".parse().expect("R4 has Lists");
        let entry = |value: &&str| {
            let id = unescape(value);
            let id = id.strip_prefix("List/").unwrap_or(&id).to_owned();
            fhir::reference::is_id(&id).then(|| (self.terms.resource_type(list), id))
        };
        let lists = values.iter().map(entry).collect::<Option<Vec<_>>>();
        let lists = lists.ok_or_else(|| invalid(name, "must be the id of a List"))?;
        let item = self.terms.numbers(list, "item");
        let parameter = item.first().expect("a List is searched by item").own;
        Ok(Condition::Listed { parameter, lists: Keys::Entries(lists) })
    }

    fn condition(
        &self,
        parameter: &Parameter<'_>,
        modifier: Option<&str>,
        values: &[&str],
    ) -> Result<Condition, Refusal> {
        let under = Under::Parameters(parameter.own());
        let name = parameter.name;
        match (parameter.definition.kind, modifier) {
            (ParameterKind::Token, modifier) => self.token(parameter, modifier, values),
            (ParameterKind::String, modifier) => {
                Ok(Condition::Value(under, texts(name, modifier, values)?))
            }
            (ParameterKind::Reference, Some("identifier")) => {
                let numbers = parameter.numbers.iter().map(|numbers| numbers.identifier);
                let under = Under::Parameters(numbers.filter(|number| *number != 0).collect());
                let any = self.tokens(name, values)?;
                Ok(Condition::Value(under, Test::Token { any, by_patient: false }))
            }
            (ParameterKind::Reference, modifier) => {
                let of_type = target_type(parameter, modifier)?;
                let test = self.references(parameter, of_type, values)?;
                Ok(Condition::Value(under, test))
            }
            (ParameterKind::Uri, modifier) => uris(under, name, modifier, values),
            (ParameterKind::Composite, None) => self.composite(parameter, values),
            (_, None) => Ok(Condition::Value(under, self.plain(parameter, values)?)),
            (_, Some(_)) => Err(no_modifier(name)),
        }
    }

    /// Kinds that have no modifiers of their own.
    fn plain(&self, parameter: &Parameter<'_>, values: &[&str]) -> Result<Test, Refusal> {
        let name = parameter.name;
        match parameter.definition.kind {
            ParameterKind::Date => Ok(Test::Date(dates(name, values)?)),
            ParameterKind::Special if parameter.definition.code == "near" => near(name, values),
            kind => self.value(kind, name, values),
        }
    }

    /// Values of a component's kind, or of a parameter's without modifiers.
    fn value(&self, kind: ParameterKind, name: &str, values: &[&str]) -> Result<Test, Refusal> {
        match kind {
            ParameterKind::Token | ParameterKind::Uri => {
                Ok(Test::Token { any: self.tokens(name, values)?, by_patient: false })
            }
            ParameterKind::Date => Ok(Test::Date(dates(name, values)?)),
            ParameterKind::String => texts(name, None, values),
            ParameterKind::Number => {
                let test = |value: &&str| NumberTest::parse(&unescape(value));
                let tests: Option<Vec<_>> = values.iter().map(test).collect();
                let tests = tests.ok_or_else(|| invalid(name, "must be a number, as in ge5.4"))?;
                Ok(Test::Number(tests.into_iter().map(|t| (t, UnitTest::Without)).collect()))
            }
            ParameterKind::Quantity => {
                let tests: Option<Vec<_>> = values.iter().map(|v| UnitTest::parse(v)).collect();
                let must = "must be number, number|system|code or number||code, as in ge5.4||mg";
                Ok(Test::Number(tests.ok_or_else(|| invalid(name, must))?))
            }
            ParameterKind::Reference => {
                // What is no reference of a resource is to nothing.
                let target = |value: &&str| Target::parse(self.own(&unescape(value)));
                let targets = values.iter().filter_map(target).map(|target| self.entry(&target));
                let targets = Keys::Entries(targets.collect());
                Ok(Test::Reference { targets, compartment: false })
            }
            ParameterKind::Composite | ParameterKind::Special => {
                Err(not_supported(name, "such parameters are not supported"))
            }
        }
    }

    fn token(
        &self,
        parameter: &Parameter<'_>,
        modifier: Option<&str>,
        values: &[&str],
    ) -> Result<Condition, Refusal> {
        let name = parameter.name;
        let under = Under::Parameters(parameter.own());
        let by_patient = by_patient(parameter.definition);
        match modifier {
            None => {
                let any = self.tokens(name, values)?;
                Ok(Condition::Value(under, Test::Token { any, by_patient }))
            }
            Some("not") => {
                let test = Test::Token { any: self.tokens(name, values)?, by_patient };
                Ok(Condition::Not(Box::new(Condition::Value(under, test))))
            }
            Some("text") => {
                let numbers = parameter.numbers.iter().map(|numbers| numbers.text);
                let under = Under::Parameters(numbers.filter(|number| *number != 0).collect());
                Ok(Condition::Value(under, texts(name, None, values)?))
            }
            Some("of-type") => {
                let numbers = parameter.numbers.iter().map(|numbers| numbers.identifier);
                let numbers: Vec<i64> = numbers.filter(|number| *number != 0).collect();
                if numbers.is_empty() {
                    return Err(no_modifier(name));
                }
                let any = self.typed(name, values)?;
                let test = Test::Token { any, by_patient: false };
                Ok(Condition::Value(Under::Parameters(numbers), test))
            }
            Some(modifier @ ("above" | "below")) => {
                let any = self.subsumed(name, modifier, values)?;
                Ok(Condition::Value(under, Test::Token { any, by_patient }))
            }
            Some("in" | "not-in") => Err(not_supported(name, "value sets are not expanded here")),
            Some(_) => Err(no_modifier(name)),
        }
    }

    fn tokens(&self, name: &str, values: &[&str]) -> Result<Vec<TokenNumbers>, Refusal> {
        let tests: Option<Vec<_>> = values.iter().map(|value| TokenTest::parse(value)).collect();
        let tests =
            tests.ok_or_else(|| invalid(name, "must be code, system|code, |code or system|"))?;
        Ok(tests.iter().map(|test| self.token_numbers(test)).collect())
    }

    pub(super) fn token_numbers(&self, TokenTest { system, code }: &TokenTest) -> TokenNumbers {
        let code = code.as_deref().map(|code| code_key(code).into_owned());
        let system = system.as_deref().map_or(System::Any, |system| self.system(system));
        TokenNumbers { system, code }
    }

    fn system(&self, system: &str) -> System {
        let system = code_key(PatientNumber::canonical_system(system));
        match self.terms.system(&system) {
            Some(number) => System::Known(number),
            None => System::Named(system.into_owned()),
        }
    }

    /// `system|code|value`: an identifier's value by its type.
    fn typed(&self, name: &str, values: &[&str]) -> Result<Vec<TokenNumbers>, Refusal> {
        let test = |value: &&str| {
            let [system, code, value] = split(value, '|')[..] else { return None };
            let (system, code, value) = (unescape(system), unescape(code), unescape(value));
            let whole = !code.is_empty() && !value.is_empty();
            let system = if system.is_empty() { System::Any } else { self.system(&system) };
            whole.then(|| TokenNumbers { system, code: Some(typed_key(&code, &value)) })
        };
        let tests: Option<Vec<_>> = values.iter().map(test).collect();
        tests.ok_or_else(|| invalid(name, "must be system|code|value, the identifier's type first"))
    }

    /// The codes above or below those asked for, in code systems that R4 defines.
    fn subsumed(
        &self,
        name: &str,
        modifier: &str,
        values: &[&str],
    ) -> Result<Vec<TokenNumbers>, Refusal> {
        let mut any = Vec::new();
        for value in values {
            let Some(TokenTest { system: Some(system), code: Some(code) }) =
                TokenTest::parse(value)
            else {
                return Err(invalid(name, "must be system|code"));
            };
            let found = if modifier == "above" { above } else { below }(&system, &code);
            // In a flat code system nothing but the code itself is above or below it.
            let flat = is_flat(&system).then(|| vec![code.as_str()]);
            let codes = found.or(flat).ok_or_else(|| {
                not_supported(name, "only codes of a code system that R4 defines are known here")
            })?;
            let numbers = |code: &&str| TokenNumbers {
                system: self.system(&system),
                code: Some(code_key(code).into_owned()),
            };
            any.extend(codes.iter().map(numbers));
        }
        Ok(any)
    }

    /// The targets that reference values may mean: a bare id may be of any of the parameter's types.
    fn references(
        &self,
        parameter: &Parameter<'_>,
        of_type: Option<ResourceType>,
        values: &[&str],
    ) -> Result<Test, Refusal> {
        let mut targets = Vec::new();
        for value in values {
            let value = unescape(value);
            let text = self.own(&value);
            if fhir::reference::is_id(text) {
                let types =
                    of_type.map_or_else(|| parameter.definition.targets.clone(), |t| vec![t]);
                targets.extend(types.into_iter().map(|t| Target::resource(t, text)));
            } else if let Some(target) = Target::parse(text) {
                let fits = of_type.is_none_or(|t| target.resource_type() == Some(t));
                targets.extend(fits.then_some(target));
            }
        }
        if targets.len() > TARGETS_MAX {
            let must = "names too many resources: say the type, as in Patient/id";
            return Err(invalid(parameter.name, must));
        }
        let patients = targets.iter().all(|t| t.resource_type() == Some(ResourceType::PATIENT));
        let compartment = patients && parameter.in_compartment;
        let targets = Keys::Entries(targets.iter().map(|target| self.entry(target)).collect());
        Ok(Test::Reference { targets, compartment })
    }

    fn own<'t>(&self, text: &'t str) -> &'t str {
        text.strip_prefix(self.base).and_then(|rest| rest.strip_prefix('/')).unwrap_or(text)
    }

    fn entry(&self, target: &Target) -> (i64, String) {
        (target.space.number(|t| self.terms.resource_type(t)), target.id.clone())
    }

    /// `code$value`
    fn composite(&self, parameter: &Parameter<'_>, values: &[&str]) -> Result<Condition, Refusal> {
        let name = parameter.name;
        let [_, second] = parameter.definition.components.as_slice() else {
            return Err(not_supported(name, "composites of three are not supported"));
        };
        let condition = |value: &&str| {
            let must = "must be code$value, the code with or without its system";
            let [first, value] = split(value, '$')[..] else { return Err(invalid(name, must)) };
            let Some(TokenTest { system, code: Some(code) }) = TokenTest::parse(first) else {
                return Err(invalid(name, must));
            };
            let system = system.map(|s| PatientNumber::canonical_system(&s).to_owned());
            let under = Under::Pairs { parameters: parameter.own(), code, system };
            Ok(Condition::Value(under, self.value(second.kind, name, &[value])?))
        };
        let mut any = values.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
        Ok(if any.len() == 1 { any.remove(0) } else { Condition::Any(any) })
    }
}

impl Parameter<'_> {
    fn own(&self) -> Vec<i64> {
        self.numbers.iter().map(|numbers| numbers.own).collect()
    }

    fn missing(&self, values: &[&str]) -> Result<Condition, Refusal> {
        let table = match self.definition.kind {
            ParameterKind::Token | ParameterKind::Uri => Table::Token,
            ParameterKind::Date => Table::Date,
            ParameterKind::Number | ParameterKind::Quantity | ParameterKind::Special => {
                Table::Number
            }
            ParameterKind::Reference | ParameterKind::String => Table::Reference,
            ParameterKind::Composite => return Err(no_modifier(self.name)),
        };
        // A concept may be in words alone; a Reference may say whom it means by identifier alone.
        let beside = |number: fn(&Numbers) -> i64| -> Vec<i64> {
            self.numbers.iter().map(number).filter(|number| *number != 0).collect()
        };
        let beside = match self.definition.kind {
            ParameterKind::Token => (beside(|numbers| numbers.text), Table::Reference),
            ParameterKind::Reference => (beside(|numbers| numbers.identifier), Table::Token),
            _ => (Vec::new(), table),
        };
        let all = [(self.own(), table), beside].into_iter().filter(|(of, _)| !of.is_empty());
        let any = all.map(|(of, table)| Condition::Present(Under::Parameters(of), table));
        let present = Condition::Any(any.collect());
        match values {
            ["false"] => Ok(present),
            ["true"] => Ok(Condition::Not(Box::new(present))),
            _ => Err(invalid(self.name, "must be true or false")),
        }
    }
}

/// Whether whatever a parameter refers to as a Patient has the resource in its compartment: the
/// parameter is one of the compartment's, or reads the same elements as one (`patient` and
/// `subject`).
fn leads_into_compartment(resource_type: ResourceType, parameter: &SearchParameter) -> bool {
    let paths = |p: &SearchParameter| p.terms.iter().map(|t| t.steps.clone()).collect::<Vec<_>>();
    let wanted = paths(parameter);
    parameter.kind == ParameterKind::Reference
        && resource_type.patient_compartment().iter().any(|code| {
            let known = resource_type.search_parameter(code).map(paths).unwrap_or_default();
            wanted.iter().all(|path| known.contains(path))
        })
}

/// The type that `:[type]` narrows a reference to.
pub(super) fn target_type(
    parameter: &Parameter<'_>,
    modifier: Option<&str>,
) -> Result<Option<ResourceType>, Refusal> {
    let Some(modifier) = modifier else { return Ok(None) };
    match modifier.parse::<ResourceType>() {
        Ok(t) if parameter.definition.targets.contains(&t) => Ok(Some(t)),
        _ => Err(no_modifier(parameter.name)),
    }
}

fn dates(name: &str, values: &[&str]) -> Result<Vec<DateTest>, Refusal> {
    let tests = values.iter().map(|value| DateTest::parse(value)).collect::<Option<_>>();
    tests.ok_or_else(|| {
        invalid(
            name,
            "must be a date such as ge2020-05-17: a prefix (eq ne gt lt ge le sa eb ap) may stand \
             before a date, month, year or time that exists",
        )
    })
}

fn texts(name: &str, modifier: Option<&str>, values: &[&str]) -> Result<Test, Refusal> {
    let test = match modifier {
        None => TextTest::Starts,
        Some("exact") => TextTest::Exact,
        Some("contains") => TextTest::Contains,
        Some(_) => return Err(no_modifier(name)),
    };
    let texts: Vec<String> = values.iter().map(|value| unescape(value)).collect();
    if texts.iter().any(|text| text.trim().is_empty()) {
        return Err(invalid(name, "must not have an empty value"));
    }
    let targets = Keys::Texts(texts.into_iter().map(test).collect());
    Ok(Test::Reference { targets, compartment: false })
}

fn uris(
    under: Under,
    name: &str,
    modifier: Option<&str>,
    values: &[&str],
) -> Result<Condition, Refusal> {
    let uris = values.iter().map(|value| unescape(value));
    let exact = |uri: &str| TokenNumbers {
        system: System::Known(NO_SYSTEM),
        code: Some(code_key(uri).into_owned()),
    };
    let test = match modifier {
        None => Test::Token { any: uris.map(|uri| exact(&uri)).collect(), by_patient: false },
        Some("below") => Test::Below(uris.collect()),
        Some("above") => {
            let above = |uri: String| {
                let ends = uri.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0);
                let with = ends.clone().map(|at| at + 1);
                let mut all: Vec<TokenNumbers> =
                    ends.chain(with).map(|end| exact(&uri[..end])).collect();
                all.push(exact(&uri));
                all
            };
            Test::Token { any: uris.flat_map(above).collect(), by_patient: false }
        }
        Some(_) => return Err(no_modifier(name)),
    };
    Ok(Condition::Value(under, test))
}

/// `latitude|longitude[|distance[|unit]]` <https://hl7.org/fhir/R4/location.html#positional>
fn near(name: &str, values: &[&str]) -> Result<Test, Refusal> {
    let test = |value: &&str| {
        let parts: Vec<String> = split(value, '|').into_iter().map(unescape).collect();
        let number = |at: usize| parts.get(at).filter(|p| !p.is_empty()).map(|p| p.parse::<f64>());
        let (Some(Ok(latitude)), Some(Ok(longitude))) = (number(0), number(1)) else { return None };
        let distance = number(2).unwrap_or(Ok(NEAR_KM)).ok()?;
        let km = match parts.get(3).map_or("km", String::as_str) {
            "" | "km" => 1.0,
            "m" => 0.001,
            "[mi_us]" | "[mi_i]" | "mi" => 1.609_344,
            _ => return None,
        };
        let on_earth = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        let within_km = distance * km;
        (on_earth && within_km.is_finite() && within_km >= 0.0 && parts.len() <= 4)
            .then_some(Near { latitude, longitude, within_km })
    };
    let tests: Option<Vec<_>> = values.iter().map(test).collect();
    let must = "must be latitude|longitude|distance|unit, the unit km or m";
    tests.map(Test::Near).ok_or_else(|| invalid(name, must))
}

pub(super) fn no_modifier(name: &str) -> Refusal {
    not_supported(name, "a parameter of this kind has no such modifier")
}
