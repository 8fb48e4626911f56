//! Parameters of other resources: chains along references, and `_has` against them.
//! <https://hl7.org/fhir/R4/search.html#chaining>

use fhir::definitions::{ParameterKind, ResourceType};
use fhir::identifier::PatientNumber;
use service::refusal::Refusal;

use super::condition::{Condition, Keys, Matching, Test, Under};
use super::criterion::{Criteria, Parameter, target_type};
use super::grammar::{TokenTest, split};
use super::parameters::invalid;

/// References that one parameter may follow.
const DEPTH_MAX: usize = 5;
/// Types that a chain may lead to without saying which.
const TYPES_MAX: usize = 24;

impl Criteria<'_> {
    /// `subject:Patient.name=…`: what the reference is to meets a condition of its own.
    pub(super) fn chain(
        &self,
        parameter: &Parameter<'_>,
        modifier: Option<&str>,
        chain: &str,
        value: &str,
        depth: usize,
    ) -> Result<Condition, Refusal> {
        let name = parameter.name;
        if parameter.definition.kind != ParameterKind::Reference {
            return Err(invalid(name, "is no reference, so nothing can be chained to it"));
        }
        if depth >= DEPTH_MAX {
            return Err(invalid(name, &format!("may follow at most {DEPTH_MAX} references")));
        }
        let of_type = target_type(parameter, modifier)?;
        let types = of_type.map_or_else(|| parameter.definition.targets.clone(), |t| vec![t]);
        let under = Under::Parameters(parameter.numbers.iter().map(|n| n.own).collect());
        let reference = |targets, compartment| {
            Condition::Value(under.clone(), Test::Reference { targets, compartment })
        };
        if chain == "identifier" && types.contains(&ResourceType::PATIENT) {
            let national = |value: &&str| {
                let system = TokenTest::parse(value).and_then(|test| test.system);
                system.is_some_and(|system| PatientNumber::is_system(&system))
            };
            let values = split(value, ',');
            if types.len() == 1 || values.iter().all(national) {
                let targets = self.identified(name, &values)?;
                return Ok(reference(targets, parameter.in_compartment));
            }
        }
        let mut any = Vec::new();
        for of_type in types {
            if let Some(condition) = self.at_depth(&[of_type], chain, value, depth + 1)? {
                let types = vec![self.terms.resource_type(of_type)];
                any.push(Matching { types, conditions: vec![condition] });
            }
        }
        match any.len() {
            0 => Err(invalid(name, "names no parameter of what it refers to")),
            1..=TYPES_MAX => Ok(reference(Keys::Matching(any), false)),
            _ => Err(invalid(name, "may lead to too many types: say which, as in subject:Patient")),
        }
    }

    /// The Patients who carry one of these identifiers.
    fn identified(&self, name: &str, values: &[&str]) -> Result<Keys, Refusal> {
        let (mut numbers, mut others) = (Vec::new(), Vec::new());
        for value in values {
            let must = "must hold the identifier's system, value, or both";
            let test = TokenTest::parse(value).ok_or_else(|| invalid(name, must))?;
            match (test.system.as_deref(), test.code.as_deref()) {
                (Some(system), Some(code)) if PatientNumber::is_system(system) => {
                    let system = PatientNumber::canonical_system(system);
                    numbers.push((system.to_owned(), code.to_owned()));
                }
                _ => others.push(self.token_numbers(&test)),
            }
        }
        let patient = self.terms.resource_type(ResourceType::PATIENT);
        let identifier = self.terms.numbers(ResourceType::PATIENT, "identifier");
        let parameter = identifier.first().expect("a Patient is searched by identifier").own;
        Ok(Keys::Identified { patient, parameter, numbers, others })
    }

    /// `_has:Observation:patient:code=…`: something refers to the resource that meets a condition.
    pub(super) fn has(
        &self,
        types: &[ResourceType],
        name: &str,
        rest: &str,
        value: &str,
        depth: usize,
    ) -> Result<Condition, Refusal> {
        if depth >= DEPTH_MAX {
            return Err(invalid(name, &format!("may follow at most {DEPTH_MAX} references")));
        }
        let must = "must be _has:Type:reference:parameter";
        let mut parts = rest.splitn(3, ':');
        let (Some(source), Some(code), Some(rest)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(invalid(name, must));
        };
        let source: ResourceType = source.parse().map_err(|_| invalid(name, must))?;
        let reference = self.terms.definition(source, code);
        let reference = reference.filter(|p| p.kind == ParameterKind::Reference);
        let reference = reference.ok_or_else(|| invalid(name, must))?;
        if !types.iter().any(|t| reference.targets.contains(t)) {
            return Err(invalid(name, "names a reference that is never to what is searched"));
        }
        let condition = self.at_depth(&[source], rest, value, depth + 1)?;
        let condition = condition.ok_or_else(|| invalid(name, must))?;
        let parameters = self.terms.numbers(source, code).iter().map(|n| n.own).collect();
        let types = vec![self.terms.resource_type(source)];
        let sources = Matching { types, conditions: vec![condition] };
        Ok(Condition::Referred { parameters, sources })
    }
}
