//! `gateway query NUMBER [TYPE…] --config FILE`: one patient's record across regions, for a person
//! at a terminal.
//!
//! | room | what lives there |
//! |---|---|
//! | [`ask`](mod@ask) | the gateway's own searches, asked in this process and journalled as ever |
//! | [`progress`] | the regions, a line each, while they answer |
//! | [`row`] | what a line of the table says of a resource |
//! | [`table`] | what is missing, then the table, newest first |
//! | [`bundle`] | several types' answers as one searchset |
//! | [`plain`](mod@plain) | text of a record before it reaches a terminal |
//!
//! It opens a gateway of its own by the same file as `gateway serve`, which may be running; no port
//! is opened. A number without a system is an NHS number; any other is given as `system|value`.
//!
//! | exit code | |
//! |---|---|
//! | 0 | everything that matches was shown |
//! | 1 | there is no answer |
//! | 64 | the command or the configuration is wrong |
//! | 69 | something is missing from what was shown |

pub mod ask;
pub mod bundle;
pub mod plain;
pub mod progress;
pub mod row;
pub mod table;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Args;
use fhir::identifier::NHS_NUMBER;
use fhir::outcome::Issue;
use futures::future::join_all;
use service::clock::Clock;
use service::program::{ConfigFile, ProgramError};
use service::refusal::Refusal;
use service::serve::Shutdown;
use tokio::sync::mpsc;
use url::form_urlencoded;

use self::ask::{Answered, Asked, Asker};
use self::plain::{plain, plain_json};
use self::progress::Progress;
use crate::Gateway;
use crate::config::GatewayConfig;
use crate::health::GatewayHealth;
use crate::question::{Handling, Question};
use crate::routes::router;

/// What a clinician wants first: what must not be given, what is wrong, what is taken, what was
/// given, what was measured.
const TYPES: [&str; 6] = [
    "AllergyIntolerance",
    "Condition",
    "MedicationRequest",
    "MedicationStatement",
    "Immunization",
    "Observation",
];
/// The command is wrong.
const USAGE: u8 = 64;
/// Something is missing.
const INCOMPLETE: u8 = 69;

/// What to ask, and how to show it.
#[derive(Debug, Args)]
pub struct Options {
    /// The patient's number: an NHS number, or a CHI or H&C number as system|value
    number: String,
    /// Resource types to ask for; by default allergies, conditions, medication, immunizations and
    /// observations
    #[arg(value_name = "TYPE")]
    types: Vec<String>,
    /// Print the merged Bundle and nothing else
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// Asks, shows, and says by the exit code whether something is missing.
pub async fn run(options: &Options) -> Result<ExitCode, ProgramError> {
    let asked = match asked(options) {
        Ok(asked) => asked,
        Err(refusal) => {
            eprintln!("gateway: {}", said(&refusal.outcome.issue));
            return Ok(ExitCode::from(USAGE));
        }
    };
    let gateway = Gateway::open(GatewayConfig::load(&options.config.file)?, Clock::System)?;
    let health = GatewayHealth { gateway: gateway.clone(), shutdown: Shutdown::default() };
    let asker = Asker { router: router(health) };
    let complete = if options.json {
        json(&asker, &asked).await?
    } else {
        shown(&gateway, &asker, &asked).await?
    };
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) })
}

/// One search for each type, each of them one that the gateway answers.
fn asked(options: &Options) -> Result<Vec<Asked>, Refusal> {
    let number = if options.number.contains('|') {
        options.number.clone()
    } else {
        format!("{NHS_NUMBER}|{}", options.number.replace(' ', ""))
    };
    let mut types: Vec<&str> = options.types.iter().map(String::as_str).collect();
    if types.is_empty() {
        types.extend(TYPES);
    }
    let mut asked: Vec<Asked> = Vec::new();
    for name in types {
        let parameter = if name == "Patient" { "identifier" } else { "patient.identifier" };
        let mut form = form_urlencoded::Serializer::new(String::new());
        let form = form.append_pair(parameter, &number).finish();
        let kind = Question::parse(name, &form, Handling::Strict)?.kind;
        if asked.iter().all(|other| other.kind.name() != kind.name()) {
            asked.push(Asked { kind, form });
        }
    }
    Ok(asked)
}

async fn json(asker: &Asker, asked: &[Asked]) -> Result<bool, ProgramError> {
    let answers = join_all(asked.iter().map(|asked| asker.whole(asked))).await;
    let answers: Vec<_> = answers.into_iter().collect::<Result<_, _>>()?;
    let merged = bundle::merged(answers)?;
    let mut out = io::stdout().lock();
    let mut text = merged.text;
    if out.is_terminal() {
        text = plain_json(&text);
    }
    writeln!(out, "{text}").map_err(printing)?;
    Ok(merged.complete)
}

async fn shown(gateway: &Gateway, asker: &Asker, asked: &[Asked]) -> Result<bool, ProgramError> {
    let mut out = io::stdout();
    let types: Vec<_> = asked.iter().map(|asked| asked.kind.name()).collect();
    writeln!(out, "Asking for {}.", types.join(", ")).map_err(printing)?;
    let (updates, mut landed) = mpsc::unbounded_channel();
    let asking = join_all(asked.iter().map(|asked| asker.parts(asked, updates.clone())));
    drop(updates);
    let mut progress = Progress::new(asked.len(), out.is_terminal());
    let showing = async {
        while let Some(update) = landed.recv().await {
            progress.take(update, &mut io::stdout())?;
        }
        progress.end(&mut io::stdout())
    };
    let (answers, showed) = tokio::join!(asking, showing);
    showed.map_err(printing)?;
    let answers: Vec<Answered> = answers.into_iter().collect::<Result<_, _>>()?;
    if answers.iter().all(|answer| answer.refused) {
        let issues: Vec<_> = answers.into_iter().flat_map(|answer| answer.issues).collect();
        return Err(ProgramError::Failed(said(&issues)));
    }
    table::print(gateway, &answers, &mut out).map_err(printing)?;
    Ok(answers.iter().all(|answer| answer.complete))
}

/// The issues' sentences, each once.
fn said(issues: &[Issue]) -> String {
    let mut sentences: Vec<String> = Vec::new();
    for issue in issues {
        let sentence = plain(issue.diagnostics.as_deref().unwrap_or("It was refused."));
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
    sentences.join(" ")
}

fn printing(error: io::Error) -> ProgramError {
    ProgramError::failed("printing", error)
}
