//! Dates. <https://hl7.org/fhir/R4/search.html#date>

use service::refusal::Refusal;

use crate::search::grammar::DateTest;
use crate::search::parameters::invalid;

pub(super) fn dates(name: &str, values: &[&str]) -> Result<Vec<DateTest>, Refusal> {
    let tests = values.iter().map(|value| DateTest::parse(value)).collect::<Option<_>>();
    tests.ok_or_else(|| {
        invalid(
            name,
            "must be a date such as ge2020-05-17: a prefix (eq ne gt lt ge le sa eb ap) may stand \
             before a date, month, year or time that exists",
        )
    })
}
