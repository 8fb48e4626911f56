//! Codes and identifiers, with their modifiers. <https://hl7.org/fhir/R4/search.html#token>

use fhir::definitions::hierarchy::{above, below, is_flat};
use fhir::identifier::PatientNumber;
use service::refusal::Refusal;

use super::text::texts;
use super::{Criteria, Parameter, no_modifier};
use crate::search::condition::{Condition, System, Test, TokenNumbers, Under};
use crate::search::grammar::{TokenTest, split, unescape};
use crate::search::parameters::{invalid, not_supported};
use crate::store::index::{by_patient, typed_key};
use crate::store::target::code_key;

impl Criteria<'_> {
    pub(super) fn token(
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

    pub(super) fn tokens(&self, name: &str, values: &[&str]) -> Result<Vec<TokenNumbers>, Refusal> {
        let tests: Option<Vec<_>> = values.iter().map(|value| TokenTest::parse(value)).collect();
        let tests =
            tests.ok_or_else(|| invalid(name, "must be code, system|code, |code or system|"))?;
        Ok(tests.iter().map(|test| self.token_numbers(test)).collect())
    }

    pub(in crate::search) fn token_numbers(
        &self,
        TokenTest { system, code }: &TokenTest,
    ) -> TokenNumbers {
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
}
