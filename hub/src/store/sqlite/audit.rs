//! The audit trail, in one lane: there is one writer.

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params, params_from_iter};

use super::Sqlite;
use crate::audit::chain::{Link, Tip, from_hex, hex};
use crate::store::StoreError;
use crate::store::query::{LANES, Query};
use crate::store::trail::{Fit, KeptHead, Lines, Recorded, Stored, Subject, Subjects, Witnessed};

/// The one lane.
const LANE: i64 = 1;

/// Where the lane ends, as the one writer knows: whoever rolls entries back puts it back too.
pub(super) type End = Cell<Tip>;

impl Sqlite {
    pub(in crate::store) async fn audit_tips(&self) -> Result<Vec<Tip>, StoreError> {
        self.with_reader(|c| Ok(vec![tip(c)?]))
    }

    pub(in crate::store) async fn audit_entries(
        &self,
        query: &Query,
    ) -> Result<Vec<Recorded>, StoreError> {
        self.with_reader(|c| Ok(entries(c, query)?))
    }

    pub(in crate::store) async fn audit_patients(
        &self,
        query: &Query,
    ) -> Result<Vec<String>, StoreError> {
        self.with_reader(|c| {
            let mut statement = c.prepare_cached(query.sql())?;
            let rows =
                statement.query_map(params_from_iter(query.arguments()), |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    pub(in crate::store) async fn take_subjects(
        &self,
        subjects: Subjects,
    ) -> Result<(), StoreError> {
        self.writer.give(Given::Subjects(subjects)).await
    }

    pub(in crate::store) async fn journal_moved(&self, file: &str) -> Result<i64, StoreError> {
        self.with_reader(|c| Ok(moved(c, file)?))
    }

    pub(in crate::store) async fn take_lines(&self, lines: Lines) -> Result<(), StoreError> {
        self.writer.give(Given::Lines(lines)).await
    }

    pub(in crate::store) async fn forget_journal(&self, file: String) -> Result<(), StoreError> {
        self.writer.give(Given::Gone(file)).await
    }

    pub(in crate::store) async fn keep_head(
        &self,
        at: i64,
        document: String,
    ) -> Result<(), StoreError> {
        self.writer.give(Given::Head(at, document)).await
    }

    pub(in crate::store) async fn witness(&self, head: Witnessed) -> Result<(), StoreError> {
        self.writer.give(Given::Witnessed(head)).await
    }
}

/// Adds an entry, in the transaction of what it tells of.
pub(super) fn append(
    connection: &Connection,
    end: &End,
    recorded: i64,
    entry: String,
) -> Result<(), StoreError> {
    let Link { tip, recorded, entry } = end.get().link(recorded, entry);
    let sql = "INSERT INTO audit (lane, seq, recorded, entry, hash) VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = params![tip.lane, tip.seq, recorded, entry, tip.hash];
    connection.prepare_cached(sql)?.execute(values)?;
    end.set(tip);
    Ok(())
}

/// Where the lane ends.
pub(super) fn tip(connection: &Connection) -> rusqlite::Result<Tip> {
    let sql = "SELECT lane, seq, hash FROM audit WHERE lane = ?1 ORDER BY seq DESC LIMIT 1";
    let last = connection.prepare_cached(sql)?.query_row([LANE], read_tip).optional()?;
    Ok(last.unwrap_or(Tip::start(LANE)))
}

fn read_tip(row: &Row<'_>) -> rusqlite::Result<Tip> {
    Ok(Tip { lane: row.get(0)?, seq: row.get(1)?, hash: row.get(2)? })
}

/// What begins the file beside the database.
const NOTE_TEXT: &str = "The database beside this file holds a record. If the database is gone, restore \
                         it from a backup: the hub will not start an empty one here.\n";

/// How far the file beside the database may fall behind. Written at each commit, it would make every flush
/// of the log flush its inode too.
pub(super) const NOTE_EVERY: Duration = Duration::from_secs(1);

/// The file beside the database that says where the trail ends. It is not flushed, and written after what
/// it tells of is: it may fall behind the database, never the other way round.
pub(super) struct Note {
    file: File,
    /// What it says, and since when.
    last: Cell<(Tip, Instant)>,
}

impl Note {
    /// Opens the file, and refuses a database whose trail is not what the file says. Gives it with where
    /// the trail ends.
    pub(super) fn open(connection: &Connection, path: &Path) -> Result<(Self, Tip), StoreError> {
        if let Some(noted) = noted(path).filter(|noted| noted.seq > 0) {
            let sql = "SELECT hash FROM audit WHERE lane = ?1 AND seq = ?2";
            let found = connection.query_row(sql, [noted.lane, noted.seq], |row| row.get(0));
            if found.optional()? != Some(noted.hash) {
                return Err(StoreError::Unavailable(format!(
                    "{} lacks what was recorded last, or has something else there: restore the newest \
                     backup, or remove {} to go on without it",
                    path.display(),
                    super::beside(path, "-head").display()
                )));
            }
        }
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true);
        let file = file.open(super::beside(path, "-head")).map_err(super::unavailable)?;
        let tip = tip(connection)?;
        let note = Self { file, last: Cell::new((tip, Instant::now())) };
        note.write(tip)?;
        Ok((note, tip))
    }

    /// How long a writer without work may wait until the file is to be written.
    pub(super) fn due(&self, tip: Tip) -> Duration {
        let (last, since) = self.last.get();
        if last == tip { Duration::MAX } else { NOTE_EVERY.saturating_sub(since.elapsed()) }
    }

    /// Writes where the trail ends, if that is due.
    pub(super) fn keep_up(&self, tip: Tip) {
        if self.due(tip).is_zero() {
            self.catch_up(tip);
        }
    }

    /// Writes where the trail ends, unless the file says so already.
    pub(super) fn catch_up(&self, tip: Tip) {
        if self.last.get().0 == tip {
            return;
        }
        self.last.set((tip, Instant::now()));
        if let Err(error) = self.write(tip) {
            tracing::warn!(cause = %error, "where the audit trail ends was not noted");
        }
    }

    fn write(&self, Tip { lane, seq, hash }: Tip) -> Result<(), StoreError> {
        let text = format!("{NOTE_TEXT}{lane:020} {seq:020} {}\n", hex(&hash));
        self.file.write_all_at(text.as_bytes(), 0).map_err(super::unavailable)
    }
}

/// Where the trail ended, as the file beside the database says; nothing if it does not say so.
pub(in crate::store) fn noted(path: &Path) -> Option<Tip> {
    let text = std::fs::read_to_string(super::beside(path, "-head")).ok()?;
    let mut parts = text.lines().nth(1)?.split(' ');
    let tip = Tip {
        lane: parts.next()?.parse().ok()?,
        seq: parts.next()?.parse().ok()?,
        hash: from_hex(parts.next()?)?,
    };
    Some(tip)
}

/// Makes what was recorded before there was a chain its beginning.
pub(super) fn chain_earlier(connection: &Connection) -> Result<(), StoreError> {
    let mut select =
        connection.prepare("SELECT recorded, entry FROM audit_unchained ORDER BY seq")?;
    let (mut rows, end) = (select.query([])?, End::new(Tip::start(LANE)));
    while let Some(row) = rows.next()? {
        append(connection, &end, row.get(0)?, row.get(1)?)?;
    }
    drop(rows);
    drop(select);
    Ok(connection.execute_batch("DROP TABLE audit_unchained")?)
}

/// Opens a record's file for reading alone.
pub(in crate::store) fn open(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = super::connect(path, flags)?;
    let schema: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if schema < super::CHAINED as i64 {
        let text = "the record is of an earlier version: start the hub once";
        return Err(StoreError::Unavailable(text.into()));
    }
    Ok(connection)
}

/// The lanes that have entries: more than the one if someone put them there.
pub(in crate::store) fn lanes(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    let mut select = connection.prepare_cached(LANES)?;
    select.query_map([], |row| row.get(0))?.collect()
}

/// Entries of a lane after a place.
pub(in crate::store) fn after(
    connection: &Connection,
    lane: i64,
    place: i64,
    limit: i64,
) -> rusqlite::Result<Vec<Stored>> {
    let sql = "SELECT seq, recorded, entry, hash FROM audit WHERE lane = ?1 AND seq > ?2 \
               ORDER BY seq LIMIT ?3";
    let mut select = connection.prepare_cached(sql)?;
    let rows = select.query_map(params![lane, place, limit], |row| {
        let (seq, recorded) = (row.get(0)?, row.get(1)?);
        // Whoever altered it may have altered its kind too.
        let bytes = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_bytes_or_null()?);
        let entry = String::from_utf8_lossy(bytes(2)?.unwrap_or_default()).into_owned();
        let hash = bytes(3)?.unwrap_or_default().to_vec();
        Ok(Stored { seq, recorded, entry, hash })
    })?;
    rows.collect()
}

/// Heads after a number.
pub(in crate::store) fn heads(
    connection: &Connection,
    number: i64,
    limit: i64,
) -> rusqlite::Result<Vec<KeptHead>> {
    let sql = "SELECT number, document FROM audit_head WHERE number > ?1 ORDER BY number LIMIT ?2";
    let mut select = connection.prepare_cached(sql)?;
    select.query_map([number, limit], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// How many bytes of a journal's closed file are in the trail.
pub(super) fn moved(connection: &Connection, file: &str) -> rusqlite::Result<i64> {
    let sql = "SELECT moved FROM audit_journal WHERE name = ?1";
    let moved = connection.prepare_cached(sql)?.query_row([file], |row| row.get(0)).optional()?;
    Ok(moved.unwrap_or_default())
}

/// Entries that a generated query finds: lane, place, time, entry, patients.
pub(super) fn entries(connection: &Connection, query: &Query) -> rusqlite::Result<Vec<Recorded>> {
    let mut statement = connection.prepare_cached(query.sql())?;
    let rows = statement.query_map(params_from_iter(query.arguments()), |row| {
        let (lane, seq) = (row.get(0)?, row.get(1)?);
        let (recorded, entry, patients) = (row.get(2)?, row.get(3)?, row.get(4)?);
        Ok(Recorded { lane, seq, recorded, entry, patients })
    })?;
    rows.collect()
}

/// What the trail is given besides what writes leave in it.
pub(super) enum Given {
    /// Lines of a journal.
    Lines(Lines),
    /// A head, and when it was made.
    Head(i64, String),
    /// What entries are found by.
    Subjects(Subjects),
    /// A head of another region's trail.
    Witnessed(Witnessed),
    /// That a journal's file is gone.
    Gone(String),
}

/// Takes what is given.
pub(super) fn take(connection: &Connection, end: &End, given: &Given) -> Result<(), StoreError> {
    match given {
        Given::Lines(Lines { file, from, to, entries }) => {
            if moved(connection, file)? != *from {
                return Err(StoreError::Moved);
            }
            for (recorded, entry) in entries {
                append(connection, end, *recorded, entry.clone())?;
            }
            let sql = "INSERT INTO audit_journal (name, moved) VALUES (?1, ?2) \
                       ON CONFLICT (name) DO UPDATE SET moved = ?2";
            connection.prepare_cached(sql)?.execute(params![file, to])?;
        }
        Given::Head(recorded, document) => {
            let sql = "INSERT INTO audit_head (recorded, document) VALUES (?1, ?2)";
            connection.prepare_cached(sql)?.execute(params![recorded, document])?;
        }
        Given::Subjects(Subjects { lane, to, entries }) => {
            for entry in entries {
                find_by(connection, *lane, entry)?;
            }
            let sql = "INSERT INTO audit_indexed (lane, seq) VALUES (?1, ?2) \
                       ON CONFLICT (lane) DO UPDATE SET seq = max(seq, excluded.seq)";
            connection.prepare_cached(sql)?.execute([lane, to])?;
        }
        Given::Witnessed(head) => witness(connection, head)?,
        Given::Gone(file) => {
            let sql = "DELETE FROM audit_journal WHERE name = ?1";
            connection.prepare_cached(sql)?.execute([file])?;
        }
    }
    Ok(())
}

/// Enters what an entry is found by.
fn find_by(connection: &Connection, lane: i64, entry: &Subject) -> rusqlite::Result<()> {
    let Subject { recorded, seq, patients, about } = entry;
    let sql = "INSERT OR IGNORE INTO audit_event (recorded, lane, seq, patients) \
               VALUES (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql)?.execute(params![recorded, lane, seq, patients])?;
    let sql = "INSERT OR IGNORE INTO audit_subject (about, recorded, lane, seq) \
               VALUES (?1, ?2, ?3, ?4)";
    let mut insert = connection.prepare_cached(sql)?;
    for about in about {
        insert.execute(params![about, recorded, lane, seq])?;
    }
    Ok(())
}

/// Keeps a head of another region's trail, unless it contradicts one that is kept.
fn witness(connection: &Connection, head: &Witnessed) -> Result<(), StoreError> {
    let Witnessed { region, recorded, document } = head;
    let sql = "SELECT recorded, document FROM audit_witnessed WHERE region = ?1 AND recorded <= ?2 \
               ORDER BY recorded DESC LIMIT 1";
    let mut select = connection.prepare_cached(sql)?;
    let before = select.query_row(params![region, recorded], |row| Ok((row.get(0)?, row.get(1)?)));
    let sql = "SELECT document FROM audit_witnessed WHERE region = ?1 AND recorded > ?2 \
               ORDER BY recorded LIMIT 1";
    let mut select = connection.prepare_cached(sql)?;
    let after = select.query_row(params![region, recorded], |row| row.get(0));
    if head.fits(before.optional()?, after.optional()?)? == Fit::New {
        let sql = "INSERT INTO audit_witnessed (region, recorded, document) VALUES (?1, ?2, ?3)";
        connection.prepare_cached(sql)?.execute(params![region, recorded, document])?;
    }
    Ok(())
}
