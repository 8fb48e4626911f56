//! Codes below and above a code, for the token modifiers of those names.
//! <https://hl7.org/fhir/R4/search.html#modifiers>
//!
//! Known are the code systems that HL7 defines in full with FHIR R4, v2 tables and v3 code systems included:
//! SNOMED CT and the like need a terminology server. A code may have several parents.

use std::collections::{HashMap, HashSet};

use super::{DEFINITIONS, lines};

/// A code and all codes below it, itself first.
///
/// `None` if the system is not known to have a hierarchy, or does not have the code.
pub fn below(system: &str, code: &str) -> Option<Vec<&'static str>> {
    DEFINITIONS.hierarchies.related(system, code, |concept| &concept.children)
}

/// A code and all codes above it, itself first. `None` as for [`below`].
pub fn above(system: &str, code: &str) -> Option<Vec<&'static str>> {
    DEFINITIONS.hierarchies.related(system, code, |concept| &concept.parents)
}

/// Whether R4 defines the system without a hierarchy: each of its codes is below and above itself only.
pub fn is_flat(system: &str) -> bool {
    DEFINITIONS.hierarchies.systems.get(system).is_some_and(System::is_empty)
}

/// Concepts by code; empty for a system without a hierarchy.
type System = HashMap<&'static str, Concept>;

#[derive(Debug, Default)]
struct Concept {
    parents: Vec<&'static str>,
    children: Vec<&'static str>,
}

/// `code-hierarchies.tsv`: code systems by URL.
pub(super) struct Hierarchies {
    systems: HashMap<&'static str, System>,
}

impl Hierarchies {
    pub(super) fn read(table: &'static str) -> Self {
        let mut systems: HashMap<_, System> = HashMap::new();
        let mut url = "";
        let mut path: Vec<&'static str> = Vec::new();
        for line in lines(table) {
            let concept = line.trim_start_matches('\t');
            let level = line.len() - concept.len();
            if level == 0 {
                url = line;
            }
            let system = systems.entry(url).or_default();
            path.truncate(level.saturating_sub(1));
            if level > 0 {
                let (code, elsewhere) = concept.split_once('\t').unwrap_or((concept, ""));
                system.entry(code).or_default();
                if let Some(parent) = path.last() {
                    relate(system, parent, code);
                }
                for child in elsewhere.split_whitespace() {
                    relate(system, code, child);
                }
                path.push(code);
            }
        }
        Self { systems }
    }

    /// The codes reached by `next` from a code, each once.
    fn related(
        &self,
        system: &str,
        code: &str,
        next: impl Fn(&Concept) -> &[&'static str],
    ) -> Option<Vec<&'static str>> {
        let system = self.systems.get(system)?;
        let (code, _) = system.get_key_value(code)?;
        let (mut found, mut seen) = (vec![*code], HashSet::from([*code]));
        let mut at = 0;
        while let Some(code) = found.get(at) {
            let fresh = next(&system[code]).iter().filter(|code| seen.insert(code));
            found.extend(fresh);
            at += 1;
        }
        Some(found)
    }
}

fn relate(system: &mut System, parent: &'static str, child: &'static str) {
    system.entry(parent).or_default().children.push(child);
    system.entry(child).or_default().parents.push(parent);
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const ROLE: &str = "http://terminology.hl7.org/CodeSystem/v3-RoleCode";
    const CLINICAL: &str = "http://terminology.hl7.org/CodeSystem/condition-clinical";
    const GENDER: &str = "http://hl7.org/fhir/administrative-gender";

    #[test]
    fn below_is_the_code_and_its_descendants_and_above_its_ancestors() {
        assert_eq!(below(CLINICAL, "active").unwrap(), ["active", "recurrence", "relapse"]);
        assert_eq!(below(CLINICAL, "relapse").unwrap(), ["relapse"]);
        assert_eq!(above(CLINICAL, "relapse").unwrap(), ["relapse", "active"]);
        assert_eq!(above(CLINICAL, "active").unwrap(), ["active"]);
        let parents = below(ROLE, "PRN").unwrap();
        for code in ["PRN", "FTH", "MTH", "NMTH", "STPFTH", "ADOPTF"] {
            assert!(parents.contains(&code), "{code} in {parents:?}");
        }
        assert!(!parents.contains(&"SIS"));
    }

    #[test]
    fn a_code_with_two_parents_is_below_both_and_named_once() {
        let twin = above(ROLE, "FTWINBRO").unwrap();
        for code in ["FTWIN", "TWINBRO", "NBRO", "BRO", "SIB", "FAMMEMB"] {
            assert_eq!(twin.iter().filter(|found| **found == code).count(), 1, "{code}");
        }
        assert!(below(ROLE, "TWIN").unwrap().contains(&"FTWINBRO"));
        assert!(below(ROLE, "TWINBRO").unwrap().contains(&"FTWINBRO"));
    }

    #[test]
    fn what_is_flat_or_unknown_has_no_hierarchy() {
        assert!(is_flat(GENDER));
        assert!(is_flat("http://terminology.hl7.org/CodeSystem/v2-0001"));
        assert!(!is_flat(ROLE));
        assert!(!is_flat("http://snomed.info/sct"));
        assert_eq!(below(GENDER, "male"), None);
        assert_eq!(below(ROLE, "NOBODY"), None);
        assert_eq!(above("http://snomed.info/sct", "73211009"), None);
        assert_eq!(above("", ""), None);
    }

    #[test]
    fn below_and_above_say_the_same_of_every_pair() {
        let (mut downward, mut upward) = (HashSet::new(), HashSet::new());
        for (url, system) in &DEFINITIONS.hierarchies.systems {
            for code in system.keys().copied() {
                downward.extend(below(url, code).unwrap().into_iter().map(|low| (url, code, low)));
                upward.extend(above(url, code).unwrap().into_iter().map(|high| (url, high, code)));
            }
        }
        assert!(downward == upward);
        assert!(downward.len() > 20_000, "{}", downward.len());
    }
}
