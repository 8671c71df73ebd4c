-- One segment: the entries from its first offset on, and all it takes to read them alone.
-- Every row carries a checksum, because SQLite has none in its database file.

-- What the segment is: journal_id, first_offset, format, created; and end where it is thinned:
-- it holds what some lane waited for out of all up to there. Never changed.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    crc   INTEGER NOT NULL
) WITHOUT ROWID;

-- Events of each table before this segment, since the journal began. Never changed.
CREATE TABLE totals (
    table_name TEXT PRIMARY KEY,
    events     INTEGER NOT NULL,
    crc        INTEGER NOT NULL
) WITHOUT ROWID;

-- Of a thinned segment: the offset behind each table's last entry. Never changed.
CREATE TABLE kept (
    table_name TEXT PRIMARY KEY,
    upto       INTEGER NOT NULL,
    crc        INTEGER NOT NULL
) WITHOUT ROWID;

-- Where entries come from, named once; schema is JSON, null for entries without records.
CREATE TABLE origins (
    origin_id  INTEGER PRIMARY KEY,
    table_name TEXT NOT NULL,
    cluster    TEXT NOT NULL,
    schema     TEXT,
    crc        INTEGER NOT NULL
);

-- The entries. checksum: the upper half covers the columns, the lower half the payload, so
-- that an entry can be trusted or skipped without its payload. payload stands last: it may go on
-- for pages that are skipped then. detail is JSON, or the reason of an undecodable frame; of a
-- block whose records came at several times it is [[records, time], ...].
CREATE TABLE entries (
    "offset"  INTEGER PRIMARY KEY,
    count     INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    time      INTEGER NOT NULL,
    origin_id INTEGER NOT NULL,
    checksum  INTEGER NOT NULL,
    detail    TEXT,
    payload   BLOB
);

-- Small facts of the monitor, committed together with entries and carried to the next segment.
CREATE TABLE marks (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    crc   INTEGER NOT NULL
) WITHOUT ROWID;
