//! What cannot both be relied on, though nobody says that it is the same fact: an allergy beside
//! "no known allergy", one product at two doses, one product active here and stopped there.

use std::collections::BTreeMap;

use super::Shown;
use super::alike::{Products, code_of, comparable, has_snomed, product};
use super::found::{Finding, Found, What};
use super::key::Key;

/// Categories of allergies; the first stands for all of them.
const KINDS: [&str; 4] = ["", "medication", "food", "environment"];
/// SNOMED CT's ways to say that none is known, and of which kind.
const DENIALS: [(&str, usize); 5] = [
    ("716186003", 0), // No known allergy
    ("409137002", 1), // No known drug allergy
    ("429625007", 2), // No known food allergy
    ("428607008", 3), // No known environmental allergy
    ("716184000", 3), // No known latex allergy
];
const NO_KNOWN: [&str; 5] = ["716186003", "409137002", "429625007", "428607008", "716184000"];
/// What ends an order or a statement before its time.
const STOPPED: [&str; 3] = ["stopped", "cancelled", "on-hold"];

/// "No known allergy" beside an allergy that somebody stands by.
pub(super) fn of_allergies(entries: &[Shown<'_>], found: &mut Found) {
    let mut denials = Vec::new();
    // The first allergy of each kind; one without a category may be of any.
    let mut first = [None; KINDS.len()];
    for (place, entry) in entries.iter().enumerate() {
        let key = &entry.candidate.key;
        if key.resource_type != "AllergyIntolerance" || !is_stood_by(key) {
            continue;
        }
        if let Some(code) = key.member("code").filter(|code| has_snomed(code, &NO_KNOWN)) {
            denials.push((place, code));
            continue;
        }
        let category = key.member("category").map_or("", |raw| raw.get());
        for (kind, first) in KINDS.iter().zip(&mut first) {
            if category.is_empty() || category.contains(kind) {
                first.get_or_insert(place);
            }
        }
    }
    for (none, code) in denials {
        let denied = DENIALS.iter().find(|(denial, _)| has_snomed(code, &[denial]));
        let some = denied.and_then(|(_, kind)| first[*kind]);
        if let Some(some) = some {
            found.tell(Finding::new(What::NoKnownAllergy, some, none));
        }
    }
}

fn is_stood_by(key: &Key<'_>) -> bool {
    let status = |name| key.member(name).and_then(code_of).unwrap_or_default();
    let doubted = matches!(&*status("verificationStatus"), "refuted" | "entered-in-error");
    !doubted && !matches!(&*status("clinicalStatus"), "inactive" | "resolved")
}

/// One product, active in two regions at different doses, or active in one and stopped in another.
/// Orders and statements are never compared with each other.
pub(super) fn of_products(entries: &[Shown<'_>], products: &Products, found: &mut Found) {
    let mut courses: BTreeMap<(&str, String), Vec<Course>> = BTreeMap::new();
    for (place, entry) in entries.iter().enumerate() {
        let dose = match &*entry.candidate.key.resource_type {
            "MedicationRequest" => "dosageInstruction",
            "MedicationStatement" => "dosage",
            _ => continue,
        };
        if let Some(product) = product(entry, products) {
            let courses = courses.entry((dose, product)).or_default();
            courses.push(Course::of(place, entry, dose));
        }
    }
    for courses in courses.values() {
        contradict(courses, found);
    }
}

/// Compares each course of a product with the first active one of each other region.
fn contradict(courses: &[Course], found: &mut Found) {
    let mut firsts: Vec<&Course> = Vec::new();
    for course in courses.iter().filter(|course| course.status == "active") {
        if firsts.last().is_none_or(|last| last.source != course.source) {
            firsts.push(course);
        }
    }
    for course in courses {
        let mut elsewhere = firsts.iter().filter(|other| other.source != course.source);
        let (what, other) = if STOPPED.contains(&&*course.status) {
            (What::Stopped, elsewhere.next())
        } else if course.status == "active" {
            let differs = |other: &&&Course| other.place < course.place && other.differs(course);
            (What::OtherDose, elsewhere.find(differs))
        } else {
            continue;
        };
        if let Some(other) = other {
            found.tell(Finding::new(what, other.place, course.place));
        }
    }
}

/// One order or statement about a product.
struct Course {
    place: usize,
    source: usize,
    status: String,
    dose: Option<String>,
}

impl Course {
    fn of(place: usize, entry: &Shown<'_>, dose: &str) -> Self {
        let key = &entry.candidate.key;
        Self {
            place,
            source: entry.source,
            status: key.member("status").and_then(code_of).unwrap_or_default(),
            dose: key.member(dose).and_then(comparable),
        }
    }

    /// Whether both have a dose, and not the same.
    fn differs(&self, other: &Self) -> bool {
        self.dose.is_some() && other.dose.is_some() && self.dose != other.dose
    }
}
