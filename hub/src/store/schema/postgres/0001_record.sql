-- The record, as in sqlite.sql; only key generation and type names differ.
CREATE TABLE setting (name TEXT COLLATE "C" PRIMARY KEY, value BYTEA NOT NULL);

-- Names of types, search parameters and code systems.
CREATE TABLE term (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text TEXT COLLATE "C" NOT NULL UNIQUE);

-- Every resource, and every resource only ever referred to, has one key.
CREATE TABLE directory (
    key  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type BIGINT NOT NULL,
    id   TEXT COLLATE "C" NOT NULL,
    UNIQUE (type, id)
);

-- The current version. method: 0 create, 1 update, 2 delete (then body is null).
CREATE TABLE resource (
    key         BIGINT PRIMARY KEY,
    type        BIGINT NOT NULL,
    version     BIGINT NOT NULL,
    updated     BIGINT NOT NULL,
    method      BIGINT NOT NULL,
    clinical_ms BIGINT NOT NULL,
    body        BYTEA
);
CREATE INDEX resource_by_updated ON resource (type, updated, key) WHERE method < 2;
CREATE INDEX resource_by_clinical ON resource (type, clinical_ms, key) WHERE method < 2;

-- Versions that are no longer current.
CREATE TABLE history (
    key     BIGINT NOT NULL,
    version BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    method  BIGINT NOT NULL,
    body    BYTEA,
    UNIQUE (key, version)
);

-- The search index. clinical_ms is the resource's own, so that a range is in clinical order.
CREATE TABLE compartment (
    patient BIGINT NOT NULL, type BIGINT NOT NULL, clinical_ms BIGINT NOT NULL, key BIGINT NOT NULL,
    PRIMARY KEY (patient, type, clinical_ms, key)
);
CREATE TABLE token (
    param BIGINT NOT NULL, code TEXT COLLATE "C" NOT NULL, clinical_ms BIGINT NOT NULL, key BIGINT NOT NULL,
    system BIGINT NOT NULL,
    PRIMARY KEY (param, code, clinical_ms, key, system)
);
CREATE TABLE patient_token (
    patient BIGINT NOT NULL, param BIGINT NOT NULL, code TEXT COLLATE "C" NOT NULL, clinical_ms BIGINT NOT NULL,
    key BIGINT NOT NULL, system BIGINT NOT NULL,
    PRIMARY KEY (patient, param, code, clinical_ms, key, system)
);
CREATE TABLE date (
    key BIGINT NOT NULL, param BIGINT NOT NULL, low BIGINT NOT NULL, high BIGINT NOT NULL,
    PRIMARY KEY (key, param, low, high)
);
CREATE INDEX date_by_low ON date (param, low, high, key);
CREATE TABLE reference (
    param BIGINT NOT NULL, target BIGINT NOT NULL, key BIGINT NOT NULL,
    PRIMARY KEY (param, target, key)
);

-- An identifier of a unique system belongs to one current resource of a type.
CREATE TABLE unique_identifier (
    type BIGINT NOT NULL, system TEXT COLLATE "C" NOT NULL, value TEXT COLLATE "C" NOT NULL, key BIGINT NOT NULL,
    PRIMARY KEY (type, system, value)
);

-- What was written, by whom; one row an HTTP interaction.
CREATE TABLE audit (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, recorded BIGINT NOT NULL, entry TEXT COLLATE "C" NOT NULL);

-- What the locator should hold, and how far it is. state: 0 to do, 1 done, 2 parked.
CREATE TABLE registration (
    number TEXT COLLATE "C" PRIMARY KEY, holder BIGINT NOT NULL, wanted BIGINT NOT NULL,
    generation BIGINT NOT NULL, state BIGINT NOT NULL, attempts BIGINT NOT NULL,
    due BIGINT NOT NULL, pointer TEXT COLLATE "C", problem TEXT COLLATE "C"
);
CREATE INDEX registration_due ON registration (due) WHERE state = 0;
