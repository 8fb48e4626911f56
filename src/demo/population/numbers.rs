//! National patient numbers for people who do not exist, each handed out once.
//!
//! NHS numbers come from the 999 range, which is never issued (NHS Data Dictionary). Scotland
//! keeps no such range: a CHI number is built from an invented birth date.

use std::collections::HashSet;

use fhir::identifier::{ChiNumber, NhsNumber};
use jiff::civil::Date;

use super::people::Sex;
use super::random::Random;

/// Six-digit serials in the 999 range.
const SERIALS: usize = 1_000_000;
/// Coprime with [`SERIALS`], so that stepping by it visits every serial once before any twice.
const STRIDE: usize = 618_033;

/// Hands out numbers.
#[derive(Debug)]
pub(super) struct Numbers {
    serial: usize,
    chi_taken: HashSet<ChiNumber>,
}

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Self { serial: (seed % SERIALS as u64) as usize, chi_taken: HashSet::new() }
    }

    /// The next NHS number that was not handed out before.
    pub(super) fn nhs_number(&mut self) -> NhsNumber {
        loop {
            self.serial = (self.serial + STRIDE) % SERIALS;
            if let Some(number) = complete(&format!("999{:06}", self.serial)) {
                return number;
            }
        }
    }

    /// A CHI number for this birth date and sex that was not handed out before.
    pub(super) fn chi_number(&mut self, birth: Date, sex: Sex, random: &mut Random) -> ChiNumber {
        let odd = u32::from(sex == Sex::Male);
        let start = random.between(0, 499);
        (0..500)
            .map(|step| (start + step) % 500)
            .filter_map(|serial| {
                let digits = format!(
                    "{:02}{:02}{:02}{:02}{}",
                    birth.day(),
                    birth.month(),
                    birth.year().rem_euclid(100),
                    serial / 5,
                    serial % 5 * 2 + odd
                );
                complete(&digits)?.as_str().parse().ok()
            })
            .find(|number| self.chi_taken.insert(*number))
            .expect("fewer than four hundred invented people of one sex share a birth date")
    }
}

/// The NHS number of the 999 range with this place in it: different places, different numbers,
/// up to nine hundred thousand.
pub(crate) fn nhs_number_at(place: usize) -> NhsNumber {
    let mut numbers = Numbers::new(0);
    for _ in 0..place {
        numbers.nhs_number();
    }
    numbers.nhs_number()
}

/// Adds the modulus 11 check digit, where one exists.
fn complete(nine_digits: &str) -> Option<NhsNumber> {
    (0..=9).find_map(|digit| format!("{nine_digits}{digit}").parse().ok())
}
