-- Classes of security labels, as bits, of each version that has any; of a deletion, those of what was
-- deleted.
CREATE TABLE restriction (
    key INTEGER NOT NULL, version INTEGER NOT NULL, classes INTEGER NOT NULL,
    PRIMARY KEY (key, version)
) WITHOUT ROWID;

-- Patients whom a resource is about beside those that reference holds. past: 1 if only a version before
-- was about them.
CREATE TABLE concern (
    key INTEGER NOT NULL, patient INTEGER NOT NULL, past INTEGER NOT NULL,
    PRIMARY KEY (key, patient, past)
) WITHOUT ROWID;

-- What patients' active Consents say: a row an alternative of each provision. lane: Consents that are
-- compared with each other, of which the newest (made, then consent) decides. A provision's exceptions
-- are those from place + 1 to last. An empty actor is anyone, a type of 0 any, classes of 0 whatever the
-- resource has. low and high are microseconds, data_low and data_high milliseconds since 1970.
CREATE TABLE consent_rule (
    lane INTEGER NOT NULL, patient INTEGER NOT NULL, made INTEGER NOT NULL, consent INTEGER NOT NULL,
    place INTEGER NOT NULL, part INTEGER NOT NULL, last INTEGER NOT NULL, permits INTEGER NOT NULL,
    actor TEXT NOT NULL, purposes INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL,
    type INTEGER NOT NULL, classes INTEGER NOT NULL, data_low INTEGER NOT NULL,
    data_high INTEGER NOT NULL,
    PRIMARY KEY (lane, patient, made, consent, place, part)
) WITHOUT ROWID;
CREATE INDEX consent_rule_by_consent ON consent_rule (consent);
