//! Whether the Patients of an answer can be one person. A number alone does not prove it: a wrong
//! digit that is a valid number, or a wrong link, leads to somebody else's record.

use std::borrow::Cow;

use serde::Deserialize;

use super::Shown;

/// What two Patients say differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// `birthDate`
    BirthDate,
    /// `gender`
    Gender,
    /// `deceased[x]`: whether, not when.
    Death,
}

/// Two Patients who can hardly be one person.
#[derive(Debug)]
pub struct Disagreement<'m, 'a> {
    /// What about.
    pub about: About,
    /// The first who says anything.
    pub first: &'m Shown<'a>,
    /// One who says something else.
    pub second: &'m Shown<'a>,
}

#[derive(Default, Deserialize)]
struct Person<'a> {
    #[serde(rename = "birthDate", borrow, default)]
    birth_date: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    gender: Option<Cow<'a, str>>,
    #[serde(rename = "deceasedBoolean", default)]
    deceased: Option<bool>,
    #[serde(rename = "deceasedDateTime", borrow, default)]
    deceased_at: Option<Cow<'a, str>>,
}

impl<'a> Person<'a> {
    fn of(shown: &Shown<'a>) -> Self {
        serde_json::from_slice(shown.candidate.resource).unwrap_or_default()
    }

    fn says(&self, about: About) -> Option<&str> {
        match about {
            About::BirthDate => self.birth_date.as_deref(),
            About::Gender => self.gender.as_deref().filter(|gender| *gender != "unknown"),
            About::Death => {
                let dead = self.deceased.or_else(|| self.deceased_at.as_ref().map(|_| true))?;
                Some(if dead { "dead" } else { "alive" })
            }
        }
    }
}

/// What the Patients of an answer say differently, in their order.
pub fn disagreements<'m, 'a>(
    patients: impl Iterator<Item = &'m Shown<'a>>,
) -> Vec<Disagreement<'m, 'a>> {
    let people: Vec<_> = patients.map(|shown| (shown, Person::of(shown))).collect();
    let mut found = Vec::new();
    for about in [About::BirthDate, About::Gender, About::Death] {
        let mut said = people.iter().filter_map(|(shown, p)| Some((*shown, p.says(about)?)));
        let Some((first, text)) = said.next() else {
            continue;
        };
        let others = said.filter(|(_, other)| !agree(text, other));
        found.extend(others.map(|(second, _)| Disagreement { about, first, second }));
    }
    found
}

/// A date known to the year only agrees with every day of that year.
fn agree(a: &str, b: &str) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_date_agrees_with_its_days_and_no_others() {
        assert!(agree("1990", "1990-01-01") && agree("1990-01-01", "1990-01"));
        assert!(!agree("1990-01-01", "1990-01-02") && !agree("1991", "1990-01-01"));
    }
}
