-- As sqlite/0002_search_and_kept_answers.sql. stamp: the transaction that a version came with.
ALTER TABLE resource ADD COLUMN stamp XID8 NOT NULL DEFAULT '0';
ALTER TABLE resource ALTER COLUMN stamp SET DEFAULT pg_current_xact_id();
CREATE INDEX resource_by_stamp ON resource (stamp, key);
CREATE INDEX resource_deleted ON resource (type, updated, key) WHERE method = 2;
ALTER TABLE history ADD COLUMN stamp XID8 NOT NULL DEFAULT '0';
ALTER TABLE history ADD COLUMN type BIGINT;
UPDATE history h SET type = d.type FROM directory d WHERE d.key = h.key;
ALTER TABLE history ALTER COLUMN type SET NOT NULL;
CREATE INDEX history_by_updated ON history (type, updated, key);

CREATE TABLE number (
    key BIGINT NOT NULL, param BIGINT NOT NULL, unit BIGINT NOT NULL, low DOUBLE PRECISION NOT NULL,
    high DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (key, param, unit, low, high)
);
CREATE INDEX number_by_low ON number (param, unit, low, high, key);
CREATE INDEX reference_by_key ON reference (key, param, target);

-- Answers kept for callers that may ask again: an organisation's key, a digest of what was asked.
CREATE TABLE kept_answer (
    organisation TEXT COLLATE "C" NOT NULL, key TEXT COLLATE "C" NOT NULL, digest BYTEA NOT NULL, answer BYTEA NOT NULL,
    recorded BIGINT NOT NULL,
    UNIQUE (organisation, key)
);
CREATE INDEX kept_answer_by_recorded ON kept_answer (recorded);
