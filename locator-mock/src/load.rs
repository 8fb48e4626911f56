//! `locator-mock load`: pointers as NDJSON into a registry that nobody serves meanwhile.
//!
//! Each line is a pointer with its id, and is held to every rule that a producer's pointer is; its
//! `date` and `meta.lastUpdated` are kept. A line that breaks a rule is named and passed over, a
//! pointer whose id is there already is left as it is, so that a load can be repeated. All that was
//! added is on disk at the end, or nothing is.

use std::io::{BufRead, Read};
use std::num::NonZero;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde::Serialize;
use service::clock::Clock;
use service::program::ProgramError;

use crate::body::BODY_BYTES_MAX;
use crate::config::LocatorConfig;
use crate::error::LocatorError;
use crate::pointer::{Candidate, Pointer, PracticeSettings};
use crate::registry::bulk::{Alone, Bulk};

/// Lines that are checked together.
const CHUNK_LINES: usize = 500;

/// What a load came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Loaded {
    /// Pointers that are new.
    pub added: u64,
    /// Pointers whose id was there already.
    pub known: u64,
    /// Lines that are no pointer the NRL would take.
    pub refused: u64,
}

/// Lines and the number of the first.
type Chunk = (u64, Vec<Vec<u8>>);
/// What became of a line, by its number.
type Checked = Vec<(u64, Result<Pointer, LocatorError>)>;

/// Loads every line; tells `refused` the number of each that is passed over, and why.
pub fn load(
    config: &LocatorConfig,
    lines: impl BufRead + Send,
    clock: &Clock,
    mut refused: impl FnMut(u64, &str),
) -> Result<Loaded, ProgramError> {
    config.check()?;
    let settings = config.practice_settings()?;
    let failed = |error| ProgramError::failed("loading pointers", error);
    let mut database = Alone::open(&config.store.path()?)?;
    let mut bulk = database.load().map_err(failed)?;
    let mut count = 0;
    let add = |bulk: &mut Bulk<'_>, checked: Checked| {
        for (line, result) in checked {
            match result {
                Ok(pointer) => bulk.add(&pointer).map_err(failed)?,
                Err(error) => {
                    count += 1;
                    refused(line, &error.sentence());
                }
            }
        }
        Ok(())
    };
    run(lines, &settings, clock.now_micros(), &mut bulk, add)?;
    let (added, known) = bulk.finish().map_err(failed)?;
    database.settle().map_err(failed)?;
    Ok(Loaded { added, known, refused: count })
}

/// One thread reads, one for each core checks, this one writes.
fn run<'a>(
    lines: impl BufRead + Send,
    settings: &PracticeSettings,
    now_micros: i64,
    bulk: &mut Bulk<'a>,
    mut add: impl FnMut(&mut Bulk<'a>, Checked) -> Result<(), ProgramError>,
) -> Result<(), ProgramError> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let (chunks, unchecked) = sync_channel(workers);
    let (done, checked) = sync_channel(workers);
    let unchecked = Arc::new(Mutex::new(unchecked));
    thread::scope(|scope| {
        let reader = scope.spawn(move || read(lines, &chunks));
        for _ in 0..workers {
            let (unchecked, done) = (unchecked.clone(), done.clone());
            scope.spawn(move || check(&unchecked, &done, settings, now_micros));
        }
        drop((unchecked, done));
        // Where adding fails, the others find their channels closed, and end.
        let added = checked.into_iter().try_for_each(|checked| add(bulk, checked));
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        added.and(read)
    })
}

fn read(mut lines: impl BufRead, chunks: &SyncSender<Chunk>) -> Result<(), ProgramError> {
    let mut next = 1;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK_LINES);
        while chunk.len() < CHUNK_LINES {
            let mut line = Vec::new();
            let most = BODY_BYTES_MAX as u64 + 1;
            let got = lines.by_ref().take(most).read_until(b'\n', &mut line);
            let got = got.map_err(|error| ProgramError::failed("reading pointers", error))?;
            if got as u64 == most {
                let line = next + chunk.len() as u64;
                let text = format!("line {line} is longer than {BODY_BYTES_MAX} bytes");
                return Err(ProgramError::Failed(text));
            }
            if got == 0 {
                break;
            }
            chunk.push(line);
        }
        let count = chunk.len() as u64;
        // Nobody takes any more where adding failed: that is the failure to tell.
        if count == 0 || chunks.send((next, chunk)).is_err() {
            return Ok(());
        }
        next += count;
    }
}

fn check(
    unchecked: &Mutex<Receiver<Chunk>>,
    done: &SyncSender<Checked>,
    settings: &PracticeSettings,
    now_micros: i64,
) {
    loop {
        let chunk = unchecked.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((first, lines)) = chunk else { return };
        let said = (first..).zip(lines).filter(|(_, line)| !line.trim_ascii().is_empty());
        let checked = said.map(|(number, line)| {
            let pointer = Candidate::parse(&line).and_then(|c| c.restore(settings, now_micros));
            (number, pointer)
        });
        if done.send(checked.collect()).is_err() {
            return;
        }
    }
}

/// Opens a file of pointers; `-` is standard input.
pub fn open(file: &Path) -> Result<Box<dyn BufRead + Send>, ProgramError> {
    if file == Path::new("-") {
        return Ok(Box::new(std::io::BufReader::new(std::io::stdin())));
    }
    let opened = std::fs::File::open(file);
    let failed = |error| ProgramError::failed(&format!("opening {}", file.display()), error);
    Ok(Box::new(std::io::BufReader::new(opened.map_err(failed)?)))
}
