//! One person's record in one region: a closed transaction Bundle.
//! <https://hl7.org/fhir/R4/http.html#transaction>

use jiff::ToSpan;
use jiff::civil::Date;

use super::catalogue::{self, Code, Medicine, SNOMED};
use super::json::{Json, array, object};
use super::people::Identity;
use super::random::Random;
use super::resources::{self, Fact};
use super::staff::{self, Doctor, Place};
use super::{Nation, Region, medication, observations};

/// Whose record, where, and at what point of their travels.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    pub(super) identity: &'a Identity,
    /// Index of the region.
    pub(super) place: usize,
    pub(super) region: Region<'a>,
    /// Whether this is the region the person lives in.
    pub(super) at_home: bool,
    /// Facts that another region holds too.
    pub(super) shared: Option<&'a Shared>,
    pub(super) today: Date,
}

/// Facts that two regions hold under the same business identifiers.
#[derive(Debug)]
pub(super) struct Shared {
    result: (String, Date, u32),
    allergy: (String, Date),
    prescription: (String, Date),
}

impl Shared {
    pub(super) fn new(mut random: Random, today: Date) -> Self {
        let mut ago = |low, high| today.saturating_sub(random.span(low, high).days());
        let (tested, found, prescribed) = (ago(40, 90), ago(900, 1500), ago(20, 35));
        Self {
            result: (random.uuid(), tested, random.between(58, 74)),
            allergy: (random.uuid(), found),
            prescription: (random.uuid(), prescribed),
        }
    }
}

/// An Encounter that other resources refer to.
#[derive(Debug)]
struct Visit {
    full_url: String,
    when: String,
    date: Date,
}

/// Writes the Bundle.
pub(super) fn bundle(setting: &Setting<'_>, random: &mut Random) -> String {
    let mut record = Record::open(setting, random);
    let visits = record.visits();
    record.problems(&visits);
    record.short_course(&visits);
    record.allergies(&visits);
    record.measurements(&visits);
    record.tests(&visits);
    if setting.at_home {
        record.immunizations();
    }
    object! {
        "resourceType" => "Bundle", "type" => "transaction", "entry" => record.entries,
    }
    .into_text()
}

/// The Bundle while it is being written.
struct Record<'a> {
    setting: &'a Setting<'a>,
    random: &'a mut Random,
    entries: Vec<Json>,
    patient: Json,
    clinician: Json,
    provider: Json,
}

impl<'a> Record<'a> {
    /// Begins with the place, the clinician and the patient.
    fn open(setting: &'a Setting<'a>, random: &'a mut Random) -> Self {
        let identity = setting.identity;
        let nothing = || array![None::<Json>];
        let (patient, clinician, provider) = (nothing(), nothing(), nothing());
        let mut record =
            Self { setting, random, entries: Vec::new(), patient, clinician, provider };
        let (place, doctor) = record.staff();
        let organization = resources::organization(&place);
        let provider = record.add("Organization", organization, Some(&place.ods));
        let practitioner = resources::practitioner(&doctor);
        let clinician = record.add("Practitioner", practitioner, Some(&doctor.number));
        record.provider = resources::reference(&provider);
        record.clinician = resources::reference(&clinician);
        let practice = if setting.at_home {
            record.provider.clone()
        } else {
            resources::place_reference(&identity.practice)
        };
        let scottish = setting.region.nation == Nation::Scotland;
        let region =
            Place { ods: setting.region.ods.to_owned(), name: setting.region.name.to_owned() };
        let patient = resources::patient(identity, scottish, practice, &region);
        record.patient = resources::reference(&record.add("Patient", patient, None));
        record
    }

    fn staff(&self) -> (Place, Doctor) {
        let Setting { identity, place, region, at_home, .. } = self.setting;
        if *at_home {
            (identity.practice.clone(), identity.doctor.clone())
        } else {
            (staff::hospital(*place, region.name), staff::consultant(*place))
        }
    }

    /// Adds an entry and returns its `fullUrl`. What has an `id` of its own is shared by the Bundles
    /// of a region: each puts it, and it is there once.
    fn add(&mut self, kind: &str, resource: Json, id: Option<&str>) -> String {
        let request = match id {
            None => object! { "method" => "POST", "url" => kind },
            Some(id) => object! { "method" => "PUT", "url" => format!("{kind}/{id}") },
        };
        let full_url = format!("urn:uuid:{}", self.random.uuid());
        self.entries.push(object! {
            "fullUrl" => &full_url,
            "resource" => resource,
            "request" => request,
        });
        full_url
    }

    /// A new fact of this record, from `visit` on its own date.
    fn fact(&mut self, visit: &Visit) -> Fact {
        Fact {
            encounter: Some(resources::reference(&visit.full_url)),
            ..self.fact_on(visit.when.clone())
        }
    }

    /// A new fact of this record that no encounter is known for.
    fn fact_on(&mut self, when: String) -> Fact {
        Fact {
            identifier: self.random.uuid(),
            patient: self.patient.clone(),
            encounter: None,
            by: self.clinician.clone(),
            when,
        }
    }

    /// A fact in words that another region uses too: it names the author, not an entry here.
    fn shared_fact(&self, identifier: &str, date: Date) -> Fact {
        Fact {
            identifier: identifier.to_owned(),
            patient: self.patient.clone(),
            encounter: None,
            by: resources::doctor_reference(&self.setting.identity.doctor),
            when: date.to_string(),
        }
    }

    /// Encounters of the last five years, the newest first.
    fn visits(&mut self) -> Vec<Visit> {
        const SURGERY: [((&str, &str), Code); 3] = [
            (("AMB", "ambulatory"), Code(SNOMED, "11429006", "Consultation")),
            (("VR", "virtual"), Code(SNOMED, "185317003", "Telephone encounter")),
            (("AMB", "ambulatory"), Code(SNOMED, "185349003", "Encounter for check up")),
        ];
        const HOSPITAL: [((&str, &str), Code); 3] = [
            (("EMER", "emergency"), Code(SNOMED, "50849002", "Emergency room admission")),
            (("AMB", "ambulatory"), Code(SNOMED, "11429006", "Consultation")),
            (("IMP", "inpatient encounter"), Code(SNOMED, "185212007", "Seen in hospital ward")),
        ];
        let Setting { identity, at_home, today, .. } = *self.setting;
        let count = if at_home { self.random.between(3, 4) } else { 3 };
        let days_alive = (today - identity.birth).get_days().unsigned_abs();
        let span = (days_alive - 60).min(5 * 365) / count;
        (0..count)
            .map(|visit| {
                let days_ago = i64::from(visit * span + self.random.between(3, span - 1));
                let date = today.saturating_sub(days_ago.days());
                let (hour, minute) = (self.random.between(8, 17), self.random.between(0, 3) * 10);
                let end = minute + self.random.between(10, 25);
                let when = format!("{date}T{hour:02}:{minute:02}:00Z");
                let end = format!("{date}T{hour:02}:{end:02}:00Z");
                let (class, kind) = self.random.pick(if at_home { &SURGERY } else { &HOSPITAL });
                let fact = self.fact_on(when.clone());
                let provider = self.provider.clone();
                let encounter = resources::encounter(&fact, class, kind, &end, provider);
                Visit { full_url: self.add("Encounter", encounter, None), when, date }
            })
            .collect()
    }

    /// Long-term conditions with their repeat prescriptions; a hospital knows the first only.
    fn problems(&mut self, visits: &[Visit]) {
        let Setting { identity, at_home, today, .. } = *self.setting;
        let first_seen = visits.last().expect("everyone has been seen");
        let known = if at_home { identity.long_term.len() } else { 1 };
        let mut prescribed = Vec::new();
        for illness in identity.long_term.iter().take(known) {
            let age_limit = i64::from(identity.age_on(today) - illness.from_age);
            let years = self.random.span(1, 12).min(age_limit);
            let days = self.random.span(0, 330);
            let onset = today.saturating_sub(years.years().days(days));
            let onset = onset.max(identity.birth).min(first_seen.date);
            // As general practice records it: some onsets are remembered to the month only.
            let onset_text = if self.random.chance(30) {
                format!("{:04}-{:02}", onset.year(), onset.month())
            } else {
                onset.to_string()
            };
            let fact = self.fact(first_seen);
            let condition = resources::condition(&fact, illness.code, &onset_text, None);
            self.add("Condition", condition, None);
            if let Some(medicine) = illness.medicine
                && !prescribed.contains(&medicine.product)
            {
                prescribed.push(medicine.product);
                self.repeat_prescription(&medicine, onset, &visits[0]);
            }
        }
    }

    fn repeat_prescription(&mut self, medicine: &Medicine, start: Date, visit: &Visit) {
        let Setting { at_home, today, shared, .. } = *self.setting;
        let mut medicine = *medicine;
        let fact = match shared {
            Some(shared) if medicine.product == catalogue::METFORMIN.product => {
                // The hospital doubled the dose; the practice still has the old one.
                medicine.each = if at_home { 1 } else { 2 };
                self.shared_fact(&shared.prescription.0, shared.prescription.1)
            }
            _ => self.fact(visit),
        };
        let request = medication::request(&fact, &medicine, true);
        let prescription = self.add("MedicationRequest", request, None);
        if at_home {
            let last_issue = today.saturating_sub(self.random.span(1, 28).days());
            let fact = self.fact_on(visit.when.clone());
            let statement = medication::statement(
                &fact,
                &medicine,
                &prescription,
                start,
                last_issue.max(start),
            );
            self.add("MedicationStatement", statement, None);
        }
    }

    /// An acute condition that has passed, with the course that was given for it.
    fn short_course(&mut self, visits: &[Visit]) {
        if !self.random.chance(50) {
            return;
        }
        let visit = &visits[1];
        let code = self.random.pick(&catalogue::ACUTE);
        let better = visit.date.saturating_add(self.random.span(5, 20).days());
        let better = better.min(self.setting.today).to_string();
        let fact = self.fact(visit);
        let onset = visit.date.to_string();
        let condition = resources::condition(&fact, code, &onset, Some(&better));
        self.add("Condition", condition, None);
        if self.setting.at_home && self.setting.identity.allergies.is_empty() {
            let medicine = self.random.pick(&catalogue::SHORT_COURSES);
            let fact = self.fact(visit);
            let request = medication::request(&fact, &medicine, false);
            self.add("MedicationRequest", request, None);
        }
    }

    fn allergies(&mut self, visits: &[Visit]) {
        let Setting { identity, shared, .. } = *self.setting;
        if let Some(Shared { allergy: (identifier, date), .. }) = shared {
            let fact = self.shared_fact(identifier, *date);
            let (code, category) = catalogue::PENICILLIN;
            let reaction = (category, catalogue::REACTIONS[0]);
            self.add("AllergyIntolerance", resources::allergy(&fact, code, Some(reaction)), None);
            return;
        }
        let first_seen = visits.last().expect("everyone has been seen");
        if identity.allergies.is_empty() {
            let fact = self.fact(first_seen);
            let none = resources::allergy(&fact, catalogue::NO_KNOWN_ALLERGY, None);
            self.add("AllergyIntolerance", none, None);
        }
        for &index in &identity.allergies {
            let (code, category) = catalogue::ALLERGIES[index];
            let reaction = self.random.pick(&catalogue::REACTIONS);
            let fact = self.fact(first_seen);
            let allergy = resources::allergy(&fact, code, Some((category, reaction)));
            self.add("AllergyIntolerance", allergy, None);
        }
    }

    /// What is measured at each visit.
    fn measurements(&mut self, visits: &[Visit]) {
        let Setting { identity, today, .. } = *self.setting;
        let adult = identity.age_on(today) >= 18;
        for visit in visits {
            let fact = self.fact(visit);
            let weight = identity.weight + self.random.between(0, 30);
            self.add("Observation", observations::body_weight(&fact, weight), None);
            let fact = self.fact(visit);
            let measured = if adult {
                let systolic = self.random.between(108, 162);
                let diastolic = self.random.between(62, 98);
                observations::blood_pressure(&fact, systolic, diastolic)
            } else {
                observations::body_temperature(&fact, self.random.between(362, 391))
            };
            self.add("Observation", measured, None);
            if self.random.chance(30) {
                let fact = self.fact(visit);
                let rate = self.random.between(56, 98);
                self.add("Observation", observations::heart_rate(&fact, rate), None);
            }
        }
        if adult {
            let fact = self.fact(&visits[0]);
            let status = catalogue::SMOKING[identity.smoking];
            self.add("Observation", observations::smoking_status(&fact, status), None);
        }
    }

    /// Laboratory results of the two latest visits, and the one that another region holds too.
    fn tests(&mut self, visits: &[Visit]) {
        let Setting { identity, shared, today, .. } = *self.setting;
        if let Some(Shared { result: (identifier, date, value), .. }) = shared {
            let fact = self.shared_fact(identifier, *date);
            let result = observations::laboratory(&fact, &catalogue::HBA1C, *value);
            self.add("Observation", result, None);
        }
        if identity.age_on(today) < 18 {
            return;
        }
        let has = |code: Code| identity.long_term.iter().any(|illness| illness.code.1 == code.1);
        let diabetic = has(catalogue::DIABETES.code);
        for visit in visits.iter().take(2) {
            let any = self.random.pick(&catalogue::TESTS);
            for test in std::iter::once(any).chain(diabetic.then_some(catalogue::HBA1C)) {
                let fact = self.fact(visit);
                let value = self.random.between(test.range.0, test.range.1);
                self.add("Observation", observations::laboratory(&fact, &test, value), None);
            }
        }
    }

    /// Influenza each autumn, and for adults of 2021 two doses against COVID-19.
    fn immunizations(&mut self) {
        let Setting { identity, today, .. } = *self.setting;
        for autumn in 1..=self.random.between(1, 3) as i16 {
            let date = Date::new(today.year() - autumn, 10, self.random.between(1, 31) as i8);
            let date = date.expect("October has thirty-one days").max(identity.birth);
            self.immunize(date, &catalogue::INFLUENZA);
        }
        let campaign = Date::constant(2021, 2, 1);
        let last_dose = campaign.saturating_add(180.days());
        if identity.age_on(campaign) < 18 || today <= last_dose {
            return;
        }
        let first = campaign.saturating_add(self.random.span(0, 90).days());
        self.immunize(first, &catalogue::COVID[0]);
        self.immunize(first.saturating_add(77.days()), &catalogue::COVID[1]);
    }

    fn immunize(&mut self, date: Date, vaccination: &catalogue::Vaccination) {
        let fact = self.fact_on(date.to_string());
        let lot = format!("LOT{:05}", self.random.between(1, 99_999));
        self.add("Immunization", resources::immunization(&fact, vaccination, &lot), None);
    }
}
