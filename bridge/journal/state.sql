-- Where every sink stands, what became of its events, and the events set aside.

-- What the journal is: journal_id, format, oldest (all before it was pruned), and, after
-- a repair, rebuilt_at (the head at that moment).
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    crc   INTEGER NOT NULL
) WITHOUT ROWID;

-- One cursor per sink; registered is 0 once the sink is gone from the configuration.
CREATE TABLE cursors (
    sink       TEXT PRIMARY KEY,
    "offset"   INTEGER NOT NULL,
    registered INTEGER NOT NULL,
    crc        INTEGER NOT NULL
) WITHOUT ROWID;

-- Counts per sink and table. Received is the table's total less base; since is the offset
-- from which events count; active is 0 once the table is not routed to the sink any more.
CREATE TABLE accounts (
    sink          TEXT NOT NULL,
    table_name    TEXT NOT NULL,
    since         INTEGER NOT NULL,
    base          INTEGER NOT NULL,
    delivered     INTEGER NOT NULL,
    dead_lettered INTEGER NOT NULL,
    discarded     INTEGER NOT NULL,
    active        INTEGER NOT NULL,
    PRIMARY KEY (sink, table_name)
) WITHOUT ROWID;

-- Events set aside. value is the event as JSON, raw the bytes that could not be read.
CREATE TABLE dead_letters (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    sink       TEXT NOT NULL,
    table_name TEXT NOT NULL,
    "offset"   INTEGER NOT NULL,
    id         TEXT NOT NULL,
    time       INTEGER NOT NULL,
    set_aside  INTEGER NOT NULL,
    reason     TEXT NOT NULL,
    value      BLOB,
    raw        BLOB
);
CREATE INDEX dead_letters_of_sink ON dead_letters (sink, number);

-- Empty. It is filled and emptied when the journal is opened, so that the write-ahead log has
-- its blocks on the disk: cursors must be able to move, and old segments to go, on a full disk.
CREATE TABLE reserve (
    filler BLOB
);
