-- Pointers as they are served, and the few values they are found by.
CREATE TABLE pointer (
    id             TEXT    NOT NULL PRIMARY KEY,
    custodian      TEXT    NOT NULL,
    nhs_number     TEXT    NOT NULL,
    type           TEXT    NOT NULL, -- system|code
    category       TEXT    NOT NULL, -- system|code
    created_micros INTEGER NOT NULL, -- since 1970, UTC
    body           TEXT    NOT NULL
) STRICT;

-- The natural order of a search: category, type, creation, id.
CREATE INDEX pointer_by_patient ON pointer (nhs_number, category, type, created_micros, id);
