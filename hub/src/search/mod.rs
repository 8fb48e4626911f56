//! Search: a query string in, a searchset out. <https://hl7.org/fhir/R4/search.html>
//!
//! | room | what lives there |
//! |---|---|
//! | [`grammar`] | the text of values: escapes, lists, prefixes |
//! | [`parameters`] | query string -> [`parameters::Search`], or a refusal |
//! | `criterion`, `chain` | one parameter about the resources -> a condition |
//! | [`condition`] | conditions in the store's numbers |
//! | [`predicate`] | a condition as SQL |
//! | [`order`] | the order of the matches, as SQL and as comparison |
//! | [`plan`] | what to ask the store, as SQL |
//! | [`walk`] | from page to page while writers write |
//! | [`mod@include`] | what goes along with the matches |
//! | [`cursor`] | the next link's secret |
//! | [`page`] | one page as a Bundle |
//! | [`explain`] | how a search would be answered, for an operator |
//! | [`select`] | what the criteria of a conditional interaction select |

mod chain;
pub mod condition;
mod criterion;
pub mod cursor;
pub mod explain;
pub mod grammar;
pub mod include;
pub mod order;
pub mod page;
pub mod parameters;
pub mod plan;
pub mod predicate;
pub mod select;
pub mod walk;

use fhir::definitions::SearchParameter;

/// Whether a parameter of the definitions can be searched by: all but composites of three.
pub fn supported(parameter: &SearchParameter) -> bool {
    parameter.components.len() <= 2
}
