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

-- Heads of other regions' trails, which this one is a witness of.
CREATE TABLE audit_witnessed (
    region TEXT NOT NULL, recorded INTEGER NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (region, recorded)
) WITHOUT ROWID;

-- What AuditEvents are found by, made after the entries: up to which place of a lane; each entry by its
-- time, with the ids of the patients it is about; and by Patient/[id] and agent/[ODS code].
CREATE TABLE audit_indexed (lane INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE audit_event (
    recorded INTEGER NOT NULL, lane INTEGER NOT NULL, seq INTEGER NOT NULL, patients TEXT NOT NULL,
    PRIMARY KEY (recorded, lane, seq)
) WITHOUT ROWID;
CREATE TABLE audit_subject (
    about TEXT NOT NULL, recorded INTEGER NOT NULL, lane INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (about, recorded, lane, seq)
) WITHOUT ROWID;
