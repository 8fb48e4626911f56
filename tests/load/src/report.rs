//! What is printed: one line for each operation of each server, side by side, or as JSON lines.

use std::io::{self, Write};

use serde_json::json;

use crate::tally::{Operation, Tally};

/// Results of one workload with one number of workers.
#[derive(Debug)]
pub(crate) struct Result {
    /// The workload's name, with its shape if it has one.
    pub(crate) workload: &'static str,
    pub(crate) workers: usize,
    /// Units a second, if the loop was open.
    pub(crate) rate: Option<f64>,
    /// The servers' base URLs and what was counted of each.
    pub(crate) sides: Vec<(String, Tally)>,
}

/// Prints the head of the table.
pub(crate) fn head(out: &mut impl Write) -> io::Result<()> {
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
    let (_, first) = &result.sides[0];
    for which in 0..first.operations.len() {
        for (server, tally) in &result.sides {
            row(out, result, server, tally, which)?;
        }
        if let [(_, ours), (_, theirs)] = &result.sides[..] {
            let ratio = per_second(ours, which) / per_second(theirs, which);
            let quicker = theirs.operations[which].percentile_ms(50.0)
                / ours.operations[which].percentile_ms(50.0);
            writeln!(out, "{:>27} {ratio:.2} times the rate, {quicker:.2} times as quick", "")?;
        }
    }
    out.flush()
}

fn row(
    out: &mut impl Write,
    result: &Result,
    server: &str,
    tally: &Tally,
    which: usize,
) -> io::Result<()> {
    let operation = &tally.operations[which];
    let seconds = tally.elapsed.as_secs_f64();
    let name: String = operation.name.chars().take(16).collect();
    writeln!(
        out,
        "{:<10} {:<16} {:>7} {:>10} {:>8} {:>10.1} {:>10.1} {:>9.3} {:>9.3} {:>9.3} {:>8.2}  {server}",
        result.workload,
        name,
        result.workers,
        operation.succeeded(),
        operation.failed(),
        per_second(tally, which),
        operation.items as f64 / seconds,
        operation.percentile_ms(50.0),
        operation.percentile_ms(99.0),
        operation.percentile_ms(100.0),
        operation.bytes as f64 / seconds / 1e6,
    )?;
    for (reason, times) in &operation.errors {
        writeln!(out, "{:>27} {times} failed: {reason}", "")?;
    }
    Ok(())
}

/// Prints a result as JSON, one line for each operation of each server.
pub(crate) fn lines(out: &mut impl Write, result: &Result) -> io::Result<()> {
    for (server, tally) in &result.sides {
        for (which, operation) in tally.operations.iter().enumerate() {
            writeln!(out, "{}", line(result, server, tally, (which, operation)))?;
        }
    }
    out.flush()
}

fn line(
    result: &Result,
    server: &str,
    tally: &Tally,
    (which, operation): (usize, &Operation),
) -> serde_json::Value {
    let seconds = tally.elapsed.as_secs_f64();
    json!({
        "workload": result.workload,
        "operation": operation.name,
        "server": server,
        "workers": result.workers,
        "rate": result.rate,
        "seconds": seconds,
        "succeeded": operation.succeeded(),
        "failed": operation.failed(),
        "errors": operation.errors,
        "per_second": per_second(tally, which),
        "items_per_second": operation.items as f64 / seconds,
        "bytes": operation.bytes,
        "p50_ms": operation.percentile_ms(50.0),
        "p90_ms": operation.percentile_ms(90.0),
        "p99_ms": operation.percentile_ms(99.0),
        "max_ms": operation.percentile_ms(100.0),
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
        let sides = vec![("http://a".to_owned(), tally.clone()), ("http://b".to_owned(), tally)];
        Result { workload: "read", workers: 8, rate: None, sides }
    }

    #[test]
    fn errors_and_both_servers_are_in_the_table() {
        let mut out = Vec::new();
        table(&mut out, &result()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("http://a") && text.contains("http://b"));
        assert_eq!(text.matches("1 failed: status 500").count(), 2);
        assert!(text.contains("1.00 times the rate"));
    }

    #[test]
    fn every_line_is_json_by_itself() {
        let mut out = Vec::new();
        lines(&mut out, &result()).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1]["per_second"], 0.5);
        assert_eq!(lines[1]["errors"]["status 500"], 1);
    }
}
