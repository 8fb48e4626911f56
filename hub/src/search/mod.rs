//! Search: a query string in, a searchset out. <https://hl7.org/fhir/R4/search.html>
//!
//! | room | what lives there |
//! |---|---|
//! | [`grammar`] | the text of values: escapes, lists, prefixes |
//! | [`parameters`] | query string -> [`parameters::Search`], or a refusal |
//! | [`condition`] | a condition in the store's numbers |
//! | [`resolve`] | names and references -> conditions |
//! | [`plan`] | what to ask the store, as SQL |
//! | [`cursor`] | the next link's secret |
//! | [`page`] | one page as a Bundle |
//! | [`select`] | what the criteria of a conditional interaction select |

pub mod condition;
pub mod cursor;
pub mod grammar;
pub mod page;
pub mod parameters;
pub mod plan;
pub mod resolve;
pub mod select;
