-- Whose a resource is: an organisation's ODS code; empty for the region's own, as all were until now.
-- History has who it was with each version.
ALTER TABLE resource ADD COLUMN custodian TEXT NOT NULL DEFAULT '';
ALTER TABLE history ADD COLUMN custodian TEXT NOT NULL DEFAULT '';
