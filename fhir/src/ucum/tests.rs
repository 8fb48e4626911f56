#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn unit(code: &str) -> Unit {
    Unit::parse(code).unwrap_or_else(|| panic!("{code} is UCUM"))
}

#[test]
fn a_quantity_is_the_same_double_in_every_unit() {
    for (decimal, from, to, expected) in [
        ("0.0054", "g", "mg", 5.4),
        ("5.4", "mg", "g", 0.0054),
        ("5.4", "mg", "ug", 5400.0),
        ("0.1", "kg", "g", 100.0),
        ("7.1", "mmol/L", "umol/mL", 7.1),
        ("7.1", "mmol/L", "mol/m3", 7.1),
        ("250", "10*3/uL", "10*9/L", 250.0),
        ("250", "10*3/uL", "10^9/l", 250.0),
        ("4.5", "10*6/uL", "10*12/L", 4.5),
        ("90", "mg/dL", "g/L", 0.9),
        ("1.1", "mg/dl", "mg%", 1.1),
        ("37", "U/L", "mU/mL", 37.0),
        ("60", "U/L", "ukat/L", 1.0),
        ("5", "[iU]/L", "m[IU]/mL", 5.0),
        ("1", "[lb_av]", "g", 453.592_37),
        ("12", "[in_i]", "cm", 30.48),
        ("1", "[stone_av]", "[lb_av]", 14.0),
        ("120", "mm[Hg]", "kPa", 15.998_64),
        ("10", "cm[H2O]", "Pa", 980.665),
        ("1", "d", "h", 24.0),
        ("90", "min", "h", 1.5),
        ("2", "wk", "d", 14.0),
        ("1", "a", "mo", 12.0),
        ("1", "mo", "d", 30.4375),
        ("72", "/min", "Hz", 1.2),
        ("45", "%", "1", 0.45),
        ("5", "{score}", "1", 5.0),
        ("3", "mg{creat}/d", "mg/(24.h)", 3.0),
        ("90", "mL/min/{1.73_m2}", "l/h", 5.4),
        ("1", "kcal", "J", 4184.0),
        ("1", "[Cal]", "cal", 1000.0),
        ("2", "meq/L", "mmol/L", 2.0),
        ("290", "mosm/kg", "mmol/kg", 290.0),
        ("180", "deg", "rad", std::f64::consts::PI),
        ("20", "[drp]", "mL", 1.0),
        ("1", "[ft_us]", "m", 1200.0 / 3937.0),
        ("-1.5", "[diop]", "/cm", -0.015),
        ("1", "s", "mo", 1.0 / 2_629_800.0),
        ("0", "mg", "kg", 0.0),
        ("1e-3", "g", "mg", 1.0),
    ] {
        assert_eq!(
            unit(from).convert(decimal, &unit(to)),
            Some(expected),
            "{decimal} {from} in {to}"
        );
    }
}

#[test]
fn the_bounds_are_those_of_the_written_decimal() {
    let milligram = unit("mg");
    let converted = unit("g").convert_decimal("0.0054", &milligram).unwrap();
    assert_eq!(converted, Decimal { value: 5.4, low: 5.35, high: 5.45 });
    assert_eq!(converted, Decimal::parse("5.4").unwrap());
    let coarse = unit("kg").convert_decimal("1e2", &unit("g")).unwrap();
    assert_eq!(coarse, Decimal { value: 100_000.0, low: 95_000.0, high: 105_000.0 });
}

#[test]
fn dimensions_are_base_units_and_equal_only_if_commensurable() {
    for (code, dimension) in [
        ("mg/dL", "g.m-3"),
        ("mm[Hg]", "g.m-1.s-2"),
        ("kg/m2", "g.m-2"),
        ("%", "1"),
        ("m/m", "1"),
        ("U/L", "m-3.s-1"),
        ("[iU]/mL", "[iU].m-3"),
        ("[IU]", "[iU]"),
        ("[arb'U]", "[arb'U]"),
        ("a", "s"),
        ("/[HPF]", "1"),
        ("V", "C-1.g.m2.s-2"),
    ] {
        assert_eq!(unit(code).dimension(), dimension, "{code}");
    }
    assert_eq!(unit("mg").convert("1", &unit("mL")), None);
    assert_eq!(unit("[iU]").convert("1", &unit("[arb'U]")), None);
    assert_eq!(unit("mg").convert("many", &unit("g")), None);
}

#[test]
fn what_is_not_a_ratio_or_not_ucum_is_no_unit() {
    for code in [
        "Cel",
        "[degF]",
        "[pH]",
        "B[SPL]",
        "Np",
        "",
        " ",
        "mg ",
        " mg",
        "MGG",
        "mcg",
        "month",
        "(score)",
        "mg/",
        "/",
        "mg//dL",
        "mg..g",
        ".mg",
        "(mg",
        "mg)",
        "()",
        "{",
        "}",
        "{a",
        "{a{b}}",
        "{é}",
        "mg{a}{b}",
        "kmin",
        "mm2m",
        "m-",
        "m+",
        "m2-",
        "10*+",
        "10*-/L",
        "5*3",
        "0",
        "0.mg",
        "1,5.mg",
        "m100",
        "m999999999999",
        "[",
        "]",
        "[]",
        "2]",
        "3.3.é",
        "kkg",
        "µg",
        "m²",
        "Ym99",
        "99999999999999999999999999999999999999999",
    ] {
        assert!(Unit::parse(code).is_none(), "{code:?}");
    }
    assert!(Unit::parse(&"(".repeat(255)).is_none());
    assert!(Unit::parse(&format!("{}m{}", "(".repeat(127), ")".repeat(127))).is_some());
    assert!(Unit::parse(&"m.".repeat(200)).is_none());
}

#[test]
fn the_codes_of_a_dimension_convert_to_its_own_code_and_back() {
    for code in UNITS.codes() {
        let (from, base) = (unit(code), unit(unit(code).dimension()));
        assert_eq!(base.dimension(), from.dimension(), "{code}");
        assert_eq!(base.factor, Factor::ONE, "{code}");
        assert_eq!(from.convert("1", &from), Some(1.0), "{code}");
        assert!(from.convert("5.4", &base).unwrap() > 0.0, "{code}");
    }
}

proptest! {
    #[test]
    fn no_code_makes_it_panic(code in "[a-zA-Z0-9\\[\\]{}()./*^%'+-]{0,40}|.{0,20}") {
        let _ = Unit::parse(&code);
    }

    #[test]
    fn a_power_of_ten_only_moves_the_point(digits in 1_u32..10_000_000, places in 0_usize..8) {
        let digits = format!("{digits:0width$}", width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let decimal = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
        let moved: f64 = format!("{decimal}e-3").parse().unwrap();
        prop_assert_eq!(unit("mg").convert(&decimal, &unit("g")), Some(moved));
        prop_assert_eq!(unit("umol/L").convert(&decimal, &unit("mmol/L")), Some(moved));
    }
}

/// Codes under UCUM's system in the examples that are not ratios, or not UCUM. (`pH` is a picohenry.)
const NO_UNITS: [&str; 6] = ["(score)", "Cel", "drop", "ea", "mcg", "month"];

#[test]
fn every_code_of_the_examples_is_a_unit_or_listed() {
    // The examples are shared by several projects and lie beside this one.
    let examples = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data"));
    let mut codes = BTreeSet::new();
    for folder in ["hl7-examples", "synthea", "uk-core"] {
        let Ok(files) = std::fs::read_dir(examples.join(folder)) else {
            let _ = writeln!(std::io::stderr(), "skipped: there are no examples here");
            return;
        };
        for file in files {
            let text = std::fs::read(file.unwrap().path()).unwrap();
            if let Ok(resource) = serde_json::from_slice(&text) {
                collect(&resource, &mut codes);
            }
        }
    }
    assert!(codes.len() > 30, "{codes:?}");
    let refused: Vec<_> = codes.iter().filter(|code| Unit::parse(code).is_none()).collect();
    let listed: Vec<_> = NO_UNITS.iter().filter(|code| codes.contains(**code)).collect();
    assert_eq!(refused, listed);
}

fn collect(value: &Value, codes: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if object.get("system").is_some_and(|system| system == SYSTEM) {
                codes.extend(object.get("code").and_then(Value::as_str).map(str::to_owned));
            }
            object.values().for_each(|member| collect(member, codes));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, codes)),
        _ => {}
    }
}
