-- As sqlite/0006_custodian.sql.
ALTER TABLE resource ADD COLUMN custodian TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE history ADD COLUMN custodian TEXT COLLATE "C" NOT NULL DEFAULT '';
