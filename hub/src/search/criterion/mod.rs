//! Parameters about the resources: a name with its modifiers and chains, and its values, as a
//! condition. <https://hl7.org/fhir/R4/search.html#modifiers>
//!
//! | room | what lives there |
//! |---|---|
//! | here | which parameter is meant, and by which kind its values are read |
//! | `token` | codes and identifiers, with their modifiers |
//! | `reference` | what a reference is to, and `:[type]` |
//! | `text` | strings and URIs |
//! | `date` | dates |
//! | `near` | places |
//! | `missing` | whether there is a value |

mod date;
mod missing;
mod near;
mod reference;
mod text;
mod token;

use fhir::definitions::{ParameterKind, ResourceType, SearchParameter};
use fhir::identifier::PatientNumber;
use service::refusal::Refusal;

use self::date::dates;
use self::near::near;
use self::reference::leads_into_compartment;
pub(super) use self::reference::target_type;
use self::text::{texts, uris};
use super::condition::{Condition, Keys, Test, Under};
use super::grammar::{NumberTest, TokenTest, UnitTest, split, unescape};
use super::parameters::{invalid, not_supported};
use crate::store::target::Target;
use crate::store::vocabulary::{Numbers, Vocabulary};

/// Values in one OR list.
const VALUES_MAX: usize = 500;

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
}

pub(super) fn no_modifier(name: &str) -> Refusal {
    not_supported(name, "a parameter of this kind has no such modifier")
}
