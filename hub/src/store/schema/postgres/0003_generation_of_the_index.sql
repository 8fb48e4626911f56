-- As sqlite/0003_generation_of_the_index.sql. Every write holds the table in ROW SHARE MODE, so that
-- whoever changes it waits until they have ended.
CREATE TABLE index_state (
    one        BIGINT PRIMARY KEY CHECK (one = 1),
    generation BIGINT NOT NULL,
    rules      TEXT COLLATE "C" NOT NULL,
    added      TEXT COLLATE "C" NOT NULL,
    cursor     BIGINT NOT NULL,
    last       BIGINT NOT NULL,
    done       BIGINT NOT NULL
);
INSERT INTO index_state VALUES (1, 0, '', '', 0, 0, 0);
