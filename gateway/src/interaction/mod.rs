//! One file for each interaction that the gateway answers.

pub mod capabilities;
pub mod everything;
pub mod read;
pub mod search;
