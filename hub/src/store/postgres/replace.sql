-- Takes back what versions that are replaced are found by, and puts the new versions in their place.
-- One statement is one snapshot: the history is read from the rows as they were.
-- $1 to $27: index rows, $28 to $35: versions, $36 to $39: unique identifiers, $40: NHS number system,
-- $41: now.
WITH kept AS (
    INSERT INTO history (key, type, version, updated, method, stamp, body, custodian)
    SELECT key, type, version, updated, method, stamp, body, custodian FROM resource WHERE key = ANY ($28)
), replaced AS (
    UPDATE resource r SET version = n.version, updated = n.updated, method = n.method,
        clinical_ms = n.clinical_ms, body = n.body, custodian = n.custodian, stamp = DEFAULT
    FROM unnest($28::bigint[], $29::bigint[], $30::bigint[], $31::bigint[], $32::bigint[],
            $33::bigint[], $34::bytea[], $35::text[])
        AS n (key, type, version, updated, method, clinical_ms, body, custodian)
    WHERE r.key = n.key
), compartment_gone AS (
    DELETE FROM compartment t
    USING unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
        AS g (patient, type, clinical_ms, key)
    WHERE t.patient = g.patient AND t.type = g.type AND t.clinical_ms = g.clinical_ms
        AND t.key = g.key
), token_gone AS (
    DELETE FROM token t
    USING unnest($5::bigint[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[])
        AS g (param, code, clinical_ms, key, system)
    WHERE t.param = g.param AND t.code = g.code AND t.clinical_ms = g.clinical_ms
        AND t.key = g.key AND t.system = g.system
), patient_token_gone AS (
    DELETE FROM patient_token t
    USING unnest($10::bigint[], $11::bigint[], $12::text[], $13::bigint[], $14::bigint[],
            $15::bigint[])
        AS g (patient, param, code, clinical_ms, key, system)
    WHERE t.patient = g.patient AND t.param = g.param AND t.code = g.code
        AND t.clinical_ms = g.clinical_ms AND t.key = g.key AND t.system = g.system
), date_gone AS (
    DELETE FROM date t
    USING unnest($16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[])
        AS g (key, param, low, high)
    WHERE t.key = g.key AND t.param = g.param AND t.low = g.low AND t.high = g.high
), number_gone AS (
    DELETE FROM number t
    USING unnest($20::bigint[], $21::bigint[], $22::bigint[], $23::float8[], $24::float8[])
        AS g (key, param, unit, low, high)
    WHERE t.key = g.key AND t.param = g.param AND t.unit = g.unit AND t.low = g.low
        AND t.high = g.high
), reference_gone AS (
    DELETE FROM reference t
    USING unnest($25::bigint[], $26::bigint[], $27::bigint[]) AS g (param, target, key)
    WHERE t.param = g.param AND t.target = g.target AND t.key = g.key
), given_up AS (
    DELETE FROM unique_identifier u
    USING unnest($36::bigint[], $37::text[], $38::text[], $39::bigint[])
        AS g (type, system, value, key)
    WHERE u.type = g.type AND u.system = g.system AND u.value = g.value AND u.key = g.key
    RETURNING u.system, u.value, u.key
)
-- The locator should no longer know the numbers that were given up.
UPDATE registration r SET wanted = 0, generation = r.generation + 1, state = 0,
    due = CASE WHEN r.state = 0 THEN r.due ELSE 0 END,
    since = CASE WHEN r.state = 0 THEN r.since ELSE $41 END
FROM given_up g WHERE g.system = $40 AND r.number = g.value AND r.holder = g.key
