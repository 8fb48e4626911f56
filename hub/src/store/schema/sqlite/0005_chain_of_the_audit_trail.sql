-- Each entry of the audit trail is bound to all before it in its lane: see audit/chain.rs. What was
-- recorded before becomes the beginning of the chain, and audit_unchained goes.
ALTER TABLE audit RENAME TO audit_unchained;
CREATE TABLE audit (
    lane INTEGER NOT NULL, seq INTEGER NOT NULL, recorded INTEGER NOT NULL, entry TEXT NOT NULL,
    hash BLOB NOT NULL, PRIMARY KEY (lane, seq)
) WITHOUT ROWID;

-- Where the lanes ended from time to time, each as one signed document.
CREATE TABLE audit_head (number INTEGER PRIMARY KEY, recorded INTEGER NOT NULL, document TEXT NOT NULL);

-- How many bytes of a journal's closed file are in the trail.
CREATE TABLE audit_journal (name TEXT PRIMARY KEY, moved INTEGER NOT NULL) WITHOUT ROWID;

-- What AuditEvents are found by, made after the entries: up to which place of a lane, and the patients
-- that an entry is about.
CREATE INDEX audit_by_time ON audit (recorded, lane, seq);
CREATE TABLE audit_indexed (lane INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE audit_subject (
    patient TEXT NOT NULL, recorded INTEGER NOT NULL, lane INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (patient, recorded, lane, seq)
) WITHOUT ROWID;
CREATE INDEX audit_subject_by_place ON audit_subject (lane, seq);
