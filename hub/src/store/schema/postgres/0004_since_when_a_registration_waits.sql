-- As sqlite/0004_since_when_a_registration_waits.sql.
ALTER TABLE registration ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
