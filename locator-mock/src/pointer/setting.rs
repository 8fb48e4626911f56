//! Practice settings. The NRL's value set has some 450; without a file that lists them, those known
//! here are held to their display and any other passes.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use service::config::ConfigError;

use super::codes::SNOMED;
use super::tree::Node;
use crate::error::Fault;

const SET: &str = "https://fhir.nhs.uk/England/ValueSet/England-PracticeSetting";
/// Practice settings whose display is known here: (code, display).
const KNOWN: [(&str, &str); 9] = [
    ("788007007", "General practice service"),
    ("1060971000000108", "General practice service"),
    ("788002001", "Adult mental health service"),
    ("310000008", "Accident and Emergency service"),
    ("310080006", "Pharmacy service"),
    ("827631000000105", "Emergency ambulance service"),
    ("413294000", "Community health services"),
    ("310134006", "Social services"),
    ("224891009", "Healthcare services"),
];

/// The practice settings a pointer may have.
#[derive(Debug)]
pub(crate) struct PracticeSettings {
    displays: HashMap<String, String>,
    /// Whether these are all there are.
    complete: bool,
}

impl Default for PracticeSettings {
    /// Those known here.
    fn default() -> Self {
        let own = |(code, display): (&str, &str)| (code.to_owned(), display.to_owned());
        Self { displays: KNOWN.into_iter().map(own).collect(), complete: false }
    }
}

/// As much of a ValueSet as lists codes.
#[derive(Debug, Deserialize)]
struct ValueSet {
    compose: Compose,
}

#[derive(Debug, Deserialize)]
struct Compose {
    include: Vec<Include>,
}

#[derive(Debug, Deserialize)]
struct Include {
    concept: Vec<Concept>,
}

#[derive(Debug, Deserialize)]
struct Concept {
    code: String,
    display: String,
}

impl PracticeSettings {
    /// Those that a file lists: a FHIR ValueSet whose `compose` names each concept.
    pub(crate) fn load(file: &Path) -> Result<Self, ConfigError> {
        let refused = |what: &dyn std::fmt::Display| {
            ConfigError::Refused(format!("pointers.practice_settings: {}: {what}", file.display()))
        };
        let text = std::fs::read(file).map_err(|error| refused(&error))?;
        let set: ValueSet = serde_json::from_slice(&text).map_err(|error| refused(&error))?;
        let concepts = set.compose.include.into_iter().flat_map(|include| include.concept);
        let displays: HashMap<_, _> = concepts.map(|c| (c.code, c.display)).collect();
        if displays.is_empty() {
            return Err(refused(&"the value set lists no concept"));
        }
        Ok(Self { displays, complete: true })
    }

    /// Checks the practice setting of a pointer that fits the model.
    pub(super) fn check(&self, root: &Node, faults: &mut Vec<Fault>) {
        let coding = "context.practiceSetting.coding[0]";
        let part = |name: &str| root.text_at(&format!("{coding}.{name}")).unwrap_or_default();
        let (system, code, display) = (part("system"), part("code"), part("display"));
        if system != SNOMED {
            let message = format!(
                "Invalid practice setting system: {system} Practice Setting system must be \
                 '{SNOMED}'"
            );
            return faults.push(Fault::new(format!("{coding}.system"), message));
        }
        match self.displays.get(code) {
            Some(expected) if expected != display => {
                let message = format!(
                    "Invalid practice setting coding: display {display} does not match the \
                     expected display for {code} Practice Setting coding is bound to value set \
                     {SET}"
                );
                faults.push(Fault::new(coding, message));
            }
            None if self.complete => {
                let message = format!(
                    "Invalid practice setting code: {code} Practice Setting coding must be a \
                     member of value set {SET}"
                );
                faults.push(Fault::new(format!("{coding}.code"), message));
            }
            _ => {}
        }
    }
}
