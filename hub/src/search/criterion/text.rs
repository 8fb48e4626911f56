//! Strings and URIs. <https://hl7.org/fhir/R4/search.html#string>

use service::refusal::Refusal;

use super::no_modifier;
use crate::search::condition::{Condition, Keys, System, Test, TokenNumbers, Under};
use crate::search::grammar::{TextTest, unescape};
use crate::search::parameters::invalid;
use crate::store::target::code_key;
use crate::store::vocabulary::NO_SYSTEM;

pub(super) fn texts(name: &str, modifier: Option<&str>, values: &[&str]) -> Result<Test, Refusal> {
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

pub(super) fn uris(
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
