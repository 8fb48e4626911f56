-- stamp: the commit that a version came with, by which a walk through pages knows what has changed
-- under it. Before the body, so that it is read without it.
CREATE TABLE resource_2 (
    key         INTEGER PRIMARY KEY,
    type        INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    method      INTEGER NOT NULL,
    clinical_ms INTEGER NOT NULL,
    stamp       INTEGER NOT NULL,
    body        BLOB
);
INSERT INTO resource_2 SELECT key, type, version, updated, method, clinical_ms, 0, body FROM resource;
DROP TABLE resource;
ALTER TABLE resource_2 RENAME TO resource;
CREATE INDEX resource_by_updated ON resource (type, updated, key) WHERE method < 2;
CREATE INDEX resource_by_clinical ON resource (type, clinical_ms, key) WHERE method < 2;
CREATE INDEX resource_by_stamp ON resource (stamp, key);
CREATE INDEX resource_deleted ON resource (type, updated, key) WHERE method = 2;

-- Histories are walked newest first: what is current (resource_by_updated), what is deleted, and what
-- was replaced.
CREATE TABLE history_2 (
    key     INTEGER NOT NULL,
    type    INTEGER NOT NULL,
    version INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    method  INTEGER NOT NULL,
    stamp   INTEGER NOT NULL,
    body    BLOB,
    UNIQUE (key, version)
);
INSERT INTO history_2 SELECT h.key, d.type, h.version, h.updated, h.method, 0, h.body
    FROM history h JOIN directory d ON d.key = h.key;
DROP TABLE history;
ALTER TABLE history_2 RENAME TO history;
CREATE INDEX history_by_updated ON history (type, updated, key);

-- Beside resources and URLs (type 0) the directory now holds, once each, the texts that are searched
-- (type -1), units (-2) and the first components of composites (-3): a string value is a reference to
-- its text. param in an index row is a parameter's term, or the key of a composite's first component
-- with the sign turned.
CREATE TABLE number (
    key INTEGER NOT NULL, param INTEGER NOT NULL, unit INTEGER NOT NULL, low REAL NOT NULL,
    high REAL NOT NULL,
    PRIMARY KEY (key, param, unit, low, high)
) WITHOUT ROWID;
CREATE INDEX number_by_low ON number (param, unit, low, high, key);
CREATE INDEX reference_by_key ON reference (key, param, target);

-- Answers kept for callers that may ask again: an organisation's key, a digest of what was asked.
CREATE TABLE kept_answer (
    organisation TEXT NOT NULL, key TEXT NOT NULL, digest BLOB NOT NULL, answer BLOB NOT NULL,
    recorded INTEGER NOT NULL,
    UNIQUE (organisation, key)
);
CREATE INDEX kept_answer_by_recorded ON kept_answer (recorded);
