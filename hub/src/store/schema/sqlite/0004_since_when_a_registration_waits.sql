-- When a registration began to wait for the locator, in microseconds since 1970.
ALTER TABLE registration ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
