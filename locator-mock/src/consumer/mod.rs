//! What a consumer asks about a patient. One file for each interaction.

mod count;
mod read;
mod search;

pub(crate) use count::count;
pub(crate) use read::read;
pub(crate) use search::{search, search_by_post};
