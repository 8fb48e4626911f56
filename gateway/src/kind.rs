//! What the gateway has to know of a resource type: which parameter leads to its patient, where
//! that patient stands in a resource, and which dates order it. All of it is read from R4's own
//! search parameters. <https://hl7.org/fhir/R4/searchparameter-registry.html>

use std::sync::LazyLock;

use fhir::clinical::clinical_parameter;
use fhir::definitions::{Leaf, ParameterKind, ResourceType, SearchParameter, Step};

/// Date parameters that order a type without a clinical date, the best first.
const OTHERWISE: [&str; 8] = [
    "collected",
    "whenprepared",
    "received",
    "event-date",
    "identified",
    "datetime",
    "datewritten",
    "entered-date",
];

/// Members from the resource down to a value; arrays are walked into.
pub type Path = Vec<&'static str>;

/// Which of several dates orders a resource: hubs and gateways have to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// The first that is known, to the millisecond.
    Clinical,
    /// The first; what has no beginning comes before everything.
    First,
    /// The last.
    Last,
}

/// A resource type that can be asked for across regions.
#[derive(Debug)]
pub struct Kind {
    /// The type.
    pub resource_type: ResourceType,
    /// The parameter that leads to the patient: `patient` or `subject`; none for Patient itself.
    pub patient: Option<&'static str>,
    /// Where a resource says whose it is.
    pub subjects: Vec<Path>,
    dates: Vec<(&'static str, Vec<Path>)>,
}

static KINDS: LazyLock<Vec<Option<Kind>>> =
    LazyLock::new(|| ResourceType::all().map(Kind::derive).collect());

impl Kind {
    /// The type, if it is Patient or leads to one.
    pub fn of(resource_type: ResourceType) -> Option<&'static Self> {
        KINDS[resource_type.index()].as_ref()
    }

    /// All types that can be asked for.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        KINDS.iter().flatten()
    }

    /// The type's name.
    pub fn name(&self) -> &'static str {
        self.resource_type.as_str()
    }

    /// The parameter by which a hub is asked for a patient's resources.
    pub fn identity_parameter(&self) -> &'static str {
        match self.patient {
            None => "identifier",
            Some("patient") => "patient.identifier",
            Some(_) => "subject:Patient.identifier",
        }
    }

    /// Where the date that a parameter searches stands.
    pub fn date(&self, parameter: &str) -> Option<&[Path]> {
        let found = self.dates.iter().find(|(code, _)| *code == parameter);
        found.map(|(_, paths)| &paths[..])
    }

    /// The parameter that orders the type when nobody says otherwise: the clinical date that hubs
    /// go by, else another date, else `_lastUpdated`.
    pub fn date_parameter(&self) -> &'static str {
        let known = |code: &&str| self.date(code).is_some();
        clinical_parameter(self.resource_type)
            .into_iter()
            .chain(OTHERWISE)
            .find(known)
            .unwrap_or("_lastUpdated")
    }

    /// Which of a resource's dates counts if a parameter searches several.
    pub fn pick(&self, parameter: &str, descending: bool) -> Pick {
        match (clinical_parameter(self.resource_type) == Some(parameter), descending) {
            (true, _) => Pick::Clinical,
            (false, true) => Pick::Last,
            (false, false) => Pick::First,
        }
    }

    /// Where the dates stand that order the type when nobody says otherwise, newest first, and which
    /// of them counts.
    pub fn newest_first(&self) -> (&[Path], Pick) {
        let parameter = self.date_parameter();
        (self.date(parameter).unwrap_or_default(), self.pick(parameter, true))
    }

    /// The parameters by which answers can be sorted.
    pub fn sorts(&self) -> impl Iterator<Item = &'static str> {
        self.dates.iter().map(|(code, _)| *code)
    }

    fn derive(resource_type: ResourceType) -> Option<Self> {
        let dates = dates(resource_type);
        if resource_type == ResourceType::PATIENT {
            return Some(Self { resource_type, patient: None, subjects: Vec::new(), dates });
        }
        let leads = |parameter: &&SearchParameter| {
            parameter.kind == ParameterKind::Reference
                && parameter.targets.contains(&ResourceType::PATIENT)
        };
        let parameter = ["patient", "subject"]
            .into_iter()
            .filter_map(|code| resource_type.search_parameter(code))
            .find(leads)?;
        Some(Self {
            resource_type,
            patient: Some(parameter.code),
            subjects: paths(parameter, |leaf| leaf == Leaf::Reference),
            dates,
        })
    }
}

/// Where a resource of any type names the patients whose compartment it is in.
/// <https://hl7.org/fhir/R4/compartmentdefinition-patient.html>
pub fn owners(resource_type: ResourceType) -> &'static [Path] {
    static OWNERS: LazyLock<Vec<Vec<Path>>> =
        LazyLock::new(|| ResourceType::all().map(derive_owners).collect());
    &OWNERS[resource_type.index()]
}

fn derive_owners(resource_type: ResourceType) -> Vec<Path> {
    let codes = resource_type.patient_compartment().iter();
    let parameters = codes.filter_map(|code| resource_type.search_parameter(code));
    let mut owners: Vec<_> =
        parameters.flat_map(|p| paths(p, |leaf| leaf == Leaf::Reference)).collect();
    owners.sort();
    owners.dedup();
    owners
}

fn dates(resource_type: ResourceType) -> Vec<(&'static str, Vec<Path>)> {
    let moment = |leaf| matches!(leaf, Leaf::Date | Leaf::Instant | Leaf::Period | Leaf::Timing);
    resource_type
        .search_parameters()
        .iter()
        .filter(|p| p.kind == ParameterKind::Date && p.code != "_lastUpdated")
        .map(|p| (p.code, paths(p, moment)))
        .filter(|(_, paths)| !paths.is_empty())
        .collect()
}

fn paths(parameter: &SearchParameter, wanted: impl Fn(Leaf) -> bool) -> Vec<Path> {
    let plain = |step: &Step| match step {
        Step::Member(name) => Some(*name),
        Step::Where { .. } | Step::First => None,
    };
    parameter
        .terms
        .iter()
        .filter(|term| wanted(term.leaf))
        .filter_map(|term| term.steps.iter().map(plain).collect())
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn kind(name: &str) -> Option<&'static Kind> {
        Kind::of(name.parse().unwrap())
    }

    #[test]
    fn a_type_knows_its_patient_and_its_dates() {
        let observation = kind("Observation").unwrap();
        assert_eq!(observation.identity_parameter(), "patient.identifier");
        assert_eq!(observation.subjects, [["subject"]]);
        assert_eq!(observation.date_parameter(), "date");
        assert_eq!(observation.date("date").unwrap()[0], ["effectiveDateTime"]);
        let appointment = kind("Appointment").unwrap();
        assert_eq!(appointment.subjects, [["participant", "actor"]]);
        let request = kind("MedicationRequest").unwrap();
        assert_eq!(request.date_parameter(), "authoredon");
        let condition = kind("Condition").unwrap();
        assert_eq!(condition.date_parameter(), "recorded-date");
        assert_eq!(kind("Specimen").unwrap().date_parameter(), "collected");
        assert_eq!(kind("Patient").unwrap().date_parameter(), "_lastUpdated");
        let owners: Vec<Path> = vec![vec!["performer"], vec!["subject"]];
        assert_eq!(owners, super::owners("Observation".parse().unwrap()));
        assert_eq!(kind("Patient").unwrap().identity_parameter(), "identifier");
        let supply = kind("SupplyRequest").unwrap();
        assert_eq!(supply.identity_parameter(), "subject:Patient.identifier");
    }

    #[test]
    fn a_type_without_a_patient_cannot_be_asked_for() {
        assert!(kind("Practitioner").is_none());
        assert!(kind("Medication").is_none());
    }
}
