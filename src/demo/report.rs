//! What the demonstration prints, for a person.

use std::io::{self, Write};
use std::time::Duration;

use service::config::Nation;
use service::program::ProgramError;

use super::ask::Answer;
use super::load::{Loaded, Plan, Question};
use crate::world::{Site, World};

fn printing(error: io::Error) -> ProgramError {
    ProgramError::failed("printing", error)
}

/// The services are up.
pub(super) fn started(world: &World, took: Duration) -> Result<(), ProgramError> {
    let mut out = io::stdout().lock();
    let regions = world.sites.len();
    writeln!(out, "A locator and {regions} regions started in {} ms.\n", took.as_millis())
        .map_err(printing)
}

/// The records are in.
pub(super) fn loaded(world: &World, loaded: &Loaded) -> Result<(), ProgramError> {
    let mut out = io::stdout().lock();
    let (resources, seconds) = (loaded.resources(), loaded.loading.as_secs_f64());
    let mut write = || {
        writeln!(
            out,
            "{} patients' records sent as {} transactions: {resources} resources in {seconds:.2} s \
             ({:.0} a second, every one on disk).",
            loaded.people,
            loaded.bundles,
            resources as f64 / seconds.max(0.001),
        )?;
        if loaded.known > 0 {
            writeln!(out, "{} were of patients who were in the record already.", loaded.known)?;
        }
        for ((site, created), found) in world.sites.iter().zip(&loaded.created).zip(&loaded.found) {
            let (created, found): (u64, u64) = (created.values().sum(), found.values().sum());
            writeln!(
                out,
                "  {:4} {:30} {created:>7} in, {found:>7} out",
                site.region.ods, site.region.name
            )?;
        }
        let waited = loaded.registering.as_millis();
        writeln!(out, "The locator knew every one of them {waited} ms later.\n")
    };
    write().map_err(printing)
}

/// The answer.
pub(super) fn answer(
    world: &World,
    question: &Question,
    answer: &Answer,
) -> Result<(), ProgramError> {
    let mut out = io::stdout().lock();
    let mut write = || {
        let milliseconds = answer.took.as_secs_f64() * 1_000.0;
        writeln!(
            out,
            "Asked the gateway of {}: every Observation of {} (number {}).",
            answer.gateway,
            question.who,
            question.number.value()
        )?;
        let matches: u64 = answer.matches.values().sum();
        writeln!(out, "Answered in {milliseconds:.1} ms: {matches} observations.")?;
        for Site { region, .. } in &world.sites {
            if let Some(count) = answer.matches.get(region.ods.as_str()) {
                writeln!(out, "  {:4} {:30} {count:>7}", region.ods, region.name)?;
            }
        }
        writeln!(out, "Regions: {}", answer.regions)?;
        match (answer.complete, answer.total) {
            (true, Some(total)) => writeln!(out, "Complete: {total} in all, nothing is missing.")?,
            (true, None) => writeln!(out, "Complete: nothing is missing.")?,
            (false, _) => writeln!(out, "INCOMPLETE: something is missing.")?,
        }
        for remark in &answer.remarks {
            writeln!(out, "  {remark}")?;
        }
        writeln!(out)
    };
    write().map_err(printing)
}

/// Where to go from here.
pub(super) fn invitation(world: &World, plan: &Plan) -> Result<(), ProgramError> {
    let mut out = io::stdout().lock();
    let scotland = world.sites.iter().find(|site| site.region.nation == Nation::Scotland);
    let mut write = || {
        writeln!(out, "Try it:")?;
        writeln!(out, "  locator  {}", world.locator_url)?;
        for site in &world.sites {
            writeln!(out, "  {:4} hub      {}", site.region.ods, site.hub_url)?;
            writeln!(out, "       gateway  {}", site.gateway_url)?;
        }
        writeln!(out)?;
        curl(&mut out, &world.sites[0], &plan.question)?;
        if let (Some(question), Some(scotland)) = (&plan.across_the_border, scotland) {
            curl(&mut out, scotland, question)?;
        }
        writeln!(out, "\nCtrl-C stops it.")
    };
    write().map_err(printing)
}

/// A line that works when pasted.
fn curl(out: &mut impl Write, site: &Site, question: &Question) -> io::Result<()> {
    let token = format!("{}|{}", question.number.system(), question.number.value());
    writeln!(out, "  # {}", question.who)?;
    writeln!(
        out,
        "  curl -s -d 'patient.identifier={token}' {}/Observation/_search",
        site.gateway_url
    )
}
