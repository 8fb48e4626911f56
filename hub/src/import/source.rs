//! Paths -> files -> texts. Files of a folder come in the order of their names; a text is never
//! larger than a request may be.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fhir::outcome::IssueCode;
use flate2::bufread::MultiGzDecoder;
use service::body::{BUNDLE_BYTES_MAX, RESOURCE_BYTES_MAX};
use service::program::ProgramError;
use service::refusal::Refusal;
use tokio::sync::mpsc::Sender;

use super::bundle::{self, Links};
use super::usage;

/// Resources in one piece: one transaction of the store.
const PIECE_COUNT: usize = 200;
/// Text in one piece, unless one resource alone has more.
const PIECE_BYTES: usize = 4 << 20;
/// What a byte order mark looks like in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where a text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: Option<u64>,
    /// The entry of a Bundle, from 0.
    pub entry: Option<usize>,
}

/// A resource's text.
#[derive(Debug)]
pub(super) struct Item {
    pub origin: Origin,
    /// The text, or why there is none.
    pub text: Result<Bytes, Refusal>,
    /// What its links become, if it came in a Bundle.
    pub links: Option<Arc<Links>>,
}

/// What is prepared and written as one.
#[derive(Debug)]
pub(super) enum Piece {
    /// Resources, each for itself.
    Resources(Vec<Item>),
    /// A Bundle that is all or nothing.
    Transaction(Origin, Bytes),
    /// A Bundle that is nothing.
    Refused(Origin, Refusal),
}

/// Files to be read.
#[derive(Debug)]
pub(super) struct Files {
    files: Vec<PathBuf>,
    /// Their bytes together, as they are on the disk.
    pub bytes: u64,
}

/// Finds the files. One that is named must be of a kind that is known; in a folder, others are
/// passed over.
pub(super) fn files(paths: &[PathBuf]) -> Result<Files, ProgramError> {
    let mut files = Vec::new();
    for path in paths {
        let failed =
            |error: io::Error| usage(format!("{} cannot be read: {error}", path.display()));
        let is_folder = path.metadata().map_err(failed)?.is_dir();
        if is_folder {
            let before = files.len();
            folder(path, &mut files).map_err(failed)?;
            if files.len() == before {
                let text = "has no file whose name ends in .ndjson, .json or either with .gz";
                return Err(usage(format!("{} {text}", path.display())));
            }
        } else if Kind::of(path).is_none() {
            let text = "is of no kind that is known: its name must end in .ndjson, .json or either \
                        with .gz";
            return Err(usage(format!("{} {text}", path.display())));
        } else {
            files.push(path.clone());
        }
    }
    let bytes = files.iter().filter_map(|file| file.metadata().ok()).map(|found| found.len()).sum();
    Ok(Files { files, bytes })
}

fn folder(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path()));
    let mut entries = entries.collect::<io::Result<Vec<PathBuf>>>()?;
    entries.sort();
    for entry in entries {
        let file_type = entry.symlink_metadata()?.file_type();
        if file_type.is_dir() {
            folder(&entry, files)?;
        } else if entry.is_file() && Kind::of(&entry).is_some() {
            files.push(entry);
        }
    }
    Ok(())
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    lines: bool,
    zipped: bool,
}

impl Kind {
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let (name, zipped) = match name.strip_suffix(".gz") {
            Some(name) => (name, true),
            None => (name.as_str(), false),
        };
        let (_, ending) = name.rsplit_once('.')?;
        match ending {
            "ndjson" | "jsonl" => Some(Self { lines: true, zipped }),
            "json" => Some(Self { lines: false, zipped }),
            _ => None,
        }
    }
}

/// Reads the files into pieces, counting what was `read` from the disk. Ends early if no one takes
/// them any more.
pub(super) fn read(files: &Files, read: &Arc<AtomicU64>, to: &Sender<Piece>) {
    let mut pieces = Pieces { items: Vec::new(), bytes: 0, to, gone: false };
    for path in &files.files {
        if pieces.gone {
            return;
        }
        let origin = Origin { file: path.display().to_string().into(), line: None, entry: None };
        let kind = Kind::of(path).unwrap_or(Kind { lines: false, zipped: false });
        let result = open(path, kind, read).and_then(|mut reader| {
            skip_mark(&mut reader)?;
            if kind.lines {
                lines(&mut reader, &origin, &mut pieces)
            } else {
                document(&mut reader, &origin, &mut pieces)
            }
        });
        if let Err(error) = result {
            pieces.refuse(origin, unreadable(&error));
        }
    }
    pieces.flush();
}

fn open(path: &Path, kind: Kind, read: &Arc<AtomicU64>) -> io::Result<Box<dyn BufRead>> {
    let file = Counted { file: File::open(path)?, read: read.clone() };
    let file = BufReader::with_capacity(1 << 16, file);
    if kind.zipped {
        return Ok(Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file))));
    }
    Ok(Box::new(file))
}

fn skip_mark(reader: &mut dyn BufRead) -> io::Result<()> {
    if reader.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        reader.consume(BYTE_ORDER_MARK.len());
    }
    Ok(())
}

fn lines(reader: &mut dyn BufRead, of: &Origin, pieces: &mut Pieces<'_>) -> io::Result<()> {
    for line in 1.. {
        let origin = Origin { line: Some(line), ..of.clone() };
        let mut text = Vec::new();
        let most = RESOURCE_BYTES_MAX as u64 + 1;
        let read = reader.take(most).read_until(b'\n', &mut text);
        if let Err(error) = read {
            pieces.refuse(origin, unreadable(&error));
            return Ok(());
        }
        if text.is_empty() || pieces.gone {
            return Ok(());
        }
        if !text.ends_with(b"\n") && text.len() > RESOURCE_BYTES_MAX {
            skip_line(reader)?;
            pieces.item(origin, Err(too_large(RESOURCE_BYTES_MAX)), None);
        } else if !text.trim_ascii().is_empty() {
            pieces.item(origin, Ok(text.into()), None);
        }
    }
    Ok(())
}

fn skip_line(reader: &mut dyn BufRead) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let bytes = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(bytes);
        if end.is_some() || bytes == 0 {
            return Ok(());
        }
    }
}

fn document(reader: &mut dyn BufRead, origin: &Origin, pieces: &mut Pieces<'_>) -> io::Result<()> {
    let mut text = Vec::new();
    reader.take(BUNDLE_BYTES_MAX as u64 + 1).read_to_end(&mut text)?;
    if text.len() > BUNDLE_BYTES_MAX {
        pieces.refuse(origin.clone(), too_large(BUNDLE_BYTES_MAX));
        return Ok(());
    }
    let text = Bytes::from(text);
    match bundle::kind(&text) {
        Some(kind) if kind == "transaction" => {
            pieces.flush();
            pieces.send(Piece::Transaction(origin.clone(), text));
        }
        Some(kind) if bundle::CARRIERS.contains(&kind.as_str()) => match bundle::resources(&text) {
            Ok((resources, links)) => {
                for (entry, text) in resources {
                    let origin = Origin { entry: Some(entry), ..origin.clone() };
                    pieces.item(origin, text, Some(links.clone()));
                }
            }
            Err(refusal) => pieces.refuse(origin.clone(), refusal),
        },
        _ if text.len() > RESOURCE_BYTES_MAX => {
            pieces.item(origin.clone(), Err(too_large(RESOURCE_BYTES_MAX)), None);
        }
        _ => pieces.item(origin.clone(), Ok(text), None),
    }
    Ok(())
}

/// Gathers texts into pieces.
struct Pieces<'a> {
    items: Vec<Item>,
    bytes: usize,
    to: &'a Sender<Piece>,
    /// Whether no one takes them any more.
    gone: bool,
}

impl Pieces<'_> {
    fn item(&mut self, origin: Origin, text: Result<Bytes, Refusal>, links: Option<Arc<Links>>) {
        let bytes = text.as_ref().map_or(0, Bytes::len);
        if self.items.len() >= PIECE_COUNT || self.bytes + bytes > PIECE_BYTES {
            self.flush();
        }
        self.bytes += bytes;
        self.items.push(Item { origin, text, links });
    }

    /// What comes next is not to be written with what came before.
    fn flush(&mut self) {
        if !self.items.is_empty() {
            self.bytes = 0;
            let items = std::mem::take(&mut self.items);
            self.send(Piece::Resources(items));
        }
    }

    fn refuse(&mut self, origin: Origin, refusal: Refusal) {
        self.flush();
        self.send(Piece::Refused(origin, refusal));
    }

    fn send(&mut self, piece: Piece) {
        self.gone |= self.to.blocking_send(piece).is_err();
    }
}

/// A file that counts what is read of it.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

fn unreadable(error: &io::Error) -> Refusal {
    let text = format!("The file cannot be read further: {error}. What came before is imported.");
    Refusal::bad_request(IssueCode::Incomplete, text)
}

fn too_large(bytes_max: usize) -> Refusal {
    let text = format!("This is larger than the {bytes_max} bytes that are allowed.");
    Refusal::bad_request(IssueCode::TooLong, text)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn read_lines(text: &[u8]) -> Vec<(Option<u64>, Option<usize>)> {
        let (send, mut receive) = tokio::sync::mpsc::channel(64);
        let mut pieces = Pieces { items: Vec::new(), bytes: 0, to: &send, gone: false };
        let origin = Origin { file: "f".into(), line: None, entry: None };
        lines(&mut BufReader::new(text), &origin, &mut pieces).unwrap();
        pieces.flush();
        let mut found = Vec::new();
        while let Ok(Piece::Resources(items)) = receive.try_recv() {
            let item = |item: Item| (item.origin.line, item.text.ok().map(|text| text.len()));
            found.extend(items.into_iter().map(item));
        }
        found
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_and_the_next_is_read() {
        let mut text = b"{}\n\n".to_vec();
        text.resize(text.len() + RESOURCE_BYTES_MAX + 1, b' ');
        text.extend_from_slice(b"\n{ }");
        assert_eq!(read_lines(&text), [(Some(1), Some(3)), (Some(3), None), (Some(4), Some(3))]);
    }

    #[test]
    fn pieces_are_bounded_in_number_and_in_bytes() {
        let (send, mut receive) = tokio::sync::mpsc::channel(64);
        let mut pieces = Pieces { items: Vec::new(), bytes: 0, to: &send, gone: false };
        let origin = Origin { file: "f".into(), line: None, entry: None };
        for bytes in [PIECE_BYTES, 1, 1] {
            pieces.item(origin.clone(), Ok(vec![0; bytes].into()), None);
        }
        for _ in 0..PIECE_COUNT {
            pieces.item(origin.clone(), Ok(Bytes::new()), None);
        }
        pieces.flush();
        let mut counts = Vec::new();
        while let Ok(Piece::Resources(items)) = receive.try_recv() {
            counts.push(items.len());
        }
        assert_eq!(counts, [1, PIECE_COUNT, 2]);
    }

    #[test]
    fn a_name_says_what_a_file_holds() {
        let kind = |name: &str| Kind::of(Path::new(name));
        assert_eq!(kind("a/Patient.ndjson.GZ"), Some(Kind { lines: true, zipped: true }));
        assert_eq!(kind("a.json"), Some(Kind { lines: false, zipped: false }));
        for name in ["a.xml", "a.gz", "json", "a.ndjson.bak"] {
            assert_eq!(kind(name), None, "{name}");
        }
    }
}
