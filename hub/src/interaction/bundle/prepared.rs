//! A transaction's writes in the specification's order, and what becomes of each entry.

use service::caller::Caller;
use service::refusal::Refusal;

use super::entry::Job;
use super::parsed::Parsed;
use super::roles::{Role, id};
use super::within;
use crate::Hub;
use crate::interaction::done::Done;
use crate::interaction::links::Links;
use crate::interaction::perform::{Told, plan};
use crate::interaction::resolve::Resolved;
use crate::store::write::{Write, Written};

/// What becomes of an entry, before and after it is written.
pub(super) enum Slot {
    /// It is known before anything is written.
    Known(Done),
    /// What the write whose turn this is does.
    Written { turn: usize, name: String, told: Told },
    /// What another entry does.
    SameAs(usize),
    /// It reads.
    Ask,
}

/// The writes in their order, and what becomes of each entry.
pub(super) struct Prepared {
    /// The writes.
    pub writes: Vec<Write>,
    /// For each write, the place of its entry.
    pub places: Vec<usize>,
    /// For each entry, what becomes of it.
    pub slots: Vec<Slot>,
}

/// Prepares every write, in the specification's order.
pub(super) fn prepare(
    hub: &Hub,
    caller: &Caller,
    parsed: &Parsed,
    roles: Vec<Role>,
    links: &Links,
) -> Result<Prepared, Refusal> {
    let mut slots = Vec::with_capacity(roles.len());
    let mut turns = Vec::with_capacity(roles.len());
    for (place, role) in roles.into_iter().enumerate() {
        let Job::Write(intent) = &parsed.jobs[place] else {
            slots.push(Slot::Ask);
            continue;
        };
        let name = format!("{}/{}", intent.resource_type, id(&role).unwrap_or_default());
        slots.push(match role {
            Role::Ask => Slot::Ask,
            Role::SameAs(first) => Slot::SameAs(first),
            Role::Own(Resolved::Nothing) => Slot::Known(Done::nothing(intent.resource_type)),
            Role::Own(Resolved::Found { version, .. }) => Slot::Known(Done::found(&name, &version)),
            Role::Own(Resolved::Write { id, before }) => {
                let text = parsed.rewritten(&parsed.entries[place], intent, links, hub.base())?;
                let (order, intent) = intent.clone().with(text);
                let planned = plan(hub, caller, &intent, id, &before);
                let planned = planned.map_err(|refusal| within(place, "", refusal))?;
                let (name, told) = (planned.writes[0].name(), planned.told);
                let writes = planned.writes.into_iter().enumerate();
                turns.extend(writes.map(|(number, write)| (order, place, number == 0, write)));
                Slot::Written { turn: 0, name, told }
            }
        });
    }
    // Stable: entries of one kind keep their order.
    turns.sort_by_key(|(order, ..)| *order);
    let (mut writes, mut places) = (Vec::new(), Vec::new());
    for (number, (_, place, is_told, write)) in turns.into_iter().enumerate() {
        if let (true, Slot::Written { turn, .. }) = (is_told, &mut slots[place]) {
            *turn = number;
        }
        writes.push(write);
        places.push(place);
    }
    Ok(Prepared { writes, places, slots })
}

/// What became of each entry; nothing yet of those that read.
pub(super) fn fill(slots: &[Slot], written: &[Written]) -> Vec<Option<Done>> {
    let done = |slot: &Slot| match slot {
        Slot::Known(done) => Some(done.clone()),
        Slot::Written { turn, name, told } => Some(Done::written(name, *told, &written[*turn])),
        Slot::SameAs(_) | Slot::Ask => None,
    };
    let mut all: Vec<Option<Done>> = slots.iter().map(done).collect();
    for (place, slot) in slots.iter().enumerate() {
        if let Slot::SameAs(first) = slot {
            all[place] = all[*first].as_ref().map(Done::seen_again);
        }
    }
    all
}
