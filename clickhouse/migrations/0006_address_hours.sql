-- What each address did in an hour, slim, for detectors that look back over days and weeks: raw rows need not be read again.
-- An address is what a limit counts, too: IPv4 as it is, IPv6 by its /64.
CREATE TABLE IF NOT EXISTS address_hours_by_run
(
    hour          DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    run_id        UInt64,
    address       IPv6 COMMENT 'IPv4 as ::ffff:a.b.c.d; of IPv6 the first of its /64',
    ip            IPv6 COMMENT 'the lowest address of it that was seen',
    requests      UInt32,
    pages         UInt32 COMMENT 'requests for what people open: no images, scripts, styles, fonts',
    paths         UInt32 COMMENT 'different paths of pages',
    errors        UInt32 COMMENT 'answers 400 to 599, without those that Vedette gave itself',
    server_errors UInt32 COMMENT 'answers 500 to 599',
    denied        UInt32 COMMENT 'answers that Vedette gave itself: limited, blocked, challenged',
    response_bytes UInt64,
    services      Array(LowCardinality(String)) COMMENT 'in order, 20 at most',
    user_agents   UInt32 COMMENT 'different ones, absent ones left out',
    user_agent    LowCardinality(String) COMMENT 'the one most used, absent ones counted; of several such the last by name',
    referers      Array(String) COMMENT 'hosts of foreign referers without www., in order, 20 at most',
    country       LowCardinality(String),
    city          LowCardinality(String),
    asn           UInt32,
    as_organization LowCardinality(String),
    first_seen    DateTime64(3, 'UTC'),
    last_seen     DateTime64(3, 'UTC'),
    written_at DateTime('UTC') DEFAULT now() COMMENT 'retention counts from here: an imported log of long ago is not old' CODEC(Delta(4), ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(hour)
ORDER BY (hour, address)
TTL written_at + INTERVAL 60 DAY
SETTINGS ttl_only_drop_parts = 1, default_compression_codec = 'ZSTD(1)', fsync_after_insert = 1, fsync_part_directory = 1;

CREATE VIEW IF NOT EXISTS address_hours AS
SELECT * EXCEPT written_at FROM address_hours_by_run
WHERE (hour, run_id) IN (SELECT window_from, run_id FROM valid_runs WHERE job = 'hourly');

-- Requests that look for something to break, one row for each address, hour, kind and target. Few, so weeks of them are cheap.
CREATE TABLE IF NOT EXISTS probes_by_run
(
    hour       DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    run_id     UInt64,
    address    IPv6,
    kind       LowCardinality(String) COMMENT 'the detector that such a request is evidence for',
    target     String COMMENT 'path, 200 characters at most',
    requests   UInt32,
    first_seen DateTime64(3, 'UTC'),
    last_seen  DateTime64(3, 'UTC'),
    written_at DateTime('UTC') DEFAULT now() COMMENT 'retention counts from here: an imported log of long ago is not old' CODEC(Delta(4), ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(hour)
ORDER BY (address, hour, kind, target)
TTL written_at + INTERVAL 60 DAY
SETTINGS ttl_only_drop_parts = 1, default_compression_codec = 'ZSTD(1)', fsync_after_insert = 1, fsync_part_directory = 1;

CREATE VIEW IF NOT EXISTS probes AS
SELECT * EXCEPT written_at FROM probes_by_run
WHERE (hour, run_id) IN (SELECT window_from, run_id FROM valid_runs WHERE job = 'hourly');

-- Where each user was seen in an hour, by successful requests: for travel that cannot be and countries that are new.
CREATE TABLE IF NOT EXISTS user_hours_by_run
(
    hour       DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    run_id     UInt64,
    user_id    String,
    address    IPv6,
    country    LowCardinality(String),
    latitude   Nullable(Float32),
    longitude  Nullable(Float32),
    requests   UInt32,
    first_seen DateTime64(3, 'UTC'),
    last_seen  DateTime64(3, 'UTC'),
    written_at DateTime('UTC') DEFAULT now() COMMENT 'retention counts from here: an imported log of long ago is not old' CODEC(Delta(4), ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(hour)
ORDER BY (user_id, hour, address)
TTL written_at + INTERVAL 60 DAY
SETTINGS ttl_only_drop_parts = 1, default_compression_codec = 'ZSTD(1)', fsync_after_insert = 1, fsync_part_directory = 1;

CREATE VIEW IF NOT EXISTS user_hours AS
SELECT * EXCEPT written_at FROM user_hours_by_run
WHERE (hour, run_id) IN (SELECT window_from, run_id FROM valid_runs WHERE job = 'hourly');

-- Addresses that say they are a crawler, and whether its owner's published ranges or names bear them out.
CREATE TABLE IF NOT EXISTS crawler_hours_by_run
(
    hour     DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    run_id   UInt64,
    address  IPv6,
    crawler  LowCardinality(String) COMMENT 'such as googlebot',
    verdict  Enum8('verified' = 1, 'false' = 2, 'unknown' = 3) COMMENT 'unknown: neither ranges nor names could be asked',
    written_at DateTime('UTC') DEFAULT now() COMMENT 'retention counts from here: an imported log of long ago is not old' CODEC(Delta(4), ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(hour)
ORDER BY (hour, address)
TTL written_at + INTERVAL 60 DAY
SETTINGS ttl_only_drop_parts = 1, default_compression_codec = 'ZSTD(1)', fsync_after_insert = 1, fsync_part_directory = 1;
