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

CREATE INDEX audit_by_time ON audit (recorded, lane, seq);
CREATE TABLE audit_indexed (lane BIGINT PRIMARY KEY, seq BIGINT NOT NULL);
CREATE TABLE audit_subject (
    patient TEXT COLLATE "C" NOT NULL, recorded BIGINT NOT NULL, lane BIGINT NOT NULL, seq BIGINT NOT NULL,
    PRIMARY KEY (patient, recorded, lane, seq)
);
CREATE INDEX audit_subject_by_place ON audit_subject (lane, seq);
