-- Where every lane (a table within a sink) stands, what became of its events, and the events
-- set aside.

-- What the journal is: journal_id, format, thinned (JSON: spans [from, to) in which only
-- what some lane waits for is kept), created (microseconds since the epoch; no entry is older),
-- and, after a repair, rebuilt_at (the head at that moment).
CREATE TABLE IF NOT EXISTS meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    crc   INTEGER NOT NULL
) WITHOUT ROWID;

-- The sinks; registered is 0 once one is gone from the configuration.
CREATE TABLE IF NOT EXISTS sinks (
    sink       TEXT PRIMARY KEY,
    registered INTEGER NOT NULL,
    crc        INTEGER NOT NULL
) WITHOUT ROWID;

-- All before cursor is settled, but what waits. Received is the table's total less base; active
-- is 0 once the table is not routed to the sink any more. waits is how many offsets wait, and
-- waits_sum their sum, so that the checksum covers them too. events names the types that the sink
-- takes, joined by commas; null is all.
CREATE TABLE IF NOT EXISTS lanes (
    sink          TEXT NOT NULL,
    table_name    TEXT NOT NULL,
    cursor        INTEGER NOT NULL,
    base          INTEGER NOT NULL,
    delivered     INTEGER NOT NULL,
    dead_lettered INTEGER NOT NULL,
    discarded     INTEGER NOT NULL,
    active        INTEGER NOT NULL,
    waits         INTEGER NOT NULL,
    waits_sum     INTEGER NOT NULL,
    crc           INTEGER NOT NULL,
    events        TEXT,
    PRIMARY KEY (sink, table_name)
) WITHOUT ROWID;

-- Offsets before a lane's cursor that are not settled.
CREATE TABLE IF NOT EXISTS waiting (
    sink       TEXT NOT NULL,
    table_name TEXT NOT NULL,
    "offset"   INTEGER NOT NULL,
    PRIMARY KEY (sink, table_name, "offset")
) WITHOUT ROWID;

-- What rests because somebody said so: a sink, where table_name is empty, or one of its tables.
CREATE TABLE IF NOT EXISTS paused (
    sink       TEXT NOT NULL,
    table_name TEXT NOT NULL,
    since      INTEGER NOT NULL,
    PRIMARY KEY (sink, table_name)
) WITHOUT ROWID;

-- Events set aside. value is the event as JSON, raw the bytes that could not be read; attempts is
-- how often it was tried, answer what the destination said. size is about what it takes. From kind
-- on it is the entry of that one event, as segments hold entries; null where it is not known.
CREATE TABLE IF NOT EXISTS dead_letters (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    sink       TEXT NOT NULL,
    table_name TEXT NOT NULL,
    "offset"   INTEGER NOT NULL,
    id         TEXT NOT NULL,
    time       INTEGER NOT NULL,
    set_aside  INTEGER NOT NULL,
    reason     TEXT NOT NULL,
    value      BLOB,
    raw        BLOB,
    attempts   INTEGER NOT NULL DEFAULT 0,
    answer     TEXT,
    size       INTEGER NOT NULL DEFAULT 0,
    kind       TEXT,
    cluster    TEXT,
    schema_id  INTEGER,
    checksum   INTEGER,
    detail     TEXT,
    payload    BLOB
);
DROP INDEX IF EXISTS dead_letters_of_sink;

-- What is counted and pruned, without a look at the letters themselves.
CREATE INDEX IF NOT EXISTS dead_letters_of_lane
ON dead_letters (sink, table_name, number, set_aside, size);

-- Whether an event is a dead letter is asked for each one that a replay could not deliver.
CREATE INDEX IF NOT EXISTS dead_letters_of_event ON dead_letters ("offset");

-- The layouts of rows that were set aside, each once.
CREATE TABLE IF NOT EXISTS letter_schemas (
    schema_id INTEGER PRIMARY KEY,
    schema    TEXT NOT NULL UNIQUE
);

-- Empty. It is filled and emptied when the journal is opened, so that the write-ahead log has
-- its blocks on the disk: cursors must be able to move, and old segments to go, on a full disk.
CREATE TABLE IF NOT EXISTS reserve (
    filler BLOB
);
