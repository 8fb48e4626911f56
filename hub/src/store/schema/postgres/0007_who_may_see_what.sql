-- Classes of security labels, as bits, of each version that has any; of a deletion, those of what was
-- deleted.
CREATE TABLE restriction (
    key BIGINT NOT NULL, version BIGINT NOT NULL, classes BIGINT NOT NULL,
    PRIMARY KEY (key, version)
);

-- Patients whom a resource is about beside those that reference holds. past: 1 if only a version before
-- was about them.
CREATE TABLE concern (
    key BIGINT NOT NULL, patient BIGINT NOT NULL, past BIGINT NOT NULL,
    PRIMARY KEY (key, patient, past)
);

-- What patients' active Consents say: a row an alternative of each provision. lane: Consents that are
-- compared with each other, of which the newest (made, then consent) decides. A provision's exceptions
-- are those from place + 1 to last. An empty actor is anyone, a type of 0 any, classes of 0 whatever the
-- resource has. low and high are microseconds, data_low and data_high milliseconds since 1970.
CREATE TABLE consent_rule (
    lane BIGINT NOT NULL, patient BIGINT NOT NULL, made BIGINT NOT NULL, consent BIGINT NOT NULL,
    place BIGINT NOT NULL, part BIGINT NOT NULL, last BIGINT NOT NULL, permits BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL, purposes BIGINT NOT NULL, low BIGINT NOT NULL, high BIGINT NOT NULL,
    type BIGINT NOT NULL, classes BIGINT NOT NULL, data_low BIGINT NOT NULL,
    data_high BIGINT NOT NULL,
    PRIMARY KEY (lane, patient, made, consent, place, part)
);
CREATE INDEX consent_rule_by_consent ON consent_rule (consent);
