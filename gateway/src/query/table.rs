//! What is missing, above everything; then the record, newest first. Nothing is cut short.

use std::cmp::Reverse;
use std::io::{self, Write};

use fhir::outcome::{Issue, Severity};

use super::ask::Answered;
use super::plain::plain;
use super::row::Row;
use crate::Gateway;

/// A column is padded up to this width; longer text moves what follows.
const WIDTH_MAX: usize = 44;
const HEADER: [&str; 5] = ["DATE", "TYPE", "WHAT", "VALUE, STATUS", "REGION"];

/// Prints all answers.
pub fn print(gateway: &Gateway, answers: &[Answered], out: &mut impl Write) -> io::Result<()> {
    writeln!(out)?;
    banner(answers, out)?;
    let entries = answers.iter().flat_map(|answer| answer.entries.iter().map(|e| (answer.kind, e)));
    let mut rows: Vec<_> = entries.map(|(kind, entry)| Row::of(kind, entry)).collect();
    // What has no date comes last.
    rows.sort_by_key(|row| (row.at.is_none(), row.at.map(Reverse)));
    let called = |ods: &str| {
        let region = ods.parse().ok().and_then(|ods| gateway.directory().find(&ods));
        region.map_or_else(|| ods.to_owned(), |r| format!("{} ({ods})", plain(&r.name)))
    };
    table(rows, called, out)
}

fn banner(answers: &[Answered], out: &mut impl Write) -> io::Result<()> {
    let complete = answers.iter().all(|answer| answer.complete);
    if !complete {
        writeln!(out, "!! INCOMPLETE: something is missing from what is shown below.")?;
    }
    let mut told: Vec<(bool, String)> = Vec::new();
    for answer in answers {
        for issue in &answer.issues {
            let line = line(answer, issue);
            if !told.contains(&line) {
                told.push(line);
            }
        }
    }
    for (graver, text) in &told {
        writeln!(out, "{} {text}", if *graver { "!!" } else { "--" })?;
    }
    if complete {
        writeln!(out, "Complete: nothing is missing.")?;
    }
    writeln!(out)
}

/// Whether an issue is more than a remark, and what it says; of which entries, if it names some.
fn line(answer: &Answered, issue: &Issue) -> (bool, String) {
    let text = plain(issue.diagnostics.as_deref().unwrap_or("An issue without a text."));
    let entries = issue.expression.iter().filter_map(|url| url.split_once("/at/"));
    let entries: Vec<_> = entries.map(|(_, entry)| plain(entry)).collect();
    let text = if entries.is_empty() {
        text
    } else {
        format!("{}: {text} {}", answer.kind.name(), entries.join(", "))
    };
    (issue.severity != Severity::Information, text)
}

fn table(rows: Vec<Row>, called: impl Fn(&str) -> String, out: &mut impl Write) -> io::Result<()> {
    if rows.is_empty() {
        return writeln!(out, "No entries.");
    }
    let mut lines = vec![HEADER.map(str::to_owned)];
    lines.extend(rows.into_iter().map(|row| {
        let region = called(&row.region);
        [row.date, row.kind.to_owned(), row.what, row.said, region]
    }));
    let width = |column: usize| {
        let widths = lines.iter().map(|line| line[column].chars().count());
        widths.filter(|width| *width <= WIDTH_MAX).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2), width(3)];
    for [date, kind, what, said, region] in &lines {
        let [w0, w1, w2, w3] = widths;
        writeln!(out, "{date:w0$}  {kind:w1$}  {what:w2$}  {said:w3$}  {region}")?;
    }
    Ok(())
}
