//! Who an invented person is, what ails them, and which regions know them.

use fhir::identifier::{ChiNumber, NhsNumber};
use jiff::ToSpan;
use jiff::civil::Date;

use super::catalogue::{self, Illness};
use super::numbers::Numbers;
use super::random::Random;
use super::staff::{self, Doctor, Place};
use super::{Nation, Region};

/// Administrative gender as the national registers hold it for these people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sex {
    Female,
    Male,
}

/// Where and when people are invented.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) regions: &'a [Region<'a>],
    pub(super) today: Date,
}

/// Everything about a person that all their records agree on.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) prefix: &'static str,
    pub(super) given: &'static str,
    pub(super) family: &'static str,
    pub(super) sex: Sex,
    pub(super) birth: Date,
    pub(super) nhs_number: Option<NhsNumber>,
    pub(super) chi_number: Option<ChiNumber>,
    /// Code and display of the ethnic category; England's code system.
    pub(super) ethnicity: (&'static str, &'static str),
    pub(super) street: String,
    pub(super) town: &'static str,
    pub(super) postcode: String,
    pub(super) telephone: String,
    pub(super) mobile: String,
    pub(super) practice: Place,
    pub(super) doctor: Doctor,
    pub(super) long_term: Vec<Illness>,
    /// Indices into the catalogue's allergies; empty for "no known allergy".
    pub(super) allergies: Vec<usize>,
    pub(super) smoking: usize,
    /// Usual weight in tenths of a kilogram.
    pub(super) weight: u32,
}

impl Identity {
    pub(super) fn full_name(&self) -> String {
        format!("{} {}", self.given, self.family)
    }

    /// Whole years on `day`.
    pub(super) fn age_on(&self, day: Date) -> i16 {
        let had_birthday = (day.month(), day.day()) >= (self.birth.month(), self.birth.day());
        day.year() - self.birth.year() - i16::from(!had_birthday)
    }
}

pub(super) const FEMALE: [&str; 20] = [
    "Aisha", "Bethan", "Catriona", "Dorothy", "Eilidh", "Fatima", "Grace", "Hannah", "Imogen",
    "Jasmine", "Kirsty", "Leila", "Maureen", "Niamh", "Olivia", "Priya", "Rosalind", "Shirin",
    "Tamsin", "Wanjiru",
];
pub(super) const MALE: [&str; 20] = [
    "Alasdair", "Benedict", "Callum", "Dafydd", "Edward", "Farouk", "George", "Hamish", "Ibrahim",
    "Jasper", "Kwame", "Lachlan", "Mohammed", "Nikolai", "Owen", "Piotr", "Rajesh", "Stanley",
    "Tobias", "Winston",
];
pub(super) const FAMILY: [&str; 40] = [
    "Abernethy",
    "Adeyemi",
    "Ainsworth",
    "Banerjee",
    "Blackwood",
    "Campbell",
    "Chaudhry",
    "Cartwright",
    "Davidson",
    "Drummond",
    "Eastwood",
    "Fairbairn",
    "Ferreira",
    "Gallacher",
    "Grantham",
    "Hargreaves",
    "Hussain",
    "Iqbal",
    "Jankowski",
    "Kavanagh",
    "Kerr",
    "Lockwood",
    "MacAskill",
    "Mbeki",
    "Metcalfe",
    "Nakamura",
    "Oduya",
    "Ogilvie",
    "Patel",
    "Pemberton",
    "Quigley",
    "Ramsbottom",
    "Sengupta",
    "Shackleton",
    "Sutherland",
    "Thackray",
    "Uddin",
    "Wedderburn",
    "Yilmaz",
    "Zielinski",
];
const STREETS: [&str; 10] = [
    "Mill Lane",
    "Station Road",
    "Church View",
    "Quarry Bank",
    "Orchard Close",
    "Harbour Street",
    "Priory Gardens",
    "Weaver's Row",
    "Castle Wynd",
    "Meadow Rise",
];
const ENGLISH_TOWNS: [&str; 6] =
    ["Ashcombe", "Harrowby Bridge", "Millthorpe", "Stonebeck", "Wetherdale", "Cawsey"];
const SCOTTISH_TOWNS: [&str; 6] =
    ["Glenarvie", "Kinbrae", "Strathlorne", "Inverdour", "Balmeddie", "Auchterlee"];
const ETHNICITIES: [(&str, &str); 8] = [
    ("A", "White - British"),
    ("A", "White - British"),
    ("A", "White - British"),
    ("C", "White - Any other White background"),
    ("H", "Asian or Asian British - Indian"),
    ("J", "Asian or Asian British - Pakistani"),
    ("N", "Black or Black British - African"),
    ("Z", "Not stated"),
];

/// The regions that know person `index`, home first.
pub(super) fn known_in(index: usize, regions: &[Region<'_>]) -> Vec<usize> {
    let all = 0..regions.len();
    let first = |nation| all.clone().find(|&region| regions[region].nation == nation);
    match index {
        0 => all.collect(),
        1 => {
            let home = first(Nation::Scotland).or_else(|| all.clone().last()).unwrap_or(0);
            let away = first(Nation::England).filter(|&region| region != home);
            std::iter::once(home).chain(away).collect()
        }
        _ => {
            let home = index % regions.len();
            let away = (home + 1) % regions.len();
            let travels = index.is_multiple_of(7) && away != home;
            std::iter::once(home).chain(travels.then_some(away)).collect()
        }
    }
}

/// Invents person `index`, who is known in the regions `known_in`.
pub(super) fn identity(
    index: usize,
    known_in: &[usize],
    &World { regions, today }: &World<'_>,
    numbers: &mut Numbers,
    random: &mut Random,
) -> Identity {
    let home = known_in[0];
    let (sex, given, family) = name(index, random);
    let birth = birth_date(index, today, random);
    let carries = |nation| known_in.iter().any(|&region| regions[region].nation == nation);
    let surgery = random.index(3);
    let scottish_home = regions[home].nation == Nation::Scotland;
    let mut person = Identity {
        prefix: "",
        given,
        family,
        sex,
        birth,
        nhs_number: carries(Nation::England).then(|| numbers.nhs_number()),
        chi_number: carries(Nation::Scotland).then(|| numbers.chi_number(birth, sex, random)),
        ethnicity: if index == 0 { ETHNICITIES[6] } else { random.pick(&ETHNICITIES) },
        street: format!("{} {}", random.between(1, 98), random.pick(&STREETS)),
        town: random.pick(if scottish_home { &SCOTTISH_TOWNS } else { &ENGLISH_TOWNS }),
        postcode: postcode(random),
        // Numbers that Ofcom keeps for drama: nobody answers them.
        telephone: format!(
            "{}{:03}",
            if scottish_home { "0131 496 0" } else { "0113 496 0" },
            random.between(0, 999)
        ),
        mobile: format!("07700 900{:03}", random.between(0, 999)),
        practice: staff::practice(home, surgery),
        doctor: staff::doctor(home, surgery, random.index(2)),
        long_term: Vec::new(),
        allergies: Vec::new(),
        smoking: if index == 0 { 0 } else { random.index(3) },
        weight: 0,
    };
    let age = person.age_on(today);
    person.prefix = match (age >= 18, sex, random.chance(60)) {
        (true, Sex::Female, true) => "Mrs",
        (true, Sex::Female, false) => "Ms",
        (true, Sex::Male, _) => "Mr",
        (false, Sex::Female, _) => "Miss",
        (false, Sex::Male, _) => "Master",
    };
    person.weight = weight(age, random);
    (person.long_term, person.allergies) = health(index, age, random);
    person
}

fn name(index: usize, random: &mut Random) -> (Sex, &'static str, &'static str) {
    match index {
        0 => (Sex::Female, "Amina", "Okafor"),
        1 => (Sex::Male, "Calum", "Strachan"),
        _ if random.chance(51) => (Sex::Female, random.pick(&FEMALE), random.pick(&FAMILY)),
        _ => (Sex::Male, random.pick(&MALE), random.pick(&FAMILY)),
    }
}

fn birth_date(index: usize, today: Date, random: &mut Random) -> Date {
    let years = match index {
        0 => 58,
        1 => 44,
        _ if random.chance(15) => random.span(2, 17),
        _ => random.span(18, 91),
    };
    let day = random.span(0, 364);
    today.saturating_sub(years.years()).saturating_sub(day.days())
}

/// The pseudo-postcode area ZZ99 has no street.
fn postcode(random: &mut Random) -> String {
    const LETTERS: [char; 8] = ['A', 'B', 'D', 'E', 'F', 'G', 'H', 'J'];
    let digit = random.between(1, 9);
    format!("ZZ99 {digit}{}{}", random.pick(&LETTERS), random.pick(&LETTERS))
}

fn weight(age: i16, random: &mut Random) -> u32 {
    let (low, high) = match age {
        ..=4 => (110, 190),
        5..=11 => (190, 420),
        12..=17 => (420, 700),
        _ => (520, 1080),
    };
    random.between(low, high)
}

fn health(index: usize, age: i16, random: &mut Random) -> (Vec<Illness>, Vec<usize>) {
    if index == 0 {
        let long_term = [catalogue::DIABETES, catalogue::HYPERTENSION, catalogue::ASTHMA];
        return (long_term.to_vec(), vec![0]);
    }
    let fitting = catalogue::LONG_TERM.iter().filter(|illness| illness.from_age <= age);
    let mut candidates: Vec<Illness> = fitting.copied().collect();
    let most = if age < 18 { 1 } else { 3 };
    let mut long_term = Vec::new();
    for _ in 0..random.between(1, most) {
        if candidates.is_empty() {
            break;
        }
        let chosen = random.index(candidates.len());
        long_term.push(candidates.swap_remove(chosen));
    }
    let first = random.index(catalogue::ALLERGIES.len());
    let allergies = match random.between(1, 10) {
        1..=5 => Vec::new(),
        6..=8 => vec![first],
        _ => vec![first, (first + 1) % catalogue::ALLERGIES.len()],
    };
    (long_term, allergies)
}
