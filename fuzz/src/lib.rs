//! What a stranger can send, tried with inputs that nobody thought of.
//!
//! | target | input | what must hold, besides that nothing panics |
//! |---|---|---|
//! | [`resource`] | a request's body | what validates can be indexed and drafted; what is stored validates, says the same, and is found by the same |
//! | [`search`] | a byte for the type, then a query string | what is accepted is SQL that SQLite prepares, with one argument for each placeholder; the self link asks the same again |
//! | [`cursor`] | a page link's secret, or what one holds | only what was sealed opens; where it leads is SQL again |
//! | [`json_patch`] | a byte for the resource, then a JSON Patch | what comes out is a JSON object that can be validated |
//! | [`fhirpath_patch`] | a byte for the resource, then Parameters | the same |
//!
//! ```text
//! fuzz/run 30              every target for 30 seconds, as CI does
//! fuzz/run 600 search      one target for ten minutes
//! fuzz/run --again FILE search   one input once more, with the panic's place
//! ```
//!
//! libFuzzer is guided by coverage and by comparisons. Both come from LLVM passes that stable Rust can
//! ask for, so `fuzz/run` needs a C++ compiler and no nightly. There is no address sanitizer: all our
//! crates forbid `unsafe`. Inputs that reach new code are kept in `target/fuzz/corpus`, one that fails
//! in `target/fuzz/failed`; `fuzz/seeds` holds where to begin, and the published examples are added if they
//! are beside this project.

mod link;
mod patch;
mod query;
mod text;

pub use link::cursor;
pub use patch::{fhirpath_patch, json_patch};
pub use query::search;
pub use text::resource;

use std::sync::LazyLock;

use hub::store::vocabulary::Vocabulary;

/// Our FHIR base.
const BASE: &str = "http://hub.test/FHIR/R4";
/// 2026-11-23, in microseconds since 1970.
const NOW: i64 = 1_795_392_000_000_000;

/// A store's terms, as one has them that was just made.
static TERMS: LazyLock<Vocabulary> = LazyLock::new(|| Vocabulary::of_no_store(BASE));

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// A seed that is refused leads nowhere.
    #[test]
    fn every_seed_is_understood() {
        for (target, run) in [
            ("resource", resource as fn(&[u8]) -> bool),
            ("search", search),
            ("cursor", cursor),
            ("json_patch", json_patch),
            ("fhirpath_patch", fhirpath_patch),
        ] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
            let seeds = fs::read_dir(folder).expect("each target has seeds");
            for seed in seeds.map(|entry| entry.unwrap().path()) {
                assert!(run(&fs::read(&seed).unwrap()), "{} is refused", seed.display());
            }
        }
    }
}
