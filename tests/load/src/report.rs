//! What is printed: one line for each operation of each server, side by side, or as JSON lines.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::tally::{Operation, Tally};
use crate::usage::Usage;

/// Results of one workload with one number of workers.
#[derive(Debug)]
pub(crate) struct Result {
    /// The workload's name, with its shape if it has one.
    pub(crate) workload: &'static str,
    pub(crate) workers: usize,
    /// Units a second, if the loop was open.
    pub(crate) rate: Option<f64>,
    /// What was counted of each server.
    pub(crate) sides: Vec<Side>,
}

/// What was counted of one server.
#[derive(Debug)]
pub(crate) struct Side {
    /// Its base URL.
    server: String,
    /// Of all rounds together.
    pub(crate) total: Tally,
    /// Of each round.
    rounds: Vec<Tally>,
    /// What its process used meanwhile, if that is known.
    usage: Option<Usage>,
}

impl Side {
    /// Adds the rounds up.
    pub(crate) fn new(server: String, rounds: Vec<Tally>, usage: Option<Usage>) -> Self {
        let mut total = rounds[0].clone();
        rounds[1..].iter().for_each(|round| total.append(round));
        Self { server, total, rounds, usage }
    }

    /// Microseconds of its processor time for each success of any operation.
    fn processor_us(&self) -> Option<f64> {
        let succeeded: u64 = self.total.operations.iter().map(Operation::succeeded).sum();
        let micros = self.usage?.processor.as_secs_f64() * 1e6;
        Some(micros / succeeded.max(1) as f64)
    }

    /// Successes a second of an operation: of the middle round.
    fn per_second(&self, which: usize) -> f64 {
        let mut rates: Vec<f64> =
            self.rounds.iter().map(|round| per_second(round, which)).collect();
        rates.sort_by(f64::total_cmp);
        let middle = rates.len() / 2;
        if rates.len().is_multiple_of(2) {
            f64::midpoint(rates[middle - 1], rates[middle])
        } else {
            rates[middle]
        }
    }

    /// Items a second, at the rate of the middle round.
    fn items_per_second(&self, which: usize) -> f64 {
        let operation = &self.total.operations[which];
        operation.items as f64 / operation.succeeded().max(1) as f64 * self.per_second(which)
    }
}

/// Prints what was measured and where, and the head of the table.
pub(crate) fn head(out: &mut impl Write, machine: &Value) -> io::Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let (cores, kernel) = (&machine["cores"], text(&machine["kernel"]));
    writeln!(out, "{cores} cores, Linux {kernel}, load {}", text(&machine["load_before"]))?;
    for server in machine["servers"].as_array().into_iter().flatten() {
        let (base, software) = (text(&server["base"]), text(&server["software"]));
        writeln!(out, "{base}: {software}, durability: {}", text(&server["durability"]))?;
    }
    writeln!(
        out,
        "{:<10} {:<16} {:>7} {:>10} {:>8} {:>10} {:>10} {:>9} {:>9} {:>9} {:>8}  server",
        "workload",
        "operation",
        "workers",
        "succeeded",
        "failed",
        "per s",
        "items/s",
        "p50 ms",
        "p99 ms",
        "max ms",
        "MB/s"
    )
}

/// Prints a result as lines of the table.
pub(crate) fn table(out: &mut impl Write, result: &Result) -> io::Result<()> {
    for which in 0..result.sides[0].total.operations.len() {
        for side in &result.sides {
            row(out, result, side, which)?;
        }
        let (ours, others) = (&result.sides[0], &result.sides[1..]);
        for theirs in others {
            let ratio = ours.per_second(which) / theirs.per_second(which);
            let middle_ms = |side: &Side| side.total.operations[which].percentile_ms(50.0);
            let (quicker, more) =
                (middle_ms(theirs) / middle_ms(ours), middle_ms(ours) - middle_ms(theirs));
            writeln!(
                out,
                "{:>27} {ratio:.2} times the rate, {quicker:.2} times as quick ({more:+.3} ms): {}",
                "", theirs.server
            )?;
        }
    }
    out.flush()
}

fn row(out: &mut impl Write, result: &Result, side: &Side, which: usize) -> io::Result<()> {
    let operation = &side.total.operations[which];
    let seconds = side.total.elapsed.as_secs_f64();
    let name: String = operation.name.chars().take(16).collect();
    writeln!(
        out,
        "{:<10} {:<16} {:>7} {:>10} {:>8} {:>10.1} {:>10.1} {:>9.3} {:>9.3} {:>9.3} {:>8.2}  {}",
        result.workload,
        name,
        result.workers,
        operation.succeeded(),
        operation.failed(),
        side.per_second(which),
        side.items_per_second(which),
        operation.percentile_ms(50.0),
        operation.percentile_ms(99.0),
        operation.percentile_ms(100.0),
        operation.bytes as f64 / seconds / 1e6,
        side.server,
    )?;
    for (reason, times) in &operation.errors {
        writeln!(out, "{:>27} {times} failed: {reason}", "")?;
    }
    if let (Some(usage), Some(micros)) = (side.usage, side.processor_us()) {
        let resident = usage.resident_bytes as f64 / 1e6;
        writeln!(
            out,
            "{:>27} {micros:.0} us of its processor time each, {resident:.0} MB resident",
            ""
        )?;
    }
    Ok(())
}

/// Prints a result as JSON, one line for each operation of each server.
pub(crate) fn lines(out: &mut impl Write, result: &Result) -> io::Result<()> {
    for side in &result.sides {
        for which in 0..side.total.operations.len() {
            writeln!(out, "{}", line(result, side, which))?;
        }
    }
    out.flush()
}

fn line(result: &Result, side: &Side, which: usize) -> Value {
    let operation = &side.total.operations[which];
    let rounds = side.rounds.iter().map(|round| per_second(round, which)).collect::<Vec<_>>();
    json!({
        "workload": result.workload,
        "operation": operation.name,
        "server": side.server,
        "workers": result.workers,
        "rate": result.rate,
        "seconds": side.total.elapsed.as_secs_f64(),
        "succeeded": operation.succeeded(),
        "failed": operation.failed(),
        "errors": operation.errors,
        "per_second": side.per_second(which),
        "per_second_by_round": rounds,
        "items_per_second": side.items_per_second(which),
        "bytes": operation.bytes,
        "p50_ms": operation.percentile_ms(50.0),
        "p90_ms": operation.percentile_ms(90.0),
        "p99_ms": operation.percentile_ms(99.0),
        "max_ms": operation.percentile_ms(100.0),
        "processor_us": side.processor_us(),
        "resident_bytes": side.usage.map(|usage| usage.resident_bytes),
    })
}

fn per_second(tally: &Tally, which: usize) -> f64 {
    tally.operations[which].succeeded() as f64 / tally.elapsed.as_secs_f64()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::tally::Outcome;

    fn result() -> Result {
        let mut tally = Tally::new(&["read"]);
        tally.count(0, Instant::now(), Ok(Outcome { bytes: 10, items: 1 }));
        tally.count(0, Instant::now(), Err("status 500".into()));
        tally.elapsed = Duration::from_secs(2);
        let quiet = Tally { elapsed: Duration::from_secs(4), ..tally.clone() };
        let used = Usage { processor: Duration::from_millis(6), resident_bytes: 5_000_000 };
        let side = |name: &str, rounds| Side::new(name.to_owned(), rounds, Some(used));
        let sides =
            vec![side("http://a", vec![tally.clone()]), side("http://b", vec![quiet, tally])];
        Result { workload: "read", workers: 8, rate: None, sides }
    }

    #[test]
    fn errors_and_both_servers_are_in_the_table() {
        let mut out = Vec::new();
        table(&mut out, &result()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("http://a") && text.contains("http://b"));
        assert!(text.contains("6000 us of its processor time each, 5 MB resident"));
        assert!(text.contains("3000 us of its processor time each, 5 MB resident"));
        assert!(text.contains(" 1 failed: status 500") && text.contains(" 2 failed: status 500"));
    }

    #[test]
    fn the_rate_is_that_of_the_middle_round() {
        let result = result();
        // Rounds of 0.25 and 0.5 a second lie around 0.375; the slow round alone is a quarter.
        assert!((result.sides[0].per_second(0) - 0.5).abs() < 1e-9);
        assert!((result.sides[1].per_second(0) - 0.375).abs() < 1e-9);
        let mut out = Vec::new();
        table(&mut out, &result).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("1.33 times the rate"));
    }

    #[test]
    fn every_line_is_json_by_itself() {
        let mut out = Vec::new();
        lines(&mut out, &result()).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["per_second"], 0.5);
        assert_eq!(lines[1]["per_second_by_round"], json!([0.25, 0.5]));
        assert_eq!(lines[1]["errors"]["status 500"], 2);
    }

    #[test]
    fn machine_and_durability_are_said_before_any_figure() {
        let server = json!({"base": "http://a", "software": "Hub 1", "durability": "FULL"});
        let machine =
            json!({"cores": 2, "kernel": "6.1", "load_before": "0.3", "servers": [server]});
        let mut out = Vec::new();
        head(&mut out, &machine).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("2 cores, Linux 6.1, load 0.3\nhttp://a: Hub 1, durability: FULL\n")
        );
    }
}
