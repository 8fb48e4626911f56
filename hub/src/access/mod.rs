//! What a caller may see of the record. In enforced mode it is decided once a request, as a [`View`], and
//! ANDed into every query: what is hidden influences no answer, and cannot be told from what is not there.
//! The region itself (open mode, and who is at its machine) sees everything.
//!
//! | room | what lives there |
//! |---|---|
//! | [`decision`] | the table: who asks, and why -> a [`View`] |
//! | [`label`] | security labels, as classes |
//! | [`consent`] | a Consent -> rules |
//! | [`place`] | what tells where a patient is to be found, for those who must not be found |
//! | [`policy`] | all that a resource's own text says of who may see it |
//! | [`predicate`] | a view as SQL |
//! | [`sight`] | reading by a view, and leaving out where patients are |
//!
//! **Invariants.** Labels and Consents are taken apart when they are written, in the write's own
//! transaction: whoever asks after it was acknowledged is bound by it, on later pages of a walk and in
//! old versions too. What is not understood hides.

pub mod consent;
pub mod decision;
pub mod label;
pub mod place;
pub mod policy;
pub mod predicate;
pub mod sight;

use std::sync::Arc;

use service::caller::Caller;
use service::refusal::Refusal;

use crate::Hub;
use crate::store::vocabulary::Vocabulary;

/// What a caller may see.
#[derive(Debug, Clone)]
pub struct View {
    /// What binds it; nothing binds the region itself.
    pub bound: Option<Bound>,
}

/// What a caller is bound by.
#[derive(Debug, Clone)]
pub struct Bound {
    /// Classes of labels that hide: see [`label`].
    pub withheld: i64,
    /// The kinds of Consents that count: see [`consent::Lane`].
    pub lanes: &'static [i64],
    /// Its purpose, as [`consent`] knows it.
    pub purpose: i64,
    /// Its organisation's ODS code.
    pub organisation: String,
    /// Numbers of the search parameters that tell where a patient is: see [`place`].
    pub placing: Arc<[i64]>,
    /// When it asks, in microseconds since 1970.
    pub now: i64,
}

impl View {
    /// Of everything.
    pub const fn whole() -> Self {
        Self { bound: None }
    }
}

impl Hub {
    /// What a caller may see now; 403 if its purpose allows nothing.
    pub fn view(&self, caller: &Caller) -> Result<View, Refusal> {
        if caller.mandate.is_own() {
            return Ok(View::whole());
        }
        let decided = decision::decide(&caller.mandate, &self.config.access)?;
        let organisation = caller.organisation.as_str().to_owned();
        let decision::Decided { withheld, lanes, purpose } = decided;
        let (placing, now) = (self.placing.clone(), self.clock.now_micros());
        Ok(View { bound: Some(Bound { withheld, lanes, purpose, organisation, placing, now }) })
    }
}

/// Numbers of the search parameters that tell where a patient is; they are the same in all terms.
pub(crate) fn placing(terms: &Vocabulary) -> Arc<[i64]> {
    let parameters = place::PLACES.iter().flat_map(|place| {
        let of_type = place.resource_type();
        place.parameters.iter().flat_map(move |code| terms.numbers(of_type, code))
    });
    parameters.map(|numbers| numbers.own).collect()
}
