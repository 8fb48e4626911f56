//! Writes the tables of `fhir/src/definitions` from HL7's published R4 definitions.
//!
//! `cargo run -p fhir --example derive -- FOLDER`, where FOLDER holds `profiles-resources.json.gz`,
//! `profiles-types.json.gz`, `search-parameters.json.gz`, `valuesets.json.gz`,
//! `v2-tables.json.gz` and `v3-codesystems.json.gz` of FHIR 4.0.1.
//! The tables are committed: this runs again only when a definition or a table's form changes.
//!
//! | room | writes |
//! |---|---|
//! | [`amend`] | nothing: it takes out what is not R4 |
//! | [`elements`] | `resource-types.tsv`, `elements.tsv`: every member of every resource, type and backbone |
//! | [`search`] | `search-parameters.tsv`: expressions compiled to JSON member paths by the crate's own compiler |
//! | [`compartments`] | `compartments.tsv`: which parameters put a resource into a compartment |
//! | [`hierarchy`] | `code-hierarchies.tsv`: which codes are below which |
//! | [`value_sets`] | `value-sets.tsv`: the codes of the value sets that required bindings name |

mod amend;
mod compartments;
mod elements;
mod hierarchy;
mod search;
mod value_sets;

use std::fs::File;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let folder = std::env::args_os().nth(1).ok_or("say which folder holds the R4 definitions")?;
    let folder = PathBuf::from(folder);
    let resources = resources(&folder, "profiles-resources")?;
    let types = resources_and_types(&folder, &resources)?;
    let schema = elements::Schema::read(&types);
    let mut terminology = self::resources(&folder, "valuesets")?;
    let systems = search::systems(&terminology);
    terminology.extend(self::resources(&folder, "v2-tables")?);
    terminology.extend(self::resources(&folder, "v3-codesystems")?);
    let parameters = self::resources(&folder, "search-parameters")?;

    write("resource-types.tsv", &schema.resource_types())?;
    write("elements.tsv", &schema.table())?;
    write("value-sets.tsv", &value_sets::table(&schema.value_sets(), &terminology))?;
    write("search-parameters.tsv", &search::table(&schema, &systems, &parameters))?;
    write("compartments.tsv", &compartments::table(&resources))?;
    write("code-hierarchies.tsv", &hierarchy::table(&terminology))
}

fn resources_and_types(folder: &Path, resources: &[Value]) -> Result<Vec<Value>, Failure> {
    let mut all = self::resources(folder, "profiles-types")?;
    all.extend(resources.iter().cloned());
    all.retain(|resource| resource["resourceType"] == "StructureDefinition");
    Ok(all)
}

/// The resources of a gzipped collection Bundle.
fn resources(folder: &Path, name: &str) -> Result<Vec<Value>, Failure> {
    let file = File::open(folder.join(format!("{name}.json.gz")))?;
    let mut bundle: Value = serde_json::from_reader(std::io::BufReader::new(GzDecoder::new(file)))?;
    let entries = bundle["entry"].as_array_mut().ok_or("no Bundle")?;
    Ok(entries.iter_mut().map(|entry| entry["resource"].take()).collect())
}

fn write(name: &str, table: &str) -> Result<(), Failure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/definitions");
    Ok(std::fs::write(folder.join(name), table)?)
}

/// The text of a member, or nothing.
fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_default()
}

/// The items of a member, or none.
fn items<'v>(value: &'v Value, member: &str) -> &'v [Value] {
    value[member].as_array().map_or(&[], Vec::as_slice)
}

/// What follows the last `/` of a canonical URL, without its version.
fn last_part(url: &str) -> &str {
    let url = url.split('|').next().unwrap_or(url);
    url.rsplit('/').next().unwrap_or(url)
}
