-- One row for every request that a service served.
--
-- Order: a visitor's requests of one hour lie together, which serves the hourly detectors and one address's history alike
-- and packs best. Absent numbers are NULL, never 0: a log without a duration must not pull a percentile down.
-- `(batch, row)` identifies a row: `batch` is the request to the collector that brought it, rising with time, `row` its
-- place among the rows that were taken.
CREATE TABLE IF NOT EXISTS request_logs
(
    timestamp       DateTime64(3, 'UTC') COMMENT 'when the service took the request' CODEC(Delta(8), ZSTD(1)),
    ingested_at     DateTime('UTC') COMMENT 'when the collector took the row; retention counts from here' CODEC(Delta(4), ZSTD(1)),
    batch           UInt64,
    row             UInt32,
    service         LowCardinality(String),
    host            LowCardinality(String),
    method          LowCardinality(String),
    path            String COMMENT 'without the query; as sent, not decoded',
    route           LowCardinality(String) COMMENT 'the path template, such as /users/:id',
    query           String COMMENT 'without "?"; masked values are ***',
    protocol        LowCardinality(String) COMMENT 'such as HTTP/1.1',
    status_code     UInt16,
    duration_ms     Nullable(Float32) COMMENT 'milliseconds',
    request_bytes   Nullable(UInt64),
    response_bytes  Nullable(UInt64),
    ip              IPv6 COMMENT 'of the client; IPv4 as ::ffff:a.b.c.d',
    country         LowCardinality(String) COMMENT 'ISO 3166-1 alpha-2; empty: unknown',
    city            LowCardinality(String),
    latitude        Nullable(Float32) COMMENT 'degrees, WGS 84, of the city',
    longitude       Nullable(Float32),
    asn             UInt32 COMMENT '0: unknown',
    as_organization LowCardinality(String),
    user_id         String,
    user_agent      LowCardinality(String),
    referer         LowCardinality(String),
    trace_id        String,
    action          Enum8('allowed' = 1, 'rate_limited' = 2, 'blocked' = 3, 'challenged' = 4) COMMENT 'what Vedette decided for the request',
    policy_id       LowCardinality(String),
    attributes      String COMMENT 'flat JSON object; empty: none',
    INDEX batch_minmax batch TYPE minmax
)
ENGINE = MergeTree
PARTITION BY toDate(timestamp)
ORDER BY (toStartOfHour(timestamp), ip, timestamp)
TTL ingested_at + INTERVAL 30 DAY
SETTINGS
    ttl_only_drop_parts = 1,
    default_compression_codec = 'ZSTD(1)',
    -- A batch may be sent again hours later; each part of an insert takes one place in the window.
    non_replicated_deduplication_window = 20000,
    -- The spool deletes a batch once its insert is in, so that insert must survive a power cut too.
    fsync_after_insert = 1,
    fsync_part_directory = 1;
