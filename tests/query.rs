//! `gateway query`: a person at a terminal sees one record of many regions, and above it what is
//! missing.

use serde_json::Value;
use shared_record::world::{Layout, World, demo_regions};
use tempfile::TempDir;

use crate::kit::{
    Http, Process, READY_TIME_MAX, REGISTRATION_TIME_MAX, eventually, free_ports, in_mode, numbers,
    record, write_config,
};

/// Three regions with the records of one patient in two of them.
struct Asked {
    world: World,
    folder: TempDir,
    number: String,
}

/// What a process ended with.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Asked {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let layout = Layout {
            regions: demo_regions(),
            base_port: None,
            state: folder.path().to_owned(),
            deadline_ms: 8_000,
        };
        let world = World::start(&layout).await.unwrap();
        let (http, number) = (Http::new(), numbers().next().unwrap());
        for (region, values) in [(0, &["36.60", "37.10"][..]), (1, &["39.50"])] {
            let hub = &world.sites[region].hub_url;
            http.transact(hub, record(&number, values)).await.unwrap().ok();
        }
        eventually("the locator knows both regions", REGISTRATION_TIME_MAX, async || {
            let known = http.custodians(&world.locator_url, &number).await;
            (known.len() == 2).then_some(())
        })
        .await;
        Self { world, folder, number }
    }

    /// The file of the first region's gateway, which runs: its ports are taken. `dead` is a region
    /// that is dialled where nobody listens.
    fn config(&self, dead: Option<usize>, locator: &str) -> String {
        let site = &self.world.sites[0];
        let listen = site.gateway_url.trim_start_matches("http://").split('/').next().unwrap();
        let nowhere = format!("http://127.0.0.1:{}/FHIR/R4", free_ports(1));
        let regions = self.world.sites.iter().enumerate().map(|(place, site)| {
            let url = if dead == Some(place) { &nowhere } else { &site.hub_url };
            let (ods, name) = (&site.region.ods, &site.region.name);
            format!("[[regions]]\nods = \"{ods}\"\nname = \"{name}\"\nnation = \"england\"\nurl = \"{url}\"\n")
        });
        format!(
            "[server]\nlisten = \"{listen}\"\npublic_url = \"{}\"\n[admin]\nlisten = \"{listen}\"\n\
             [region]\nods = \"{}\"\nname = \"Home\"\nnation = \"england\"\n\
             [locator]\nurl = \"{locator}\"\n[security]\nmode = \"open\"\n[audit]\ndir = \"{}\"\n{}",
            site.gateway_url,
            site.region.ods,
            self.folder.path().join("journal").display(),
            regions.collect::<String>()
        )
    }

    async fn query(&self, config: &str, words: &[&str]) -> Ended {
        let file = write_config(self.folder.path(), config);
        let arguments = [&["query"], words, &["--config", &file]].concat();
        let mut process = Process::start(self.folder.path(), "gateway", &arguments);
        let code = process.ended(READY_TIME_MAX).await.code();
        Ended { code, stdout: process.stdout(), stderr: process.stderr() }
    }
}

/// Where `words` stand in what was printed.
fn place(printed: &str, words: &str) -> usize {
    printed.find(words).unwrap_or_else(|| panic!("{words:?} is not in:\n{printed}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_shows_one_record_newest_first_and_what_is_missing_above_it() {
    let asked = Asked::start().await;
    let whole = asked.config(None, &asked.world.locator_url);
    let shown = asked.query(&whole, &[&asked.number]).await;
    assert_eq!((shown.code, &*shown.stderr), (Some(0), ""), "{}", shown.stdout);
    let (stdout, sites) = (&shown.stdout, &asked.world.sites);
    for site in &sites[..2] {
        let line = stdout.lines().find(|line| line.contains(" ms "));
        assert!(line.is_some_and(|line| line.contains("ok") || line.contains("empty")), "{stdout}");
        assert!(stdout.contains(&format!("{} ({})", site.region.name, site.region.ods)));
    }
    let order = ["Complete: nothing is missing.", "DATE", "2026-03-02 10:00", "2026-03-01 10:00"];
    let places: Vec<_> = order.iter().map(|words| place(stdout, words)).collect();
    assert!(places.is_sorted(), "{stdout}");
    for value in ["36.60 Cel; final", "37.10 Cel; final", "39.50 Cel; final"] {
        assert_eq!(stdout.matches(value).count(), 1, "{stdout}");
    }
    let journal = asked.folder.path().join("journal").join("gateway-QWO-audit.ndjson");
    let journal = std::fs::read_to_string(journal).unwrap();
    assert!(journal.contains("/FHIR/R4/Observation/_search") && journal.contains(&asked.number));

    let partial = asked.config(Some(1), &asked.world.locator_url);
    let shown = asked.query(&partial, &[&asked.number, "Observation"]).await;
    assert_eq!(shown.code, Some(69), "{}", shown.stdout);
    let missing =
        format!("!! {} ({}) could not be reached", sites[1].region.name, sites[1].region.ods);
    let order = ["unreachable", "!! INCOMPLETE", &missing, "DATE", "36.60"];
    let places: Vec<_> = order.iter().map(|words| place(&shown.stdout, words)).collect();
    assert!(places.is_sorted(), "{}", shown.stdout);
    assert!(!shown.stdout.contains("39.50") && !shown.stdout.contains("Complete"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_for_json_prints_the_merged_bundle_and_nothing_else() {
    let asked = Asked::start().await;
    let whole = asked.config(None, &asked.world.locator_url);
    let words = [&*asked.number, "Observation", "Encounter", "--json"];
    let printed = asked.query(&whole, &words).await;
    assert_eq!((printed.code, &*printed.stderr), (Some(0), ""));
    let bundle: Value = serde_json::from_str(&printed.stdout).unwrap();
    let survey = fhir::validate::validate(printed.stdout.as_bytes()).unwrap();
    let ours = survey.issues.iter().find(|issue| !issue.expression.contains(".resource"));
    assert!(ours.is_none(), "{ours:?}");
    assert_eq!(
        (&bundle["total"], &bundle["meta"]["tag"][0]["code"]),
        (&3.into(), &"complete".into())
    );
    let ordinary = Http::new().observations(&asked.world.sites[0].gateway_url, &asked.number).await;
    assert_eq!(in_mode(&bundle, "match"), in_mode(&ordinary.json(), "match"));
    assert!(printed.stdout.contains("36.60"), "digits are kept");

    let partial = asked.config(Some(1), &asked.world.locator_url);
    let printed = asked.query(&partial, &words).await;
    let bundle: Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!((printed.code, bundle.get("total")), (Some(69), None));
    assert_eq!(bundle["meta"]["tag"][0]["code"], "partial");
    assert_eq!((in_mode(&bundle, "match").len(), in_mode(&bundle, "outcome").len()), (2, 1));
    assert_eq!(bundle["entry"][0]["search"]["mode"], "outcome");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_cannot_be_answered_says_why_in_a_sentence() {
    let asked = Asked::start().await;
    let whole = asked.config(None, &asked.world.locator_url);
    for (words, expected) in [
        (&["9990000051"][..], "number"),
        (&["urn:bogus|1"], "system"),
        (&[&asked.number, "Practitioner"], "Practitioner"),
        (&[&asked.number, "Bogus"], "no resource type"),
    ] {
        let refused = asked.query(&whole, words).await;
        assert_eq!((refused.code, &*refused.stdout), (Some(64), ""), "{}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
        assert!(!refused.stderr.contains("999000005"), "{}", refused.stderr);
    }
    let nobody = format!("http://127.0.0.1:{}", free_ports(1));
    let alone = asked.config(None, &nobody);
    for words in [&[&*asked.number][..], &[&asked.number, "--json"]] {
        let failed = asked.query(&alone, words).await;
        assert_eq!(failed.code, Some(1), "{}", failed.stdout);
        assert!(failed.stderr.contains("The record locator cannot be asked"), "{}", failed.stderr);
        assert!(!failed.stdout.contains('{'), "{}", failed.stdout);
    }
}
