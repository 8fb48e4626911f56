//! Stories of the whole system: real services, real TCP, and processes where something is stopped
//! or killed.
//!
//! | story | what it tells |
//! |---|---|
//! | [`starts`] | each service starts from the fixed keys alone, stops when told, refuses what it must |
//! | [`union`] | a federated answer is what the hubs hold, no more and no less; the demonstration |
//! | [`silence`] | regions and locators that are stopped or dead are told, never hidden |
//! | [`network`] | a network that loses, delays or cuts off what one region says |
//! | [`durability`] | a hub that is killed while it imports, or without power, has everything it acknowledged |
//! | [`cluster`] | two hubs on one PostgreSQL are one record |
//! | [`reindex`] | an index is made anew while hubs serve the record, and are killed |
//! | [`standby`] | a primary dies under load, its standby is promoted, and nothing acknowledged is lost |
//! | [`clients`] | public FHIR clients, unmodified, do with a hub what they are made for |
//! | [`registration`] | the locator learns of every patient, whenever it comes and whoever restarts |
//! | [`abuse`] | clients that are slow on purpose; what every answer says to browsers |
//! | [`query`] | a person at a terminal sees one record, and what is missing from it |
//! | [`tokens`] | hub and gateway are let in by a locator that demands access tokens |
//! | [`enforced`] | nobody is let in without a certificate and a token, and no token goes further than it may |
//! | [`readme`] | what README.md tells people to type works |
//! | [`hazards`] | each hazard that `hazards.md` lists has tests that are there |
//! | [`disk`] | a disk whose power can be cut |
//! | [`kit`] | processes, ports, requests, records and waiting |
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod abuse;
mod clients;
mod cluster;
mod disk;
mod durability;
mod enforced;
mod hazards;
mod kit;
mod network;
mod query;
mod readme;
mod registration;
mod reindex;
mod silence;
mod standby;
mod starts;
mod tokens;
mod union;
