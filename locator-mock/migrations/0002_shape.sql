-- Most pointers of a custodian differ in their id, their patient's number and their instants alone:
-- what they share is kept once, as their shape. A mark that JSON never contains stands for each
-- value that is a pointer's own (1: id, 2: number, 3: created, 4: updated).
CREATE TABLE shape (
    key       INTEGER NOT NULL PRIMARY KEY,
    digest    INTEGER NOT NULL, -- the first eight bytes of the text's SHA-256
    custodian TEXT    NOT NULL,
    type      TEXT    NOT NULL, -- system|code
    category  TEXT    NOT NULL, -- system|code
    text      TEXT    NOT NULL
) STRICT;

CREATE INDEX shape_by_digest ON shape (digest);

DROP INDEX pointer_by_patient;
ALTER TABLE pointer RENAME TO whole_pointer;

CREATE TABLE pointer (
    key            INTEGER NOT NULL PRIMARY KEY,
    id             TEXT    NOT NULL,
    nhs_number     INTEGER NOT NULL,
    shape          INTEGER NOT NULL,
    created_micros INTEGER NOT NULL, -- since 1970, UTC
    updated_micros INTEGER           -- null where it never was
) STRICT;

CREATE UNIQUE INDEX pointer_by_id ON pointer (id);
CREATE INDEX pointer_by_patient ON pointer (nhs_number);
CREATE INDEX pointer_by_shape ON pointer (shape);

-- A shape goes with its last pointer.
CREATE TRIGGER shape_of_deleted AFTER DELETE ON pointer
WHEN NOT EXISTS (SELECT 1 FROM pointer WHERE shape = OLD.shape)
BEGIN
    DELETE FROM shape WHERE key = OLD.shape;
END;

CREATE TRIGGER shape_of_updated AFTER UPDATE OF shape ON pointer
WHEN NOT EXISTS (SELECT 1 FROM pointer WHERE shape = OLD.shape)
BEGIN
    DELETE FROM shape WHERE key = OLD.shape;
END;

-- How many pointers there are, for counting millions takes too long.
CREATE TABLE tally (pointers INTEGER NOT NULL) STRICT;
INSERT INTO tally VALUES (0);

-- Client assertions that were used, until they could not be used again anyway.
CREATE TABLE used_assertion (
    digest    BLOB    NOT NULL PRIMARY KEY, -- SHA-256 of client and jti
    expires_s INTEGER NOT NULL              -- since 1970, UTC
) STRICT, WITHOUT ROWID;

CREATE INDEX used_assertion_by_expiry ON used_assertion (expires_s);
