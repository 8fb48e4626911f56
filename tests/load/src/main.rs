//! Load for any FHIR base URL, and for several of them side by side.
//!
//! | room | what lives there |
//! |---|---|
//! | [`import`], [`crud`], [`search`], [`read`], [`create`] | the workloads; `federated` is a search of given paths |
//! | [`queries`] | the searches that have a name, and what is right for each |
//! | [`mod@drive`] | the closed and the open loop |
//! | [`target`], [`sample`], [`resources`], [`copies`] | the server, what is on it, and what is written to it |
//! | [`tally`], [`usage`], [`report`], [`machine`] | what is counted, and how and with what it is printed |
//! | [`regions`] | what a gateway is measured with |
//!
//! Every run ends by itself. A wrong answer is an error; a run with errors shows them and fails.

mod copies;
mod create;
mod crud;
mod drive;
mod import;
mod machine;
mod queries;
mod read;
mod regions;
mod report;
mod resources;
mod sample;
mod search;
#[cfg(test)]
mod stub;
mod tally;
mod target;
mod usage;

use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use reqwest::header::{HeaderName, HeaderValue};

use drive::{Plan, Work, drive};
use tally::Tally;
use target::{Reach, Target};
use usage::Usage;

/// Measures a FHIR server, or several in one run.
#[derive(Debug, Parser)]
#[command(name = "load", version)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Measure(Workload),
    /// Be the regions that a gateway is measured with, and their locator, until stopped.
    Regions(regions::Regions),
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
struct Options {
    /// FHIR base URL of the server to measure.
    #[arg(long, global = true, default_value = "http://127.0.0.1:8411/FHIR/R4")]
    base: String,
    /// FHIR base URL of another server, measured in turn with the first; as often as wanted.
    #[arg(long, global = true)]
    compare: Vec<String>,
    /// The servers' processes, of which processor time and memory are told; 0 for one that is not ours.
    #[arg(long = "pid", global = true, value_delimiter = ',')]
    pids: Vec<u32>,
    /// Requests in flight; a list is run one number after the other.
    #[arg(long, global = true, value_delimiter = ',', default_value = "8")]
    workers: Vec<usize>,
    /// Seconds for each server, round and number of workers; import ends with its files.
    #[arg(long, global = true)]
    seconds: Option<f64>,
    /// Seconds of the same work beforehand that are not counted.
    #[arg(long, global = true, default_value = "1")]
    warm_up_seconds: f64,
    /// How often the servers take turns; the rate that is printed is the middle one. Import shares
    /// its Bundles out among the rounds.
    #[arg(long, global = true, default_value = "1")]
    rounds: u32,
    /// How durable an acknowledged write is on the server, for the report; once for each server.
    #[arg(long, global = true)]
    durability: Vec<String>,
    /// Open loop: this many units fall due each second, whatever the server does.
    #[arg(long, global = true)]
    rate: Option<f64>,
    /// Seconds within which a request must be answered.
    #[arg(long, global = true, default_value = "60")]
    timeout_seconds: u64,
    /// A header on every request, as `Name: value`.
    #[arg(long = "header", global = true, value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Speak HTTP/2 from the first byte.
    #[arg(long, global = true)]
    http2: bool,
    /// Print JSON lines instead of a table.
    #[arg(long, global = true)]
    json: bool,
    /// Succeed although requests failed.
    #[arg(long, global = true)]
    allow_errors: bool,
    /// Load a server that is not on this machine.
    #[arg(long, global = true)]
    allow_remote: bool,
}

#[derive(Debug, Subcommand)]
enum Workload {
    /// Post every Bundle file of a folder once, or many copies in which everyone is someone else.
    Import {
        /// The folder.
        #[arg(long)]
        data: PathBuf,
        /// How often.
        #[arg(long, default_value = "1")]
        copies: u64,
        /// The number of the first copy; 0 is the folder itself.
        #[arg(long, default_value = "0")]
        first_copy: u64,
    },
    /// Create, read, update and delete resources of nine types.
    Crud,
    /// Search with values sampled from the server; every query is measured apart.
    Search {
        /// The name of a search (without any, all are measured), or a template with places for
        /// {patient} and {family}, and of one of the patient's Observations {code}, {month} and
        /// {quantity}: `Condition?patient={patient}&_count=20`.
        #[arg(long = "query")]
        queries: Vec<String>,
    },
    /// Read sampled resources by id.
    Read,
    /// Create one small Observation a request.
    Create,
    /// Ask a gateway given paths, in turn.
    Federated {
        /// A path below the base with its query, as often as wanted.
        #[arg(long = "query", required = true)]
        queries: Vec<String>,
    },
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a header is written as Name: value")?;
    let name = name.trim().parse().map_err(|_| "this is not the name of a header")?;
    let value = value.trim().parse().map_err(|_| "this is not the value of a header")?;
    Ok((name, value))
}

/// Exit code for a command that cannot be carried out as given (sysexits.h, EX_USAGE).
const USAGE: u8 = 64;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let failed = match run(&cli).await {
        Ok(failed) => failed,
        Err(problem) => {
            // Nothing is left to do if the terminal is gone.
            let _ = writeln!(io::stderr(), "load: {problem}");
            return ExitCode::from(USAGE);
        }
    };
    if failed > 0 && !cli.options.allow_errors { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Does what was asked for, and returns how many requests failed.
async fn run(cli: &Cli) -> Result<u64, String> {
    match &cli.command {
        Command::Measure(workload) => measure(&cli.options, workload).await,
        Command::Regions(regions) => regions.serve().await.map(|()| 0),
    }
}

/// Runs a workload on every server and returns how many requests failed.
async fn measure(options: &Options, workload: &Workload) -> Result<u64, String> {
    let bench = Bench::new(options)?;
    bench.head().await?;
    match workload {
        Workload::Import { data, copies, first_copy } => {
            let (folder, first_copy) = (import::Folder::read(data)?, *first_copy);
            let units = folder.len() * copies;
            let import = async |target: &Target| {
                let (target, folder) = (target.clone(), folder.clone());
                Ok(import::Import { target, folder, first_copy })
            };
            bench.measure_units("import", units, import).await
        }
        Workload::Crud => {
            let crud = async |target: &Target| Ok(crud::Crud { target: target.clone() });
            bench.measure("crud", crud).await
        }
        Workload::Search { queries } => bench.search(queries).await,
        Workload::Read => bench.measure("read", async |target| read::Read::new(target).await).await,
        Workload::Create => {
            bench.measure("create", async |target| create::Create::new(target).await).await
        }
        Workload::Federated { queries } => {
            let paths: Vec<String> =
                queries.iter().map(|query| query.trim_start_matches('/').to_owned()).collect();
            let ask = async |target: &Target| {
                Ok(search::Search::of_paths(target, "query", paths.clone()))
            };
            bench.measure("federated", ask).await
        }
    }
}

/// The servers and how they are measured.
#[derive(Debug)]
struct Bench<'a> {
    options: &'a Options,
    targets: Vec<Target>,
}

impl<'a> Bench<'a> {
    fn new(options: &'a Options) -> Result<Self, String> {
        let finite = |seconds: f64| (0.0..=86_400.0).contains(&seconds);
        if options.workers.contains(&0) || options.rounds == 0 {
            return Err("--workers and --rounds must be at least 1".to_owned());
        }
        if options.rate.is_some_and(|rate| !(rate > 0.0 && rate <= 1e6)) {
            return Err("--rate must be more than 0 and at most a million".to_owned());
        }
        if !finite(options.seconds.unwrap_or(1.0)) || !finite(options.warm_up_seconds) {
            return Err("--seconds must be between 0 and a day".to_owned());
        }
        let reach = Reach {
            remote: options.allow_remote,
            http2: options.http2,
            timeout: Duration::from_secs(options.timeout_seconds),
            headers: options.headers.clone(),
        };
        let bases = std::iter::once(&options.base).chain(&options.compare);
        let targets = bases.map(|base| Target::new(base, &reach)).collect::<Result<_, _>>()?;
        Ok(Self { options, targets })
    }

    /// Prints what is measured, and where.
    async fn head(&self) -> Result<(), String> {
        let machine = machine::describe(&self.targets, &self.options.durability).await;
        let out = &mut io::stdout().lock();
        let printed = if self.options.json {
            writeln!(out, "{machine}")
        } else {
            report::head(out, &machine)
        };
        printed.map_err(unprintable)
    }

    async fn search(&self, queries: &[String]) -> Result<u64, String> {
        let named: Vec<String> = search::names().map(str::to_owned).collect();
        let queries = if queries.is_empty() { &named } else { queries };
        let mut failed = 0;
        for query in queries {
            let prepare = async |target: &Target| {
                let sample = sample::sample(target).await?;
                search::Search::new(target, query, &sample).await
            };
            failed += self.measure("search", prepare).await?;
        }
        Ok(failed)
    }

    /// Measures work that lasts as long as it is told to, after warming up.
    async fn measure<W: Work>(
        &self,
        workload: &'static str,
        prepare: impl AsyncFn(&Target) -> Result<W, String>,
    ) -> Result<u64, String> {
        let works = self.prepare(prepare).await?;
        let seconds = self.options.seconds.unwrap_or(10.0);
        let warm_up = Duration::from_secs_f64(self.options.warm_up_seconds);
        let mut failed = 0;
        for &workers in &self.options.workers {
            let plan = self.plan(workers, seconds, u64::MAX);
            for work in &works {
                let plan = Plan { duration: warm_up, rate: None, ..plan.clone() };
                drive(Arc::clone(work), plan).await;
            }
            failed += self.compare(workload, &works, &plan).await?;
        }
        Ok(failed)
    }

    /// Measures work that has an end of its own.
    async fn measure_units<W: Work>(
        &self,
        workload: &'static str,
        units: u64,
        prepare: impl AsyncFn(&Target) -> Result<W, String>,
    ) -> Result<u64, String> {
        let works = self.prepare(prepare).await?;
        let seconds = self.options.seconds.unwrap_or(3600.0);
        let mut failed = 0;
        for &workers in &self.options.workers {
            failed += self.compare(workload, &works, &self.plan(workers, seconds, units)).await?;
        }
        Ok(failed)
    }

    async fn prepare<W: Work>(
        &self,
        prepare: impl AsyncFn(&Target) -> Result<W, String>,
    ) -> Result<Vec<Arc<W>>, String> {
        let mut works = Vec::new();
        for target in &self.targets {
            works.push(Arc::new(prepare(target).await?));
        }
        Ok(works)
    }

    fn plan(&self, workers: usize, seconds: f64, units_max: u64) -> Plan {
        let duration = Duration::from_secs_f64(seconds);
        Plan { workers, duration, rate: self.options.rate, units: 0..units_max }
    }

    /// Lets the servers take turns and prints what came of it.
    async fn compare<W: Work>(
        &self,
        workload: &'static str,
        works: &[Arc<W>],
        plan: &Plan,
    ) -> Result<u64, String> {
        let mut rounds: Vec<Vec<Tally>> = works.iter().map(|_| Vec::new()).collect();
        let mut usage = vec![None; works.len()];
        for round in 0..u64::from(self.options.rounds) {
            for (at, work) in works.iter().enumerate() {
                let units = self.share(&plan.units, round);
                let before = self.usage(at);
                let tally = drive(Arc::clone(work), Plan { units, ..plan.clone() }).await;
                let used = self.usage(at).zip(before).map(|(after, before)| after.since(before));
                usage[at] = Usage::sum(usage[at], used);
                rounds[at].push(tally);
            }
        }
        let servers = self.targets.iter().map(|target| target.base().to_owned());
        let counted = servers.zip(rounds).zip(usage);
        let sides: Vec<report::Side> = counted
            .map(|((server, rounds), usage)| report::Side::new(server, rounds, usage))
            .collect();
        let failed = sides.iter().map(|side| side.total.failed()).sum();
        let result = report::Result { workload, workers: plan.workers, rate: plan.rate, sides };
        let out = &mut io::stdout().lock();
        let print = if self.options.json { report::lines } else { report::table };
        print(out, &result).map_err(unprintable)?;
        Ok(failed)
    }

    /// What a server's process has used until now, if it is known which it is.
    fn usage(&self, server: usize) -> Option<Usage> {
        self.options.pids.get(server).and_then(|pid| Usage::of(*pid))
    }

    /// A round's units: all, if they have no end; else its share.
    fn share(&self, units: &Range<u64>, round: u64) -> Range<u64> {
        if units.end == u64::MAX {
            return units.clone();
        }
        let rounds = u64::from(self.options.rounds);
        units.end * round / rounds..units.end * (round + 1) / rounds
    }
}

fn unprintable(error: io::Error) -> String {
    format!("the result cannot be printed: {error}")
}

#[cfg(test)]
mod tests;
