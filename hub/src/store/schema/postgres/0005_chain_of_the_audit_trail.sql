-- As sqlite/0005_chain_of_the_audit_trail.sql.
ALTER TABLE audit RENAME TO audit_unchained;
ALTER INDEX audit_pkey RENAME TO audit_unchained_pkey;
CREATE TABLE audit (
    lane BIGINT NOT NULL, seq BIGINT NOT NULL, recorded BIGINT NOT NULL, entry TEXT COLLATE "C" NOT NULL,
    hash BYTEA NOT NULL, PRIMARY KEY (lane, seq)
);
DO $$
DECLARE
    past RECORD;
    place BIGINT := 0;
    last BYTEA := decode(repeat('00', 32), 'hex');
BEGIN
    FOR past IN SELECT recorded, entry FROM audit_unchained ORDER BY seq LOOP
        place := place + 1;
        last := sha256(int8send(1) || int8send(place) || int8send(past.recorded)
            || convert_to(past.entry, 'UTF8') || last);
        INSERT INTO audit VALUES (1, place, past.recorded, past.entry, last);
    END LOOP;
END $$;
DROP TABLE audit_unchained;

CREATE TABLE audit_head (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, recorded BIGINT NOT NULL,
    document TEXT COLLATE "C" NOT NULL
);
CREATE TABLE audit_journal (name TEXT COLLATE "C" PRIMARY KEY, moved BIGINT NOT NULL);

-- Heads of other regions' trails, which this one is a witness of.
CREATE TABLE audit_witnessed (
    region TEXT COLLATE "C" NOT NULL, recorded BIGINT NOT NULL, document TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (region, recorded)
);

-- What AuditEvents are found by, made after the entries: up to which place of a lane; each entry by its
-- time, with the ids of the patients it is about; and by Patient/[id] and agent/[ODS code].
CREATE TABLE audit_indexed (lane BIGINT PRIMARY KEY, seq BIGINT NOT NULL);
CREATE TABLE audit_event (
    recorded BIGINT NOT NULL, lane BIGINT NOT NULL, seq BIGINT NOT NULL, patients TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (recorded, lane, seq)
);
CREATE TABLE audit_subject (
    about TEXT COLLATE "C" NOT NULL, recorded BIGINT NOT NULL, lane BIGINT NOT NULL, seq BIGINT NOT NULL,
    PRIMARY KEY (about, recorded, lane, seq)
);
