-- By which rules the index is made, and how far it is. generation counts up whenever it is begun anew;
-- added are search parameters of the record's own. What has a key above cursor and up to last is in no
-- index yet; a cursor below 0 says that the index is yet to be emptied. done counts resources.
CREATE TABLE index_state (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    generation INTEGER NOT NULL,
    rules      TEXT NOT NULL,
    added      TEXT NOT NULL,
    cursor     INTEGER NOT NULL,
    last       INTEGER NOT NULL,
    done       INTEGER NOT NULL
);
INSERT INTO index_state VALUES (1, 0, '', '', 0, 0, 0);
