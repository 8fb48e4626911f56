-- The record. Terms and directory keys are small integers so that index rows stay small.
CREATE TABLE setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

-- Names of types, search parameters and code systems.
CREATE TABLE term (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);

-- Every resource, and every resource only ever referred to, has one key.
CREATE TABLE directory (
    key  INTEGER PRIMARY KEY,
    type INTEGER NOT NULL,
    id   TEXT NOT NULL,
    UNIQUE (type, id)
);

-- The current version. method: 0 create, 1 update, 2 delete (then body is null).
CREATE TABLE resource (
    key         INTEGER PRIMARY KEY,
    type        INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    method      INTEGER NOT NULL,
    clinical_ms INTEGER NOT NULL,
    body        BLOB
);
CREATE INDEX resource_by_updated ON resource (type, updated, key) WHERE method < 2;
CREATE INDEX resource_by_clinical ON resource (type, clinical_ms, key) WHERE method < 2;

-- Versions that are no longer current.
CREATE TABLE history (
    key     INTEGER NOT NULL,
    version INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    method  INTEGER NOT NULL,
    body    BLOB,
    UNIQUE (key, version)
);

-- The search index. clinical_ms is the resource's own, so that a range is in clinical order.
CREATE TABLE compartment (
    patient INTEGER NOT NULL, type INTEGER NOT NULL, clinical_ms INTEGER NOT NULL, key INTEGER NOT NULL,
    PRIMARY KEY (patient, type, clinical_ms, key)
) WITHOUT ROWID;
CREATE TABLE token (
    param INTEGER NOT NULL, code TEXT NOT NULL, clinical_ms INTEGER NOT NULL, key INTEGER NOT NULL,
    system INTEGER NOT NULL,
    PRIMARY KEY (param, code, clinical_ms, key, system)
) WITHOUT ROWID;
CREATE TABLE patient_token (
    patient INTEGER NOT NULL, param INTEGER NOT NULL, code TEXT NOT NULL, clinical_ms INTEGER NOT NULL,
    key INTEGER NOT NULL, system INTEGER NOT NULL,
    PRIMARY KEY (patient, param, code, clinical_ms, key, system)
) WITHOUT ROWID;
CREATE TABLE date (
    key INTEGER NOT NULL, param INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL,
    PRIMARY KEY (key, param, low, high)
) WITHOUT ROWID;
CREATE INDEX date_by_low ON date (param, low, high, key);
CREATE TABLE reference (
    param INTEGER NOT NULL, target INTEGER NOT NULL, key INTEGER NOT NULL,
    PRIMARY KEY (param, target, key)
) WITHOUT ROWID;

-- An identifier of a unique system belongs to one current resource of a type.
CREATE TABLE unique_identifier (
    type INTEGER NOT NULL, system TEXT NOT NULL, value TEXT NOT NULL, key INTEGER NOT NULL,
    PRIMARY KEY (type, system, value)
) WITHOUT ROWID;

-- What was written, by whom; one row an HTTP interaction.
CREATE TABLE audit (seq INTEGER PRIMARY KEY, recorded INTEGER NOT NULL, entry TEXT NOT NULL);

-- What the locator should hold, and how far it is. state: 0 to do, 1 done, 2 parked.
CREATE TABLE registration (
    number TEXT PRIMARY KEY, holder INTEGER NOT NULL, wanted INTEGER NOT NULL,
    generation INTEGER NOT NULL, state INTEGER NOT NULL, attempts INTEGER NOT NULL,
    due INTEGER NOT NULL, pointer TEXT, problem TEXT
) WITHOUT ROWID;
CREATE INDEX registration_due ON registration (due) WHERE state = 0;
