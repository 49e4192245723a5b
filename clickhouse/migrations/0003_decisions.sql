-- What was decided about requests that asked first: one row for each second, outcome, policy, service and client, with the
-- number of decisions. What passed is counted without the client, unless the client was limited within the last hour.
--
-- Order: the rows of an hour by what was decided and by which policy, so that a question about one policy or about blocks
-- alone leaves the others out, and a client's rows lie together.
-- `(batch, row)` identifies a row, as in request_logs.
CREATE TABLE IF NOT EXISTS decisions
(
    timestamp      DateTime('UTC') COMMENT 'the second of the decisions; of several, while there was no room for more rows, the first' CODEC(Delta(4), ZSTD(1)),
    ingested_at    DateTime('UTC') COMMENT 'when the row was written; retention counts from here' CODEC(Delta(4), ZSTD(1)),
    batch          UInt64,
    row            UInt32 CODEC(Delta(4), ZSTD(1)),
    outcome        Enum8('allowed' = 1, 'limited' = 2, 'blocked' = 3, 'shadow_limited' = 4) COMMENT 'shadow_limited: passed, but over the limit of a policy in SHADOW',
    policy_id      LowCardinality(String) COMMENT 'the policy that was asked; empty: none was',
    window_seconds UInt32 COMMENT 'of the policy, in seconds; 0: none was asked',
    service        LowCardinality(String),
    ip             IPv6 COMMENT 'of the client, of several the first; IPv4 as ::ffff:a.b.c.d; :: not told or unknown',
    counted        String COMMENT 'the client as the policy counts it, such as 203.0.113.7, 2001:db8::/64, user:42; empty: not told or unknown',
    entry_id       LowCardinality(String) COMMENT 'of the block list; empty: it had no say',
    method         LowCardinality(String) COMMENT 'of the first; empty where the client is not told',
    path           String COMMENT 'of the first, without the query, 256 characters at most',
    count          UInt32 COMMENT 'decisions',
    INDEX batch_minmax batch TYPE minmax
)
ENGINE = MergeTree
PARTITION BY toDate(timestamp)
ORDER BY (toStartOfHour(timestamp), outcome, policy_id, service, counted, timestamp)
TTL ingested_at + INTERVAL 30 DAY
SETTINGS
    ttl_only_drop_parts = 1,
    default_compression_codec = 'ZSTD(1)',
    -- As in request_logs: a batch may come again hours later, and the spool deletes it once its insert is in.
    non_replicated_deduplication_window = 20000,
    fsync_after_insert = 1,
    fsync_part_directory = 1;
