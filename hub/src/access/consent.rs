//! A Consent as rules, made when it is written. <https://hl7.org/fhir/R4/consent.html>
//!
//! Of a patient's active Consents of one lane, the newest that is in force decides. Its root provision says
//! what holds; each provision within is an exception to the one around it, for those whom all of its
//! conditions meet. Without a Consent that decides, care and research go on as the law has them.
//!
//! | condition | how it is told |
//! |---|---|
//! | `actor` | by its reference's identifier, an ODS code |
//! | `purpose` | v3-ActReason, as one of the purposes that tokens have |
//! | `period` | when somebody asks |
//! | `class` | resource types |
//! | `securityLabel` | labels of [`super::label`] that hide |
//! | `dataPeriod` | the resource's clinical time |
//! | `action`, `code`, `data`, and what else is not as above | not at all |
//!
//! A condition that cannot be told counts as met where something is denied, and as not met where it is
//! permitted. So does a base policy that is neither given by the root's type nor OPTIN or OPTOUT: it
//! denies.

use fhir::OWN_SYSTEM;
use fhir::definitions::ResourceType;
use fhir::identifier::ODS_CODE;
use fhir::instant::Interval;
use fhir::tree::Tree;
use service::caller::mandate::Purpose;

use super::label;
use crate::store::index::NO_CLINICAL_MS;

/// Most rows that one Consent becomes; one that would be more denies everything.
const RULES_MAX: usize = 256;
/// A moment before all others, and one after.
const ALWAYS: (i64, i64) = (i64::MIN, i64::MAX);
/// Every purpose.
const ANY_PURPOSE: i64 = 0b1111;

/// Which Consents are compared with each other.
#[derive(Debug)]
pub struct Lane;

impl Lane {
    /// Scope `patient-privacy`: who may see the record.
    pub const PRIVACY: i64 = 0;
    /// Category `urn:shared-record:consent-category|national-data-opt-out`: uses beyond the patient's
    /// own care.
    pub const OPT_OUT: i64 = 1;
}

/// The system and code of the category by which a Consent is the national data opt-out.
pub const OPT_OUT_CATEGORY: (&str, &str) = ("consent-category", "national-data-opt-out");

/// A purpose as rules know it: one bit.
pub fn purpose(purpose: Purpose) -> i64 {
    match purpose {
        Purpose::DirectCare => 1,
        Purpose::Emergency => 1 << 1,
        Purpose::SecondaryUses => 1 << 2,
        Purpose::PatientAccess => 1 << 3,
    }
}

/// The purposes that a code of v3-ActReason stands for.
fn purposes(code: &str) -> Option<i64> {
    Some(match code {
        "TREAT" => purpose(Purpose::DirectCare) | purpose(Purpose::Emergency),
        "CAREMGT" | "COORDINATION" => purpose(Purpose::DirectCare),
        "ETREAT" | "BTG" => purpose(Purpose::Emergency),
        "HRESCH" | "PUBHLTH" | "HOPERAT" | "CLINTRCH" | "HSYSADMIN" => {
            purpose(Purpose::SecondaryUses)
        }
        "PATRQT" | "FAMRQT" | "PWATRNY" => purpose(Purpose::PatientAccess),
        _ => return None,
    })
}

/// What a Consent says, as rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// The id of the Patient whose it is.
    pub patient: String,
    /// See [`Lane`].
    pub lane: i64,
    /// When it was given, in microseconds since 1970: the newest decides. A day alone is its end where
    /// something is denied, and its beginning where all is permitted.
    pub made: i64,
    /// The rules, in order of their places.
    pub rules: Vec<Rule>,
}

/// One alternative of one provision, with the conditions of those around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which provision it is, counted in the order of the text; 0 is the root.
    pub place: i64,
    /// The last provision within it.
    pub last: i64,
    /// Whether it permits; else it denies.
    pub permits: bool,
    /// The ODS code of an organisation; empty: any.
    pub actor: String,
    /// The purposes, as bits.
    pub purposes: i64,
    /// From when on, and until when, it is asked.
    pub period: (i64, i64),
    /// The type; none: any.
    pub resource_type: Option<ResourceType>,
    /// Classes of labels, one of which the resource must have; 0: whatever it has.
    pub classes: i64,
    /// Clinical time of the resource, in milliseconds since 1970.
    pub data_ms: (i64, i64),
}

/// The conditions of a provision, with those around it.
#[derive(Clone)]
struct Conditions {
    actors: Vec<String>,
    purposes: i64,
    period: (i64, i64),
    types: Vec<ResourceType>,
    classes: i64,
    data_ms: (i64, i64),
    /// Whether one of them cannot be told.
    untold: bool,
}

impl Conditions {
    fn none(purposes: i64) -> Self {
        let (actors, types) = (Vec::new(), Vec::new());
        let (period, data_ms) = (ALWAYS, ALWAYS);
        Self { actors, purposes, period, types, classes: 0, data_ms, untold: false }
    }
}

/// The rules of an active Consent of a lane; `at` is when it was written, in microseconds since 1970.
/// `patient` gives the id of the Patient that a reference is to.
pub fn compile(
    consent: &Tree<'_>,
    at: i64,
    patient: impl Fn(&str) -> Option<String>,
) -> Option<Consent> {
    if consent.text("status") != Some("active") {
        return None;
    }
    let lane = lane(consent)?;
    let patient = patient(consent.get("patient")?.text("reference")?)?;
    let root = consent.get("provision");
    let denies = root_denies(consent, root, lane);
    let secondary = purpose(Purpose::SecondaryUses);
    let base = Conditions::none(if lane == Lane::OPT_OUT { secondary } else { ANY_PURPOSE });
    let mut compiler = Compiler { rules: Vec::new(), next: 0 };
    let empty = Tree::Object(Vec::new());
    compiler.provision(root.unwrap_or(&empty), !denies, &base);
    let mut rules = compiler.rules;
    let roots = rules.iter().filter(|rule| rule.place == 0).count();
    if rules.len() > RULES_MAX || roots == 0 {
        let everything = Conditions::none(base.purposes);
        rules = everything.rows(0, 0, false);
    }
    let denied = rules.iter().any(|rule| !rule.permits);
    let given = consent.text("dateTime").and_then(Interval::parse);
    let made = given.map_or(at, |given| if denied { given.high - 1 } else { given.low });
    Some(Consent { patient, lane, made, rules })
}

fn lane(consent: &Tree<'_>) -> Option<i64> {
    let (suffix, code) = OPT_OUT_CATEGORY;
    let is_opt_out = |coding: &Tree<'_>| {
        let system = coding.text("system").and_then(|system| system.strip_prefix(OWN_SYSTEM));
        system == Some(suffix) && coding.text("code") == Some(code)
    };
    let categories = consent.get("category").map_or(&[][..], Tree::items);
    if categories.iter().flat_map(codings).any(is_opt_out) {
        return Some(Lane::OPT_OUT);
    }
    let scope = consent.get("scope")?;
    let is_privacy = |coding: &Tree<'_>| coding.text("code") == Some("patient-privacy");
    codings(scope).iter().any(is_privacy).then_some(Lane::PRIVACY)
}

fn codings<'t, 'a>(concept: &'t Tree<'a>) -> &'t [Tree<'a>] {
    concept.get("coding").map_or(&[], Tree::items)
}

fn root_denies(consent: &Tree<'_>, root: Option<&Tree<'_>>, lane: i64) -> bool {
    match root.and_then(|root| root.text("type")) {
        Some(stated) => stated != "permit",
        None if lane == Lane::OPT_OUT => true,
        None => {
            let rule = consent.get("policyRule").map_or(&[][..], codings);
            !rule.iter().any(|coding| coding.text("code") == Some("OPTIN"))
        }
    }
}

struct Compiler {
    rules: Vec<Rule>,
    next: i64,
}

impl Compiler {
    fn provision(&mut self, provision: &Tree<'_>, permits: bool, around: &Conditions) {
        let place = self.next;
        self.next += 1;
        let conditions = around.and(provision);
        let first = self.rules.len();
        // The root stands, whatever becomes of it: by it a newer Consent is known.
        if !(permits && conditions.untold) {
            self.rules.extend(conditions.rows(place, place, permits));
        }
        let added = self.rules.len();
        for inner in provision.get("provision").map_or(&[][..], Tree::items) {
            if self.rules.len() > RULES_MAX {
                return;
            }
            self.provision(inner, inner.text("type") == Some("permit"), &conditions);
        }
        let last = self.next - 1;
        self.rules[first..added].iter_mut().for_each(|rule| rule.last = last);
    }
}

impl Conditions {
    /// These, and those of a provision.
    fn and(&self, provision: &Tree<'_>) -> Self {
        let mut all = self.clone();
        let list = |name| provision.get(name).map_or(&[][..], Tree::items);
        all.untold |= ["action", "code", "data"].iter().any(|name| provision.get(name).is_some());
        let actors: Option<Vec<String>> = list("actor").iter().map(organisation).collect();
        all.narrow(actors, |all| &mut all.actors);
        let types: Option<Vec<ResourceType>> = list("class").iter().map(of_class).collect();
        all.narrow(types, |all| &mut all.types);
        if !list("purpose").is_empty() {
            let known = list("purpose").iter().map(|c| c.text("code").and_then(purposes));
            match known.collect::<Option<Vec<i64>>>() {
                Some(known) => all.purposes &= known.into_iter().fold(0, |all, bits| all | bits),
                None => all.untold = true,
            }
        }
        if !list("securityLabel").is_empty() {
            let classes = list("securityLabel").iter().map(label::of);
            let told = classes.clone().all(|class| class & label::HIDING & !label::UNKNOWN != 0);
            if told && all.classes == 0 {
                all.classes = classes.fold(0, |all, class| all | class);
            } else {
                all.untold = true;
            }
        }
        if let Some(period) = provision.get("period") {
            all.period = within(all.period, period, |micros| micros);
        }
        if let Some(period) = provision.get("dataPeriod") {
            let (low, high) = within(all.data_ms, period, |micros| micros.div_euclid(1_000));
            // A resource without a clinical time stands before all others, and lies in no period.
            all.data_ms = (low.max(NO_CLINICAL_MS + 1), high);
        }
        all
    }

    /// Narrows a list of alternatives, where empty means any.
    fn narrow<T: PartialEq>(
        &mut self,
        to: Option<Vec<T>>,
        list: impl Fn(&mut Self) -> &mut Vec<T>,
    ) {
        match to {
            None => self.untold = true,
            Some(to) if to.is_empty() => {}
            Some(mut to) => {
                let mine = list(self);
                if !mine.is_empty() {
                    to.retain(|one| mine.contains(one));
                }
                if to.is_empty() {
                    // No one is in both: nobody can meet it.
                    self.purposes = 0;
                } else {
                    *mine = to;
                }
            }
        }
    }

    fn rows(&self, place: i64, last: i64, permits: bool) -> Vec<Rule> {
        let any = [String::new()];
        let actors = if self.actors.is_empty() { &any[..] } else { &self.actors };
        let types: Vec<Option<ResourceType>> = match self.types.as_slice() {
            [] => vec![None],
            types => types.iter().copied().map(Some).collect(),
        };
        let Self { purposes, period, classes, data_ms, .. } = *self;
        let row = |actor: &String, resource_type| Rule {
            place,
            last,
            permits,
            actor: actor.clone(),
            purposes,
            period,
            resource_type,
            classes,
            data_ms,
        };
        actors.iter().flat_map(|actor| types.iter().map(move |t| row(actor, *t))).collect()
    }
}

/// The ODS code of an actor.
fn organisation(actor: &Tree<'_>) -> Option<String> {
    let identifier = actor.get("reference")?.get("identifier")?;
    let is_ods = identifier.text("system") == Some(ODS_CODE);
    identifier.text("value").filter(|_| is_ods).map(str::to_ascii_uppercase)
}

fn of_class(class: &Tree<'_>) -> Option<ResourceType> {
    class.text("code")?.parse().ok()
}

/// What of `span` lies within a Period.
fn within(span: (i64, i64), period: &Tree<'_>, unit: impl Fn(i64) -> i64) -> (i64, i64) {
    let end = |name| period.text(name).and_then(Interval::parse);
    let low = end("start").map_or(span.0, |start| unit(start.low).max(span.0));
    let high = end("end").map_or(span.1, |end| unit(end.high).min(span.1));
    (low, high)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn compiled(members: &str) -> Option<Consent> {
        let text = format!(
            r#"{{"resourceType":"Consent","status":"active","scope":{{"coding":[{{"code":"patient-privacy"}}]}},"patient":{{"reference":"Patient/p"}}{members}}}"#
        );
        let tree = Tree::parse(text.as_bytes()).unwrap();
        compile(&tree, 77, |reference| reference.strip_prefix("Patient/").map(str::to_owned))
    }

    fn rules(provision: &str) -> Vec<Rule> {
        compiled(&format!(r#","provision":{provision}"#)).unwrap().rules
    }

    fn actor(code: &str) -> String {
        format!(
            r#"{{"role":{{}},"reference":{{"identifier":{{"system":"{ODS_CODE}","value":"{code}"}}}}}}"#
        )
    }

    #[test]
    fn a_base_policy_is_told_by_its_type_or_rule_and_else_denies() {
        for (members, permits) in [
            (r#","provision":{"type":"deny"}"#, false),
            (r#","provision":{"type":"permit"}"#, true),
            (r#","policyRule":{"coding":[{"code":"OPTIN"}]}"#, true),
            (r#","policyRule":{"coding":[{"code":"OPTOUT"}]}"#, false),
            ("", false),
        ] {
            let consent = compiled(members).unwrap();
            assert_eq!(consent.rules.len(), 1, "{members}");
            assert_eq!(consent.rules[0].permits, permits, "{members}");
            assert_eq!((consent.lane, consent.made), (Lane::PRIVACY, 77));
        }
    }

    #[test]
    fn what_is_within_is_an_exception_to_what_is_around_it() {
        let all = rules(&format!(
            r#"{{"type":"deny","provision":[{{"type":"permit","actor":[{}],"provision":[{{"type":"deny","class":[{{"code":"Condition"}}]}}]}},{{"type":"permit","purpose":[{{"code":"ETREAT"}}]}}]}}"#,
            actor("rx1")
        ));
        let places: Vec<_> = all.iter().map(|r| (r.place, r.last, r.permits)).collect();
        assert_eq!(places, [(0, 3, false), (1, 2, true), (2, 2, false), (3, 3, true)]);
        assert_eq!(all[1].actor, "RX1");
        assert_eq!(
            (all[2].actor.as_str(), all[2].resource_type.unwrap().as_str()),
            ("RX1", "Condition")
        );
        assert_eq!(all[3].purposes, purpose(Purpose::Emergency));
    }

    #[test]
    fn what_cannot_be_told_denies() {
        for untold in [
            r#""actor":[{"reference":{"reference":"CareTeam/1"}}]"#,
            r#""action":[{"coding":[{"code":"correct"}]}]"#,
            r#""purpose":[{"code":"SOMETHING"}]"#,
            r#""securityLabel":[{"code":"N"}]"#,
            r#""class":[{"code":"no type"}]"#,
            r#""code":[{"text":"x"}]"#,
        ] {
            let permits =
                format!(r#"{{"type":"deny","provision":[{{"type":"permit",{untold}}}]}}"#);
            assert_eq!(rules(&permits).len(), 1, "{untold}: the exception is not made");
            let denies = format!(r#"{{"type":"permit","provision":[{{"type":"deny",{untold}}}]}}"#);
            let denied = rules(&denies).pop().unwrap();
            assert!(!denied.permits && denied.actor.is_empty() && denied.classes == 0, "{untold}");
            assert_eq!((denied.purposes, denied.resource_type), (ANY_PURPOSE, None), "{untold}");
        }
        let root = rules(r#"{"type":"permit","action":[{"coding":[{"code":"access"}]}]}"#);
        assert!(!root[0].permits, "a root that cannot be told permits nothing");
    }

    #[test]
    fn who_is_in_no_two_lists_meets_nothing() {
        let all = rules(&format!(
            r#"{{"type":"deny","actor":[{}],"provision":[{{"type":"permit","actor":[{}]}}]}}"#,
            actor("A1"),
            actor("B1")
        ));
        assert_eq!(all.last().unwrap().purposes, 0);
    }

    #[test]
    fn a_day_alone_is_the_end_of_it_where_something_is_denied() {
        let made = |kind: &str| {
            let members = format!(r#","dateTime":"2024-05-01","provision":{{"type":"{kind}"}}"#);
            compiled(&members).unwrap().made
        };
        assert_eq!(made("deny") - made("permit"), 86_400_000_000 - 1);
    }

    #[test]
    fn only_active_consents_of_a_lane_count_and_the_opt_out_is_for_other_uses() {
        assert!(compiled(r#","x":1"#).is_some());
        let read =
            |text: &str| compile(&Tree::parse(text.as_bytes()).unwrap(), 0, |r| Some(r.into()));
        let patient = r#""patient":{"reference":"Patient/p"}"#;
        let category = r#""category":[{"coding":[{"system":"urn:shared-record:consent-category","code":"national-data-opt-out"}]}]"#;
        assert!(read(&format!(r#"{{"status":"inactive",{category},{patient}}}"#)).is_none());
        assert!(read(&format!(r#"{{"status":"active",{patient}}}"#)).is_none());
        let opted = read(&format!(r#"{{"status":"active",{category},{patient}}}"#)).unwrap();
        assert_eq!(opted.lane, Lane::OPT_OUT);
        assert_eq!(opted.rules[0].purposes, purpose(Purpose::SecondaryUses));
        assert!(!opted.rules[0].permits);
    }

    #[test]
    fn one_with_more_rules_than_are_kept_denies_everything() {
        let one = r#"{"type":"permit","class":[{"code":"Condition"}]}"#;
        let many = vec![one; RULES_MAX + 10].join(",");
        let all = rules(&format!(r#"{{"type":"permit","provision":[{many}]}}"#));
        assert_eq!(all.len(), 1);
        assert!(!all[0].permits);
    }
}
