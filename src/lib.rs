//! Shared Record: one record per region, one answer across regions.
//!
//! | room | what lives there |
//! |---|---|
//! | [`world`] | a locator and any number of regions, composed in one process |
//! | [`region`] | one region's hub and gateway in one process |
//! | [`demo`] | three regions, filled over their own APIs, asked one question |
//!
//! The services themselves are crates of their own and never depend on each other; only here do
//! they meet, and they meet over HTTP.

pub mod demo;
pub mod region;
pub mod world;
