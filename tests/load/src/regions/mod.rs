//! Regions that hold the same for one patient, each on a port of its own, and the locator that names
//! them: fast, tireless and with the delays and faults that they are told. What a gateway adds to the
//! slowest of them is what it costs.

mod answer;
mod fault;

use std::io::{Write, stdout};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{any, get};
use clap::Args;
use futures::future::try_join_all;
use tokio::net::TcpListener;

use answer::{Answers, pointers};
use fault::{Delay, Fault, Faulty};

/// The patient about whom all of them hold something.
const PATIENT: &str = "9434765919";

/// What the regions are told.
#[derive(Debug, Args)]
pub(crate) struct Regions {
    /// The locator's port; the regions have those after it.
    #[arg(long, default_value = "18100")]
    port: u16,
    /// How many there are.
    #[arg(long = "count", default_value = "5", value_parser = clap::value_parser!(u16).range(1..=99))]
    count: u16,
    /// Matches that each of them answers with.
    #[arg(long, default_value = "20")]
    entries: usize,
    /// Milliseconds that each of them takes.
    #[arg(long, default_value = "0")]
    delay_ms: u64,
    /// Spread of the delay, log-normal about its middle: the deviation of its logarithm.
    #[arg(long, default_value = "0")]
    spread: f64,
    /// A region that misbehaves, as NUMBER=silent|slow|drip|refuse|broken; as often as wanted.
    #[arg(long = "fault")]
    faults: Vec<Faulty>,
}

/// One region.
#[derive(Debug)]
struct Region {
    answers: Answers,
    delay: Delay,
    fault: Option<Fault>,
}

impl Regions {
    /// Serves all of them until the process is stopped.
    pub(crate) async fn serve(&self) -> Result<(), String> {
        let mut serving = vec![serve(self.port, self.locator()).await?];
        for number in 1..=self.count {
            serving.push(serve(self.port + number, self.region(number)).await?);
        }
        let last = self.port + self.count;
        let listening = format!(
            "locator: http://127.0.0.1:{}\nregions: Q01 to Q{:02}, http://127.0.0.1:{}/FHIR/R4 to \
             {last}\npatient: https://fhir.nhs.uk/Id/nhs-number|{PATIENT}",
            self.port,
            self.count,
            self.port + 1,
        );
        writeln!(stdout(), "{listening}").map_err(|error| error.to_string())?;
        try_join_all(serving).await.map_err(|error| format!("a region ended: {error}"))?;
        Ok(())
    }

    fn locator(&self) -> Router {
        let base = |number| format!("http://127.0.0.1:{}/FHIR/R4", self.port + number);
        let found = pointers((1..=self.count).map(|number| (code(number), base(number))));
        Router::new().fallback(any(async || fhir(found.into())))
    }

    fn region(&self, number: u16) -> Router {
        let fault = self.faults.iter().find(|faulty| faulty.region == number);
        let region = Region {
            answers: Answers::new(number, self.entries),
            delay: Delay { middle: Duration::from_millis(self.delay_ms), spread: self.spread },
            fault: fault.map(|faulty| faulty.fault),
        };
        Router::new()
            .route("/FHIR/R4/{kind}", get(search))
            .route("/FHIR/R4/{kind}/_search", any(search))
            .with_state(Arc::new(region))
    }
}

/// A region's organisation code.
fn code(number: u16) -> String {
    format!("Q{number:02}")
}

async fn serve(
    port: u16,
    router: Router,
) -> Result<impl Future<Output = std::io::Result<()>>, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener = listener.map_err(|error| format!("port {port}: {error}"))?;
    let served = tokio::spawn(async { axum::serve(listener, router).await });
    Ok(async { served.await.map_err(std::io::Error::other)? })
}

async fn search(State(region): State<Arc<Region>>, Path(kind): Path<String>) -> Response {
    let body = region.answers.of(&kind);
    let slow = if region.fault == Some(Fault::Slow) { 10 } else { 1 };
    region.delay.pass(slow).await;
    match region.fault {
        None | Some(Fault::Slow) => fhir(body.into()),
        Some(fault) => fault.answer(body).await,
    }
}

fn fhir(body: Body) -> Response {
    let response = Response::builder().header("content-type", "application/fhir+json");
    response.body(body).expect("the header is one")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use axum::body::to_bytes;
    use serde_json::Value;

    use super::*;

    fn regions(faults: &[&str]) -> Regions {
        Regions {
            port: 0,
            count: 2,
            entries: 3,
            delay_ms: 0,
            spread: 0.0,
            faults: faults.iter().map(|fault| fault.parse().unwrap()).collect(),
        }
    }

    async fn ask(router: Router, path: &str) -> (u16, Option<Value>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, router).await });
        let reach = crate::target::Reach {
            remote: false,
            http2: false,
            timeout: Duration::from_millis(300),
            headers: Vec::new(),
        };
        let target = crate::target::Target::new(&base, &reach).unwrap();
        match target.get(path).await {
            Ok(answer) => (answer.status.as_u16(), serde_json::from_slice(&answer.body).ok()),
            Err(_) => (0, None),
        }
    }

    #[tokio::test]
    async fn a_region_answers_with_what_it_holds_and_whose_it_is() {
        for kind in ["Observation", "MedicationRequest", "AllergyIntolerance"] {
            let (status, bundle) =
                ask(regions(&[]).region(1), &format!("FHIR/R4/{kind}?a=b")).await;
            let bundle = bundle.unwrap();
            let modes = bundle["entry"].as_array().unwrap().iter().map(|e| &e["search"]["mode"]);
            assert_eq!(status, 200);
            assert_eq!(modes.collect::<Vec<_>>(), ["match", "match", "match", "include"]);
            assert_eq!(bundle["entry"][0]["resource"]["resourceType"], kind);
        }
        let body = regions(&[]).region(2);
        let (_, patient) = ask(body, "FHIR/R4/Patient").await;
        assert_eq!(patient.unwrap()["entry"][0]["resource"]["identifier"][0]["value"], PATIENT);
    }

    #[tokio::test]
    async fn the_locator_names_every_region() {
        let (_, found) = ask(regions(&[]).locator(), "consumer/FHIR/R4/DocumentReference").await;
        let found = found.unwrap();
        assert_eq!(found["total"], 2);
        assert_eq!(found["entry"][1]["resource"]["custodian"]["identifier"]["value"], "Q02");
    }

    #[tokio::test]
    async fn a_fault_is_one() {
        let faults = ["1=refuse", "2=silent"];
        assert_eq!(ask(regions(&faults).region(1), "FHIR/R4/Observation").await.0, 503);
        assert_eq!(ask(regions(&faults).region(2), "FHIR/R4/Observation").await.0, 0);
        let (status, body) = ask(regions(&["1=broken"]).region(1), "FHIR/R4/Observation").await;
        assert_eq!((status, body), (200, None));
        assert!("1=odd".parse::<Faulty>().is_err() && "refuse".parse::<Faulty>().is_err());
        let body = Fault::Drip.answer(vec![b'a'; 2_000].into()).await.into_body();
        let first = tokio::time::timeout(Duration::from_millis(200), to_bytes(body, 5_000)).await;
        assert!(first.is_err(), "two thousand bytes came at once");
    }
}
