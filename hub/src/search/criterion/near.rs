//! Places. <https://hl7.org/fhir/R4/location.html#positional>

use service::refusal::Refusal;

use crate::search::condition::{Near, Test};
use crate::search::grammar::{split, unescape};
use crate::search::parameters::invalid;

/// Kilometres within which `near` searches unless it says.
const NEAR_KM: f64 = 50.0;

/// `latitude|longitude[|distance[|unit]]` <https://hl7.org/fhir/R4/location.html#positional>
pub(super) fn near(name: &str, values: &[&str]) -> Result<Test, Refusal> {
    let test = |value: &&str| {
        let parts: Vec<String> = split(value, '|').into_iter().map(unescape).collect();
        let number = |at: usize| parts.get(at).filter(|p| !p.is_empty()).map(|p| p.parse::<f64>());
        let (Some(Ok(latitude)), Some(Ok(longitude))) = (number(0), number(1)) else { return None };
        let distance = number(2).unwrap_or(Ok(NEAR_KM)).ok()?;
        let km = match parts.get(3).map_or("km", String::as_str) {
            "" | "km" => 1.0,
            "m" => 0.001,
            "[mi_us]" | "[mi_i]" | "mi" => 1.609_344,
            _ => return None,
        };
        let on_earth = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        let within_km = distance * km;
        (on_earth && within_km.is_finite() && within_km >= 0.0 && parts.len() <= 4)
            .then_some(Near { latitude, longitude, within_km })
    };
    let tests: Option<Vec<_>> = values.iter().map(test).collect();
    let must = "must be latitude|longitude|distance|unit, the unit km or m";
    tests.map(Test::Near).ok_or_else(|| invalid(name, must))
}
