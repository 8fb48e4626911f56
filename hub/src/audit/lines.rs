//! The journal's lines on their way into the trail, each exactly once.
//!
//! How far a file's lines are in is committed with them, so it does not matter where a process ends: the
//! next one goes on there. A file is removed once all of it is in.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use fhir::instant::Interval;
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;

use crate::store::trail::Lines;
use crate::store::{Store, StoreError};

/// Lines, and bytes, that are moved in one transaction.
const LINES_MAX: usize = 512;
const BYTES_MAX: usize = 1 << 20;

/// Why lines stay in the journal for now.
#[derive(Debug, Error)]
pub enum LinesError {
    /// The journal cannot be read, or a file not be removed.
    #[error("the journal: {0}")]
    Journal(#[from] io::Error),
    /// The record does not take them.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Moves the lines of a closed file, and removes it; gives how many.
pub async fn move_file(store: &Store, path: &Path) -> Result<usize, LinesError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (mut from, mut moved) = (store.journal_moved(&name).await?, 0);
    loop {
        let (path, file) = (path.to_owned(), name.clone());
        let read = tokio::task::spawn_blocking(move || next(&path, file, from)).await;
        let lines = read.map_err(io::Error::other).flatten()?;
        if lines.entries.is_empty() {
            break;
        }
        (from, moved) = (lines.to, moved + lines.entries.len());
        store.take_lines(lines).await?;
    }
    std::fs::remove_file(path)?;
    store.forget_journal(name).await?;
    Ok(moved)
}

/// The next lines of a closed file, from a byte on.
fn next(path: &PathBuf, file: String, from: i64) -> io::Result<Lines> {
    let mut reader = BufReader::new(File::open(path)?);
    reader.seek(SeekFrom::Start(from.unsigned_abs()))?;
    let (mut to, mut entries) = (from, Vec::new());
    let (mut line, mut last) = (Vec::new(), 0);
    while entries.len() < LINES_MAX && to - from < BYTES_MAX as i64 {
        line.clear();
        let bytes = reader.read_until(b'\n', &mut line)?;
        if bytes == 0 {
            break;
        }
        to += bytes as i64;
        let (recorded, entry) = entry(&line, last);
        last = recorded;
        entries.push((recorded, entry));
    }
    Ok(Lines { file, from, to, entries })
}

#[derive(Deserialize)]
struct Recorded<'a> {
    recorded: &'a str,
}

/// A line as it is kept, and its time; one that a power cut tore is kept as what is left of it.
fn entry(line: &[u8], last: i64) -> (i64, String) {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    let recorded = serde_json::from_str(text)
        .ok()
        .and_then(|Recorded { recorded }| Interval::parse(recorded).map(|instant| instant.low));
    match recorded {
        Some(recorded) => (recorded, text.to_owned()),
        None => (last, json!({ "torn": text.replace('\0', "\u{fffd}") }).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_kept_to_the_letter_and_a_torn_one_as_it_is() {
        let whole = "{\"recorded\":\"1970-01-01T00:00:01.000Z\", \"a\":1}";
        assert_eq!(entry(format!("{whole}\n").as_bytes(), 7), (1_000_000, whole.to_owned()));
        let torn = entry(b"{\"recorded\":\"1970-01\0\n", 7);
        assert_eq!(torn, (7, "{\"torn\":\"{\\\"recorded\\\":\\\"1970-01\u{fffd}\"}".to_owned()));
    }
}
