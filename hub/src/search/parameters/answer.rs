//! Parameters about the answer rather than the resources.
//! <https://hl7.org/fhir/R4/search.html#return>

use fhir::clinical::clinical_parameter;
use fhir::definitions::ParameterKind;
use fhir::outcome::{Issue, IssueCode};
use fhir::subset::{Subset, parse_elements};
use service::refusal::Refusal;

use super::{COUNT_MAX, Search, Taken, invalid, not_supported};
use crate::search::include::Include;
use crate::search::order::{By, Order, SortKey};
use crate::store::vocabulary::Vocabulary;

/// Keys in one `_sort`.
const SORT_KEYS_MAX: usize = 8;

impl Search {
    /// Parameters about the answer rather than the resources.
    pub(super) fn result_parameter(
        &mut self,
        name: &str,
        value: &str,
        terms: &Vocabulary,
        strict: bool,
    ) -> Result<Taken, Refusal> {
        let (code, modifier) = name.split_once(':').unwrap_or((name, ""));
        match code {
            "_include" | "_revinclude" => {
                let include = Include::read(&self.types, code, modifier, value, terms)?;
                self.include.push(include);
                return Ok(Taken::Executed(value.to_owned()));
            }
            _ if !modifier.is_empty() => return Ok(Taken::NotMine),
            "_format" | "_pretty" => return Ok(Taken::Silently),
            // Where it selects the types, whoever asked has read it already.
            "_type" if self.path.is_empty() => {}
            "_count" => {
                let count = value
                    .parse::<u64>()
                    .map_err(|_| invalid(name, "must be a whole number, 0 or more"))?;
                self.count = usize::try_from(count).unwrap_or(COUNT_MAX).min(COUNT_MAX);
                return Ok(Taken::Executed(self.count.to_string()));
            }
            "_total" => match value {
                "none" => self.total = false,
                "accurate" | "estimate" => self.total = true,
                _ => return Err(invalid(name, "must be none, estimate or accurate")),
            },
            "_summary" => match value {
                "count" => self.count = 0,
                "false" => self.subset = None,
                "true" => self.subset = Some(Subset::True),
                "text" => self.subset = Some(Subset::Text),
                "data" => self.subset = Some(Subset::Data),
                _ => return Err(invalid(name, "must be true, text, data, count or false")),
            },
            "_elements" => self.subset = Some(Subset::Elements(parse_elements(value))),
            "_sort" => return self.sort(value, terms, strict),
            "_contained" if value == "false" => {}
            "_contained" | "_containedType" | "_filter" | "_text" | "_content" | "_query" => {
                return Err(not_supported(name, "it is not supported"));
            }
            _ => return Ok(Taken::NotMine),
        }
        Ok(Taken::Executed(value.to_owned()))
    }

    fn sort(&mut self, value: &str, terms: &Vocabulary, strict: bool) -> Result<Taken, Refusal> {
        let (mut keys, mut used) = (Vec::new(), Vec::new());
        for text in value.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            let (code, descending) = match text.strip_prefix('-') {
                Some(code) => (code, true),
                None => (text, false),
            };
            match self.sort_by(code, terms) {
                Some(by) => {
                    keys.push(SortKey { by, descending });
                    used.push(text);
                }
                None => {
                    let text = format!("{code} cannot be sorted by here and was not used.");
                    let issue = Issue::error(IssueCode::NotSupported, text).at("_sort");
                    self.leave_out(issue, strict)?;
                }
            }
        }
        if keys.len() > SORT_KEYS_MAX {
            return Err(invalid("_sort", &format!("may have at most {SORT_KEYS_MAX} keys")));
        }
        if keys.is_empty() {
            return Ok(Taken::Silently);
        }
        self.order = Order { keys };
        Ok(Taken::Executed(used.join(",")))
    }

    fn sort_by(&self, code: &str, terms: &Vocabulary) -> Option<By> {
        match code {
            "_lastUpdated" => return Some(By::LastUpdated),
            "_id" => return Some(By::Id),
            _ => {}
        }
        if self.types.iter().all(|t| clinical_parameter(*t) == Some(code)) {
            return Some(By::Clinical);
        }
        let kind = terms.definition(*self.types.first()?, code)?.kind;
        let mut numbers = Vec::new();
        for resource_type in &self.types {
            let parameter = terms.definition(*resource_type, code)?;
            if parameter.kind != kind {
                return None;
            }
            numbers.extend(terms.numbers(*resource_type, code).iter().map(|numbers| numbers.own));
        }
        let sortable = !matches!(kind, ParameterKind::Composite | ParameterKind::Special);
        sortable.then_some(By::Parameter(kind, numbers))
    }
}
