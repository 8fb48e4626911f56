//! `:missing`: whether there is a value.

use fhir::definitions::ParameterKind;
use service::refusal::Refusal;

use super::{Parameter, no_modifier};
use crate::search::condition::{Condition, Table, Under};
use crate::search::parameters::invalid;
use crate::store::vocabulary::Numbers;

impl Parameter<'_> {
    pub(super) fn missing(&self, values: &[&str]) -> Result<Condition, Refusal> {
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
