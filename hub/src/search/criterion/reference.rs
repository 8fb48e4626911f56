//! What a reference is to. <https://hl7.org/fhir/R4/search.html#reference>

use fhir::definitions::{ParameterKind, ResourceType, SearchParameter};
use service::refusal::Refusal;

use super::{Criteria, Parameter, no_modifier};
use crate::search::condition::{Keys, Test};
use crate::search::grammar::unescape;
use crate::search::parameters::invalid;
use crate::store::target::Target;

/// Resources that one reference parameter may mean.
const TARGETS_MAX: usize = 1_000;

impl Criteria<'_> {
    /// The targets that reference values may mean: a bare id may be of any of the parameter's types.
    pub(super) fn references(
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

    pub(super) fn own<'t>(&self, text: &'t str) -> &'t str {
        text.strip_prefix(self.base).and_then(|rest| rest.strip_prefix('/')).unwrap_or(text)
    }

    pub(super) fn entry(&self, target: &Target) -> (i64, String) {
        (target.space.number(|t| self.terms.resource_type(t)), target.id.clone())
    }
}

/// Whether whatever a parameter refers to as a Patient has the resource in its compartment: the
/// parameter is one of the compartment's, or reads the same elements as one (`patient` and
/// `subject`).
pub(super) fn leads_into_compartment(
    resource_type: ResourceType,
    parameter: &SearchParameter,
) -> bool {
    let paths = |p: &SearchParameter| p.terms.iter().map(|t| t.steps.clone()).collect::<Vec<_>>();
    let wanted = paths(parameter);
    parameter.kind == ParameterKind::Reference
        && resource_type.patient_compartment().iter().any(|code| {
            let known = resource_type.search_parameter(code).map(paths).unwrap_or_default();
            wanted.iter().all(|path| known.contains(path))
        })
}

/// The type that `:[type]` narrows a reference to.
pub(in crate::search) fn target_type(
    parameter: &Parameter<'_>,
    modifier: Option<&str>,
) -> Result<Option<ResourceType>, Refusal> {
    let Some(modifier) = modifier else { return Ok(None) };
    match modifier.parse::<ResourceType>() {
        Ok(t) if parameter.definition.targets.contains(&t) => Ok(Some(t)),
        _ => Err(no_modifier(parameter.name)),
    }
}
