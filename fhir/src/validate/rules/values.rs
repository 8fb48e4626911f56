//! Rules about values: dates in order, quantities that mean what they say, codes that agree.

use std::collections::HashSet;

use super::{Broken, Judged};
use crate::instant::Interval;
use crate::validate::facts::{Noted, Read};

const UCUM: &str = "http://unitsofmeasure.org";
/// The furthest that a zone is from UTC, in microseconds.
const ZONE_MAX: i64 = 14 * 3_600_000_000;

pub(super) const JUDGED: [Judged; 14] = [
    Judged { of: &["Period"], asks: &["start", "end"], judge: period },
    Judged { of: &["Range"], asks: &["low", "high"], judge: range },
    Judged {
        of: &["Age", "Count", "Distance", "Duration"],
        asks: &["value", "system", "code"],
        judge: measure,
    },
    Judged { of: &["Timing.repeat"], asks: &["duration", "period", "when"], judge: repeat },
    Judged {
        of: &["AllergyIntolerance"],
        asks: &["clinicalStatus", "verificationStatus"],
        judge: allergy,
    },
    Judged {
        of: &["Condition"],
        asks: &["clinicalStatus", "verificationStatus"],
        judge: condition,
    },
    Judged { of: &["Appointment"], asks: &["status"], judge: appointment },
    Judged {
        of: &["MedicationDispense"],
        asks: &["whenPrepared", "whenHandedOver"],
        judge: dispense,
    },
    Judged { of: &["Observation"], asks: &["code", "component"], judge: observation },
    Judged { of: &["Organization"], asks: &["address", "telecom"], judge: organization },
    Judged { of: &["Group"], asks: &["actual"], judge: group },
    Judged { of: &["List"], asks: &["mode", "entry"], judge: list },
    Judged { of: &["RiskAssessment.prediction"], asks: &["probabilityDecimal"], judge: risk },
    Judged { of: &["MolecularSequence"], asks: &["coordinateSystem"], judge: sequence },
];

fn period(read: &Read<'_, '_>, broken: &mut Vec<Broken>) {
    if let (Some(start), Some(end)) = (read.text("start"), read.text("end"))
        && after(start, end)
    {
        broken.push(Broken::new("per-1", "A period may not end before it starts."));
    }
}

/// Whether one date is after another, whatever their precision and missing zones leave open.
fn after(first: &str, second: &str) -> bool {
    let (written, other) = (first.as_bytes(), second.as_bytes());
    let zone = |text: &[u8]| text.len().saturating_sub(if text.ends_with(b"Z") { 1 } else { 6 });
    let zoned = written.len() > 10;
    if written.len() == other.len() && (!zoned || written[zone(written)..] == other[zone(other)..])
    {
        // Of one precision and zone, they are in order as they are written.
        return written > other;
    }
    let (Some(first), Some(second)) = (Interval::parse(first), Interval::parse(second)) else {
        return false;
    };
    let slack = if zoned == (other.len() > 10) { 0 } else { ZONE_MAX };
    first.low.saturating_sub(slack) >= second.high
}

fn range(read: &Read<'_, '_>, broken: &mut Vec<Broken>) {
    let quantity = |member| {
        read.noted(member).find_map(|(_, noted)| match noted {
            Noted::Quantity { value, unit } => Some((*value, unit.as_deref())),
            _ => None,
        })
    };
    if let (Some((low, of)), Some((high, unit))) = (quantity("low"), quantity("high"))
        && of == unit
        && low > high
    {
        broken.push(Broken::new("rng-2", "A range's low may not be above its high."));
    }
}

fn measure(read: &Read<'_, '_>, broken: &mut Vec<Broken>) {
    let of = read.definition.name;
    let key = match of {
        "Age" => "age-1",
        "Count" => "cnt-3",
        "Distance" => "dis-1",
        _ => "drt-1",
    };
    let system = read.text("system");
    let needed = of == "Duration" && read.has("code");
    if system.is_some_and(|system| system != UCUM) || (needed && system.is_none()) {
        broken.push(Broken::new(key, "Its system is UCUM: http://unitsofmeasure.org."));
    }
    let value = read.number("value");
    if of == "Age" && value.is_some_and(|value| value <= 0.0) {
        broken.push(Broken::new(key, "An age is above 0."));
    }
    if of == "Count" && value.is_some_and(|value| value.fract() != 0.0) {
        broken.push(Broken::new(key, "A count is a whole number."));
    }
    if of == "Count" && read.text("code").is_some_and(|code| code != "1") {
        broken.push(Broken::new(key, "A count's code is 1."));
    }
}

fn repeat(read: &Read<'_, '_>, broken: &mut Vec<Broken>) {
    if read.number("duration").is_some_and(|duration| duration < 0.0) {
        broken.push(Broken::new("tim-4", "A duration is not below 0.").at("duration", None));
    }
    if read.number("period").is_some_and(|period| period < 0.0) {
        broken.push(Broken::new("tim-5", "A period is not below 0.").at("period", None));
    }
    let mut when = read.texts("when");
    if read.has("offset") && when.any(|when| matches!(when, "C" | "CM" | "CD" | "CV")) {
        let said = "An offset is not from a meal itself (C, CM, CD, CV).";
        broken.push(Broken::new("tim-9", said).at("offset", None));
    }
}

fn allergy(read: &Read<'_, '_>, broken: &mut Vec<Broken>) {
    const SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification";
    let in_error = read.coded("verificationStatus", SYSTEM, &["entered-in-error"]);
    match (in_error, read.has("clinicalStatus")) {
        (false, false) => {
            let said = "An allergy has a clinicalStatus unless it was entered in error.";
            broken.push(Broken::new("ait-1", said).at("clinicalStatus", None));
        }
        (true, true) => {
            let said = "An allergy that was entered in error has no clinicalStatus.";
            broken.push(Broken::new("ait-2", said).at("clinicalStatus", None));
        }
        _ => {}
    }
}

fn condition(read: &Read<'_, '_>, broken: &mut Vec<Broken>) {
    const CLINICAL: &str = "http://terminology.hl7.org/CodeSystem/condition-clinical";
    const VERIFICATION: &str = "http://terminology.hl7.org/CodeSystem/condition-ver-status";
    let past = ["resolved", "remission", "inactive"];
    if read.has("abatement") && !read.coded("clinicalStatus", CLINICAL, &past) {
        let said = "A condition that has abated is inactive, resolved or in remission.";
        broken.push(Broken::new("con-4", said).at("clinicalStatus", None));
    }
    let in_error = read.coded("verificationStatus", VERIFICATION, &["entered-in-error"]);
    if in_error && read.has("clinicalStatus") {
        let said = "A condition that was entered in error has no clinicalStatus.";
        broken.push(Broken::new("con-5", said).at("clinicalStatus", None));
    }
}

fn appointment(read: &Read<'_, '_>, broken: &mut Vec<Broken>) {
    let status = read.text("status");
    let timed = read.has("start") && read.has("end");
    if !timed && !matches!(status, Some("proposed" | "cancelled" | "waitlist")) {
        let said = "Only an appointment that is proposed, cancelled or on a waitlist has no times.";
        broken.push(Broken::new("app-3", said));
    }
    if read.has("cancelationReason") && !matches!(status, Some("noshow" | "cancelled")) {
        let said = "Only an appointment that is cancelled or noshow has a cancelationReason.";
        broken.push(Broken::new("app-4", said).at("cancelationReason", None));
    }
}

fn dispense(read: &Read<'_, '_>, broken: &mut Vec<Broken>) {
    if let (Some(prepared), Some(handed)) = (read.text("whenPrepared"), read.text("whenHandedOver"))
        && after(prepared, handed)
    {
        let said = "Nothing is handed over before it is prepared.";
        broken.push(Broken::new("mdd-1", said).at("whenHandedOver", None));
    }
}

fn observation(read: &Read<'_, '_>, broken: &mut Vec<Broken>) {
    if !(read.has("value") && read.has("component")) {
        return;
    }
    let codes: HashSet<_> = read.codings("code").map(|(_, code)| code).collect();
    for (item, component) in read.codings("component") {
        if codes.contains(&component) {
            let said = "An observation with a value has no component of its own code.";
            broken.push(Broken::new("obs-7", said).at("component", item));
        }
    }
}

fn organization(read: &Read<'_, '_>, broken: &mut Vec<Broken>) {
    let rules = [
        ("address", "org-2", "An organization's address is not of use home."),
        ("telecom", "org-3", "An organization's telecom is not of use home."),
    ];
    for (member, key, said) in rules {
        for (item, noted) in read.noted(member) {
            if matches!(noted, Noted::Text(used) if used == "home") {
                broken.push(Broken::new(key, said).at(member, item));
            }
        }
    }
}

fn group(read: &Read<'_, '_>, broken: &mut Vec<Broken>) {
    let actual = read.noted("actual").any(|(_, noted)| matches!(noted, Noted::Bool(true)));
    if read.has("member") && !actual {
        let said = "Only a group of actual members has members.";
        broken.push(Broken::new("grp-1", said).at("member", None));
    }
}

fn list(read: &Read<'_, '_>, broken: &mut Vec<Broken>) {
    let mode = read.text("mode");
    for (item, noted) in read.noted("entry") {
        match noted {
            Noted::Bool(_) if mode != Some("changes") => {
                let said = "Only a list of changes has entries that are deleted.";
                broken.push(Broken::new("lst-2", said).at("entry", item));
            }
            Noted::Text(_) if mode != Some("working") => {
                let said = "Only a working list has entries with a date.";
                broken.push(Broken::new("lst-3", said).at("entry", item));
            }
            _ => {}
        }
    }
}

fn risk(read: &Read<'_, '_>, broken: &mut Vec<Broken>) {
    if read.number("probabilityDecimal").is_some_and(|probability| probability > 100.0) {
        let said = "A probability is at most 100.";
        broken.push(Broken::new("ras-2", said).at("probability", None));
    }
}

fn sequence(read: &Read<'_, '_>, broken: &mut Vec<Broken>) {
    if read.number("coordinateSystem").is_some_and(|system| !matches!(system, 0.0 | 1.0)) {
        let said = "A coordinateSystem is 0 or 1.";
        broken.push(Broken::new("msq-3", said).at("coordinateSystem", None));
    }
}
