-- Adds new resources, what resources are found by, and what the write is remembered by; gives the
-- unique identifiers that were claimed. A claim waits for a concurrent one to be decided.
-- $1 to $40 as in replace.sql; $41: now; $42 to $45: audit entry, if there is one, its lane, its place
-- there, and the hash that binds it to those before.
WITH stored AS (
    INSERT INTO resource (key, type, version, updated, method, clinical_ms, body, custodian)
    SELECT * FROM unnest($28::bigint[], $29::bigint[], $30::bigint[], $31::bigint[],
        $32::bigint[], $33::bigint[], $34::bytea[], $35::text[])
), compartment_new AS (
    INSERT INTO compartment (patient, type, clinical_ms, key)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
), token_new AS (
    INSERT INTO token (param, code, clinical_ms, key, system)
    SELECT * FROM unnest($5::bigint[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[])
), patient_token_new AS (
    INSERT INTO patient_token (patient, param, code, clinical_ms, key, system)
    SELECT * FROM unnest($10::bigint[], $11::bigint[], $12::text[], $13::bigint[],
        $14::bigint[], $15::bigint[])
), date_new AS (
    INSERT INTO date (key, param, low, high)
    SELECT * FROM unnest($16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[])
), number_new AS (
    INSERT INTO number (key, param, unit, low, high)
    SELECT * FROM unnest($20::bigint[], $21::bigint[], $22::bigint[], $23::float8[],
        $24::float8[])
), reference_new AS (
    INSERT INTO reference (param, target, key)
    SELECT * FROM unnest($25::bigint[], $26::bigint[], $27::bigint[])
), claimed AS (
    INSERT INTO unique_identifier (type, system, value, key)
    SELECT * FROM unnest($36::bigint[], $37::text[], $38::text[], $39::bigint[])
    ON CONFLICT (type, system, value) DO NOTHING
    RETURNING system, value, key
), registered AS (
    -- The locator should now know the numbers that were claimed.
    INSERT INTO registration (number, holder, wanted, generation, state, attempts, due, since)
    SELECT value, key, 1, 1, 0, 0, 0, $41 FROM claimed WHERE system = $40
    ON CONFLICT (number) DO UPDATE SET holder = excluded.holder, wanted = 1,
        generation = registration.generation + 1, state = 0,
        due = CASE WHEN registration.state = 0 THEN registration.due ELSE 0 END,
        since = CASE WHEN registration.state = 0 THEN registration.since ELSE $41 END
), audited AS (
    INSERT INTO audit (lane, seq, recorded, entry, hash)
    SELECT $43::bigint, $44::bigint, $41::bigint, $42::text, $45::bytea WHERE $42::text IS NOT NULL
)
SELECT system, value, key FROM claimed
