//! Where invented people are treated, and by whom. Neither exists.

use super::people::{FAMILY, FEMALE, MALE};

/// An organisation by its ODS code and name.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) ods: String,
    pub(super) name: String,
}

/// A doctor by number and name.
#[derive(Debug, Clone)]
pub(super) struct Doctor {
    pub(super) number: String,
    pub(super) given: &'static str,
    pub(super) family: &'static str,
}

const SURGERIES: [&str; 9] = [
    "Riverside Medical Practice",
    "The Old Schoolhouse Surgery",
    "Ashlar Street Surgery",
    "Beacon Health Centre",
    "Larkfield Surgery",
    "Priory Lane Medical Centre",
    "Harbour View Practice",
    "Rowan Tree Surgery",
    "Mercat Cross Health Centre",
];
/// The place of a region's hospital among its surgeries, which are 0, 1 and 2.
const HOSPITAL: usize = 9;

/// A general practice of a region. No organisation has a code that begins with ZZ9.
pub(super) fn practice(region: usize, surgery: usize) -> Place {
    Place {
        ods: format!("ZZ9{region}{surgery}"),
        name: SURGERIES[(region * 3 + surgery) % SURGERIES.len()].to_owned(),
    }
}

/// The hospital of a region.
pub(super) fn hospital(region: usize, region_name: &str) -> Place {
    Place { ods: format!("ZZ9{region}{HOSPITAL}"), name: format!("{region_name} General Hospital") }
}

/// A doctor of a region's surgery.
pub(super) fn doctor(region: usize, surgery: usize, which: usize) -> Doctor {
    let place = region * 7 + surgery * 2 + which;
    let given = if place.is_multiple_of(2) { FEMALE } else { MALE };
    Doctor {
        number: format!("G99{region:03}{surgery:02}{which}"),
        given: given[place * 3 % given.len()],
        family: FAMILY[(place * 11 + 5) % FAMILY.len()],
    }
}

/// A consultant of a region's hospital.
pub(super) fn consultant(region: usize) -> Doctor {
    doctor(region, HOSPITAL, 0)
}
