#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;

use super::*;

fn of(name: &str) -> ResourceType {
    name.parse().unwrap()
}

#[test]
fn there_are_146_resource_types_and_no_abstract_one() {
    assert_eq!(ResourceType::all().len(), 146);
    for resource_type in ResourceType::all() {
        assert_eq!(of(resource_type.as_str()), resource_type);
        assert_eq!(resource_type.definition().name, resource_type.as_str());
        assert!(resource_type.search_parameter("_id").is_some());
    }
    for name in ["Resource", "DomainResource", "patient", "", "MetadataResource"] {
        assert_eq!(name.parse::<ResourceType>(), Err(UnknownResourceType), "{name}");
    }
    assert_eq!(format!("{:>9}", ResourceType::PATIENT), "  Patient");
}

/// HL7's SearchParameters, compiled against the table of elements; skipped where there are none.
#[test]
fn what_the_tables_compile_to_is_what_they_were_derived_with() {
    let file =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/fhir-r4/search-parameters.json.gz");
    let Ok(file) = std::fs::File::open(file) else {
        let _ = writeln!(std::io::stderr(), "skipped: there are no shared definitions here");
        return;
    };
    let bundle: serde_json::Value =
        serde_json::from_reader(flate2::read::GzDecoder::new(file)).unwrap();
    let text =
        |value: &serde_json::Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let compiler = compile::Compiler { schema: &compile::Published };
    let (mut compared, mut differing) = (0, Vec::new());
    for entry in bundle["entry"].as_array().unwrap() {
        let parameter = &entry["resource"];
        let (code, expression) = (text(parameter, "code"), text(parameter, "expression"));
        let kind = ParameterKind::named(&text(parameter, "type")).unwrap();
        for base in parameter["base"].as_array().unwrap().iter().filter_map(|b| b.as_str()) {
            let Ok(of_type) = base.parse::<ResourceType>() else { continue };
            let Some(known) = of_type.search_parameter(&code) else { continue };
            if kind == ParameterKind::Composite {
                continue;
            }
            let column = compiler.expression(&expression, base, kind).unwrap().column();
            let line = format!("{base}\t{code}-x\t{}\t\t{column}", kind.as_str());
            let with = SearchParameters::published().with(&line);
            let compiled = &with.named(of_type, &format!("{code}-x")).unwrap().terms;
            compared += 1;
            // The table has no system for a set that its derivation did not look into.
            if *compiled != known.terms && code != "confidentiality" {
                differing.push(format!("{line}: {:?}", known.terms));
            }
        }
    }
    assert!(compared > 1_000 && differing.is_empty(), "{compared}: {}", differing.join("\n"));
}

#[test]
fn every_member_is_found_by_its_name() {
    for resource_type in ResourceType::all() {
        let definition = resource_type.definition();
        for (index, element) in definition.elements.iter().enumerate() {
            let (found, _) = definition.element(element.name).unwrap();
            assert_eq!(found, index, "{resource_type}.{}", element.name);
        }
        assert!(definition.element("").is_none());
        assert!(definition.element("resourceType").is_none());
    }
}

#[test]
fn a_choice_is_one_slot_and_inherited_members_are_there() {
    let observation = ResourceType::OBSERVATION.definition();
    let slot = |name| observation.element(name).unwrap().1.slot;
    assert_eq!(slot("valueQuantity"), slot("valueString"));
    assert_ne!(slot("valueQuantity"), slot("effectivePeriod"));
    for name in ["id", "meta", "contained", "modifierExtension"] {
        assert!(observation.element(name).is_some(), "{name}");
    }
    assert!(of("Bundle").definition().element("contained").is_none());
    let (_, subject) = observation.element("subject").unwrap();
    assert!(subject.targets.contains(ResourceType::PATIENT));
    assert!(!subject.targets.contains(ResourceType::BUNDLE));
}

#[test]
fn parameters_are_found_by_code_and_every_one_leads_somewhere() {
    let mut count = 0;
    for resource_type in ResourceType::all() {
        for parameter in resource_type.search_parameters() {
            count += 1;
            let found = resource_type.search_parameter(parameter.code).unwrap();
            assert!(std::ptr::eq(found, parameter), "{resource_type} {}", parameter.code);
            assert!(!parameter.terms.is_empty());
            let composite = parameter.kind == ParameterKind::Composite;
            assert_eq!(composite, !parameter.components.is_empty());
        }
    }
    assert_eq!(count, table_parameters());
    assert!(ResourceType::PATIENT.search_parameter("bogus").is_none());
}

/// How many parameters the table gives to all types together.
fn table_parameters() -> usize {
    let table = include_str!("search-parameters.tsv");
    let common = lines(table).filter(|l| l.starts_with("Resource\t")).count();
    lines(table).count() - common + common * ResourceType::all().len()
}

#[test]
fn compartments_name_parameters_of_their_types() {
    let observation = ResourceType::OBSERVATION;
    assert_eq!(observation.patient_compartment(), ["subject", "performer"]);
    assert_eq!(of("Medication").patient_compartment(), [""; 0]);
    for compartment in Compartment::ALL {
        for resource_type in ResourceType::all() {
            for code in resource_type.compartment(compartment) {
                let found = resource_type.search_parameter(code);
                assert!(found.is_some(), "{compartment:?} {resource_type} {code}");
            }
        }
    }
}

#[test]
fn every_published_parameter_is_compiled_or_listed_with_a_reason() {
    let published =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/fhir-r4/search-parameters.json.gz");
    let Ok(file) = std::fs::File::open(published) else {
        let _ = writeln!(std::io::stderr(), "skipped: there are no definitions here");
        return;
    };
    let read = flate2::read::GzDecoder::new(file);
    let bundle: serde_json::Value = serde_json::from_reader(read).unwrap();
    let table = include_str!("search-parameters.tsv");
    let known: std::collections::HashSet<_> = table
        .lines()
        .map(|line| line.trim_start_matches("# ").split('\t').take(2).collect::<Vec<_>>())
        .collect();
    for entry in bundle["entry"].as_array().unwrap() {
        let parameter = &entry["resource"];
        for base in parameter["base"].as_array().unwrap() {
            let key = vec![base.as_str().unwrap(), parameter["code"].as_str().unwrap()];
            assert!(known.contains(&key), "{key:?}");
        }
    }
}
