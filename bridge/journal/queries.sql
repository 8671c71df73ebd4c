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

-- name: get_gaps
-- The gap events of one table, or of all; touches no payload.
SELECT "offset", count, kind, time, origin_id, checksum, detail, table_name, cluster
FROM entries JOIN origins USING (origin_id)
WHERE kind = 'gap' AND (:table IS NULL OR table_name = :table) ORDER BY "offset";

-- name: first_entry
-- For the age of a segment.
SELECT "offset", count, kind, time, origin_id, checksum, detail
FROM entries ORDER BY "offset" LIMIT 1;

-- name: last_entry
-- For the head, and the age of a segment.
SELECT "offset", count, kind, time, origin_id, checksum, detail
FROM entries ORDER BY "offset" DESC LIMIT 1;

-- name: sum_events
-- Events per origin and kind before an offset, which may lie inside an entry.
SELECT origin_id, kind, sum(min(count, :before - "offset")) FROM entries
WHERE "offset" < :before GROUP BY origin_id, kind;

-- name: get_kept
-- Of a thinned segment: where each table's last entry ends; the caller verifies each.
SELECT table_name, upto, crc FROM kept;

-- name: put_kept
-- Written when a segment is thinned.
INSERT INTO kept (table_name, upto, crc) VALUES (?, ?, ?);

-- name: sum_bytes
-- Payload per origin, for what thinning would give back; reads no payload.
SELECT origin_id, sum(coalesce(length(payload), 0) + 64) FROM entries GROUP BY origin_id;

-- name: get_sinks
-- All sinks; the caller verifies each.
SELECT sink, registered, crc FROM sinks;

-- name: put_sink
-- A sink comes or leaves.
INSERT INTO sinks (sink, registered, crc) VALUES (?, ?, ?)
ON CONFLICT (sink) DO UPDATE SET registered = excluded.registered, crc = excluded.crc;

-- name: get_lanes
-- All lanes; the caller verifies each.
SELECT sink, table_name, cursor, base, delivered, dead_lettered, discarded, active, waits,
       waits_sum, events, crc
FROM lanes;

-- name: put_lane
-- A lane begins, moves, or ends.
INSERT INTO lanes (sink, table_name, cursor, base, delivered, dead_lettered, discarded, active,
                   waits, waits_sum, events, crc)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (sink, table_name) DO UPDATE SET
    cursor = excluded.cursor, base = excluded.base, delivered = excluded.delivered,
    dead_lettered = excluded.dead_lettered, discarded = excluded.discarded,
    active = excluded.active, waits = excluded.waits, waits_sum = excluded.waits_sum,
    events = excluded.events, crc = excluded.crc;

-- name: get_lanes_of_format_2
-- All lanes; the caller verifies each.
SELECT sink, table_name, cursor, base, delivered, dead_lettered, discarded, active, waits,
       waits_sum, crc
FROM lanes;

-- name: get_paused
-- All that rests.
SELECT sink, table_name, since FROM paused ORDER BY sink, table_name;

-- name: put_paused
-- Somebody lets a sink or a table of it rest.
INSERT OR IGNORE INTO paused (sink, table_name, since) VALUES (?, ?, ?);

-- name: delete_paused
-- It goes on.
DELETE FROM paused WHERE sink = ? AND table_name = ?;

-- name: get_waiting
-- All offsets that wait.
SELECT sink, table_name, "offset" FROM waiting ORDER BY sink, table_name, "offset";

-- name: put_waiting
-- An event begins to wait.
INSERT INTO waiting (sink, table_name, "offset") VALUES (?, ?, ?);

-- name: delete_waiting
-- An event that waited is settled.
DELETE FROM waiting WHERE sink = ? AND table_name = ? AND "offset" = ?;

-- name: put_letter_schema
-- Before the letter that needs it, in the same transaction.
INSERT OR IGNORE INTO letter_schemas (schema) VALUES (?);

-- name: put_dead_letter
-- In the same transaction that settles it.
INSERT INTO dead_letters
    (sink, table_name, "offset", id, time, set_aside, reason, value, raw, attempts, answer,
     size, kind, cluster, schema_id, checksum, detail, payload)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
        (SELECT schema_id FROM letter_schemas WHERE schema = ?), ?, ?, ?);

-- name: find_dead_letter
-- Whether a replayed event that is refused is one already.
SELECT number FROM dead_letters WHERE sink = ? AND "offset" = ? ORDER BY number DESC LIMIT 1;

-- name: get_dead_letters
-- Those that all given filters let through, oldest first; with the entry where it is wanted.
SELECT sink, table_name, "offset", id, time, reason, value, raw, attempts, answer, number,
       set_aside,
       CASE WHEN :entries THEN kind END, cluster, schema, checksum,
       CASE WHEN :entries THEN detail END, CASE WHEN :entries THEN payload END
FROM dead_letters LEFT JOIN letter_schemas ON :entries AND letter_schemas.schema_id =
     dead_letters.schema_id
WHERE number > coalesce(:after, 0)
  AND (:sink IS NULL OR sink = :sink) AND (:table IS NULL OR table_name = :table)
  AND (:since IS NULL OR set_aside >= :since)
  AND (:reason IS NULL OR instr(lower(reason), lower(:reason)))
  AND (:numbers IS NULL OR number IN (SELECT value FROM json_each(:numbers)))
ORDER BY number LIMIT :limit;

-- name: find_dead_letters
-- The same, of which only number, sink, table and size are wanted.
SELECT number, sink, table_name, size
FROM dead_letters
WHERE number > coalesce(:after, 0)
  AND (:sink IS NULL OR sink = :sink) AND (:table IS NULL OR table_name = :table)
  AND (:since IS NULL OR set_aside >= :since)
  AND (:reason IS NULL OR instr(lower(reason), lower(:reason)))
  AND (:numbers IS NULL OR number IN (SELECT value FROM json_each(:numbers)))
ORDER BY number LIMIT :limit;

-- name: count_dead_letters
-- The same, of which only is wanted how many each lane has, and the last number.
SELECT sink, table_name, count(*), max(number)
FROM (SELECT number, sink, table_name
      FROM dead_letters
      WHERE number > coalesce(:after, 0)
        AND (:sink IS NULL OR sink = :sink) AND (:table IS NULL OR table_name = :table)
        AND (:since IS NULL OR set_aside >= :since)
        AND (:reason IS NULL OR instr(lower(reason), lower(:reason)))
        AND (:numbers IS NULL OR number IN (SELECT value FROM json_each(:numbers)))
      ORDER BY number LIMIT :limit)
GROUP BY sink, table_name;

-- name: letters_of_event
-- The numbers under which an event is set aside, by sink; the last one of each sink counts.
SELECT sink, number FROM dead_letters WHERE "offset" = ? AND table_name = ? ORDER BY number;

-- name: last_dead_letter
-- Those that come later have higher numbers.
SELECT coalesce(max(number), 0) FROM dead_letters;

-- name: sum_dead_letters
-- How many each lane has, what they take, and when its oldest was set aside.
SELECT sink, table_name, count(*), sum(size), min(set_aside)
FROM dead_letters INDEXED BY dead_letters_of_lane GROUP BY sink, table_name;

-- name: oldest_dead_letters
-- Of one lane, to be pruned.
SELECT number, set_aside, size
FROM dead_letters INDEXED BY dead_letters_of_lane
WHERE sink = ? AND table_name = ? ORDER BY number LIMIT ?;

-- name: delete_dead_letters
-- By number; a JSON array of them.
DELETE FROM dead_letters WHERE number IN (SELECT value FROM json_each(?));

-- name: retried_dead_letter
-- A replay of it failed.
UPDATE dead_letters SET reason = ?, answer = ?, attempts = attempts + ? WHERE number = ?;

-- name: size_dead_letters
-- Those of an older format.
UPDATE dead_letters
SET size = 256 + length(reason) + coalesce(length(value), 0) + coalesce(length(raw), 0)
WHERE size = 0;

-- name: salvage_dead_letters
-- Out of a damaged state.db, one at a time until it fails.
SELECT sink, table_name, "offset", id, time, set_aside, reason, value, raw, attempts, answer,
       size, kind, cluster, schema, checksum, detail, payload
FROM dead_letters LEFT JOIN letter_schemas USING (schema_id) ORDER BY number;

-- name: salvage_dead_letters_of_format_2
-- The same, where the file is older.
SELECT sink, table_name, "offset", id, time, set_aside, reason, value, raw, attempts, answer,
       256 + coalesce(length(value), 0) + coalesce(length(raw), 0), NULL, NULL, NULL, NULL, NULL,
       NULL
FROM dead_letters ORDER BY number;

-- name: salvage_dead_letters_of_format_1
-- The same, where the file is older still.
SELECT sink, table_name, "offset", id, time, set_aside, reason, value, raw, 0, NULL,
       256 + coalesce(length(value), 0) + coalesce(length(raw), 0), NULL, NULL, NULL, NULL, NULL,
       NULL
FROM dead_letters ORDER BY number;

-- name: get_cursors_of_format_1
-- All sinks; the caller verifies each.
SELECT sink, "offset", registered, crc FROM cursors;

-- name: get_accounts_of_format_1
-- All counts.
SELECT sink, table_name, since, base, delivered, dead_lettered, discarded, active FROM accounts;

-- name: fill_reserve
-- Grows the write-ahead log of state.db.
INSERT INTO reserve (filler) VALUES (zeroblob(?));

-- name: empty_reserve
-- Gives the pages back to the database; the log keeps its size.
DELETE FROM reserve;
