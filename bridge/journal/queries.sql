-- Every statement the journal runs, by name. A name, a reason, the statement.

-- name: put_meta
-- Written once per fact of a segment; replaced in state.db when a fact changes.
INSERT INTO meta (name, value, crc) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, crc = excluded.crc;

-- name: get_meta
-- All facts; the caller verifies each.
SELECT name, value, crc FROM meta;

-- name: put_total
-- Written when a segment is created.
INSERT INTO totals (table_name, events, crc) VALUES (?, ?, ?);

-- name: get_totals
-- All totals; the caller verifies each.
SELECT table_name, events, crc FROM totals;

-- name: put_mark
-- In the same transaction as entries.
INSERT INTO marks (name, value, crc) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, crc = excluded.crc;

-- name: get_marks
-- All marks; the caller verifies each.
SELECT name, value, crc FROM marks;

-- name: put_origin
-- The writer numbers origins itself, so that entries can refer to one in the same transaction.
INSERT INTO origins (origin_id, table_name, cluster, schema, crc) VALUES (?, ?, ?, ?, ?);

-- name: get_origins
-- Those that a reader has not seen yet.
SELECT origin_id, table_name, cluster, schema, crc FROM origins WHERE origin_id > ?;

-- name: put_entry
-- The append itself.
INSERT INTO entries ("offset", count, kind, time, origin_id, checksum, detail, payload)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: floor_entry
-- The entry that an offset lies in, if it begins at or before that offset.
SELECT "offset" FROM entries WHERE "offset" <= ? ORDER BY "offset" DESC LIMIT 1;

-- name: seek_entry
-- Whether the path to the next entry can be walked; touches no payload.
SELECT "offset" FROM entries WHERE "offset" >= ? ORDER BY "offset" LIMIT 1;

-- name: read_entries
-- A page. The payload of what is not wanted is not read; unwanted is a JSON array of origin ids.
SELECT "offset", count, kind, time, origin_id, checksum, detail,
       CASE WHEN :unwanted IS NULL OR origin_id NOT IN (SELECT value FROM json_each(:unwanted))
            THEN payload END
FROM entries WHERE "offset" >= :at ORDER BY "offset" LIMIT :limit;

-- name: first_entry
-- For the age of a segment.
SELECT "offset", count, kind, time, origin_id, checksum, detail
FROM entries ORDER BY "offset" LIMIT 1;

-- name: last_entry
-- For the head, and the age of a segment.
SELECT "offset", count, kind, time, origin_id, checksum, detail
FROM entries ORDER BY "offset" DESC LIMIT 1;

-- name: sum_events
-- Events per origin before an offset, which may lie inside an entry.
SELECT origin_id, sum(min(count, :before - "offset")) FROM entries
WHERE "offset" < :before GROUP BY origin_id;

-- name: get_cursors
-- All sinks; the caller verifies each.
SELECT sink, "offset", registered, crc FROM cursors;

-- name: put_cursor
-- A sink is created, moves, or leaves.
INSERT INTO cursors (sink, "offset", registered, crc) VALUES (?, ?, ?, ?)
ON CONFLICT (sink) DO UPDATE SET
    "offset" = excluded."offset", registered = excluded.registered, crc = excluded.crc;

-- name: get_accounts
-- All counts.
SELECT sink, table_name, since, base, delivered, dead_lettered, discarded, active FROM accounts;

-- name: put_account
-- In the same transaction as the cursor they belong to.
INSERT INTO accounts
    (sink, table_name, since, base, delivered, dead_lettered, discarded, active)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (sink, table_name) DO UPDATE SET
    since = excluded.since, base = excluded.base, delivered = excluded.delivered,
    dead_lettered = excluded.dead_lettered, discarded = excluded.discarded,
    active = excluded.active;

-- name: put_dead_letter
-- In the same transaction that moves the cursor past it.
INSERT INTO dead_letters
    (sink, table_name, "offset", id, time, set_aside, reason, value, raw)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: get_dead_letters
-- The newest first, of one sink or of all.
SELECT sink, table_name, "offset", id, time, reason, value, raw, number, set_aside
FROM dead_letters WHERE :sink IS NULL OR sink = :sink ORDER BY number DESC LIMIT :limit;

-- name: count_dead_letters
-- For the overview.
SELECT sink, count(*) FROM dead_letters GROUP BY sink;

-- name: salvage_dead_letters
-- Out of a damaged state.db, one at a time until it fails.
SELECT sink, table_name, "offset", id, time, set_aside, reason, value, raw
FROM dead_letters ORDER BY number;

-- name: fill_reserve
-- Grows the write-ahead log of state.db.
INSERT INTO reserve (filler) VALUES (zeroblob(?));

-- name: empty_reserve
-- Gives the pages back to the database; the log keeps its size.
DELETE FROM reserve;
