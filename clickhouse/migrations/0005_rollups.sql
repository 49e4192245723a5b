-- Requests counted by the hour and by the day, so that questions about long ranges need not read raw rows. All tables have the
-- same measures, and those of a row mean what src/analytics/metrics.ts says they do.
--
-- An insert is on the disk before its run is recorded: a run that counts must not have lost its rows to a power cut.

CREATE TABLE IF NOT EXISTS service_hours_by_run
(
    hour           DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    run_id         UInt64,
    service        LowCardinality(String),
    country        LowCardinality(String),
    status_code    UInt16,
    method         LowCardinality(String),
    action         Enum8('allowed' = 1, 'rate_limited' = 2, 'blocked' = 3, 'challenged' = 4),
    requests       UInt32 COMMENT 'answered by anyone, Vedette included',
    client_errors  UInt32 COMMENT 'answers 400 to 499',
    server_errors  UInt32 COMMENT 'answers 500 and above',
    limited        UInt32 COMMENT 'denied for being over a limit',
    blocked        UInt32 COMMENT 'denied for a block',
    request_bytes  UInt64 COMMENT 'of the requests that tell',
    response_bytes UInt64,
    durations      UInt32 COMMENT 'requests that tell their duration',
    duration_us    UInt64 COMMENT 'their sum in microseconds, each rounded to one: whole numbers add up to the same in any order',
    duration_max   Nullable(Float32) COMMENT 'milliseconds; NULL where none tells',
    written_at DateTime('UTC') DEFAULT now() COMMENT 'retention counts from here: an imported log of long ago is not old' CODEC(Delta(4), ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, service, country, status_code, method, action)
TTL written_at + INTERVAL 400 DAY
SETTINGS
    ttl_only_drop_parts = 1,
    default_compression_codec = 'ZSTD(1)',
    fsync_after_insert = 1,
    fsync_part_directory = 1;

CREATE VIEW IF NOT EXISTS service_hours AS
SELECT * EXCEPT written_at FROM service_hours_by_run
WHERE (hour, run_id) IN (SELECT window_from, run_id FROM valid_runs WHERE job = 'hourly');

CREATE TABLE IF NOT EXISTS route_hours_by_run
(
    hour           DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    run_id         UInt64,
    service        LowCardinality(String),
    route          LowCardinality(String) COMMENT 'empty: the service names none',
    requests       UInt32 COMMENT 'answered by anyone, Vedette included',
    client_errors  UInt32 COMMENT 'answers 400 to 499',
    server_errors  UInt32 COMMENT 'answers 500 and above',
    limited        UInt32 COMMENT 'denied for being over a limit',
    blocked        UInt32 COMMENT 'denied for a block',
    request_bytes  UInt64 COMMENT 'of the requests that tell',
    response_bytes UInt64,
    durations      UInt32 COMMENT 'requests that tell their duration',
    duration_us    UInt64 COMMENT 'their sum in microseconds, each rounded to one: whole numbers add up to the same in any order',
    duration_max   Nullable(Float32) COMMENT 'milliseconds; NULL where none tells',
    written_at DateTime('UTC') DEFAULT now() COMMENT 'retention counts from here: an imported log of long ago is not old' CODEC(Delta(4), ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, service, route)
TTL written_at + INTERVAL 400 DAY
SETTINGS
    ttl_only_drop_parts = 1,
    default_compression_codec = 'ZSTD(1)',
    fsync_after_insert = 1,
    fsync_part_directory = 1;

CREATE VIEW IF NOT EXISTS route_hours AS
SELECT * EXCEPT written_at FROM route_hours_by_run
WHERE (hour, run_id) IN (SELECT window_from, run_id FROM valid_runs WHERE job = 'hourly');

-- Sketches: quantiles of duration within 0.5 % (1.5 % below 1 ms), numbers of different things within about 1 %. Only by
-- service: any finer, merging them took longer than reading raw rows.
CREATE TABLE IF NOT EXISTS service_sketches_by_run
(
    hour           DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    run_id         UInt64,
    service        LowCardinality(String),
    requests       UInt32 COMMENT 'answered by anyone, Vedette included',
    client_errors  UInt32 COMMENT 'answers 400 to 499',
    server_errors  UInt32 COMMENT 'answers 500 and above',
    limited        UInt32 COMMENT 'denied for being over a limit',
    blocked        UInt32 COMMENT 'denied for a block',
    request_bytes  UInt64 COMMENT 'of the requests that tell',
    response_bytes UInt64,
    durations      UInt32 COMMENT 'requests that tell their duration',
    duration_us    UInt64 COMMENT 'their sum in microseconds, each rounded to one: whole numbers add up to the same in any order',
    duration_max   Nullable(Float32) COMMENT 'milliseconds; NULL where none tells',
    duration_sketch   AggregateFunction(quantilesDD(0.005, 0.5), Float32) COMMENT 'any level may be asked of it',
    ip_sketch         AggregateFunction(uniqCombined, IPv6),
    path_sketch       AggregateFunction(uniqCombined, String),
    user_agent_sketch AggregateFunction(uniqCombined, String) COMMENT 'absent ones left out',
    written_at DateTime('UTC') DEFAULT now() COMMENT 'retention counts from here: an imported log of long ago is not old' CODEC(Delta(4), ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, service)
TTL written_at + INTERVAL 400 DAY
SETTINGS
    ttl_only_drop_parts = 1,
    default_compression_codec = 'ZSTD(1)',
    fsync_after_insert = 1,
    fsync_part_directory = 1;

CREATE VIEW IF NOT EXISTS service_sketches AS
SELECT * EXCEPT written_at FROM service_sketches_by_run
WHERE (hour, run_id) IN (SELECT window_from, run_id FROM valid_runs WHERE job = 'hourly');

-- Days of UTC, made of the hours.
CREATE TABLE IF NOT EXISTS service_days_by_run
(
    day            Date CODEC(Delta(2), ZSTD(1)),
    run_id         UInt64,
    service        LowCardinality(String),
    country        LowCardinality(String),
    status_code    UInt16,
    method         LowCardinality(String),
    action         Enum8('allowed' = 1, 'rate_limited' = 2, 'blocked' = 3, 'challenged' = 4),
    requests       UInt64 COMMENT 'answered by anyone, Vedette included',
    client_errors  UInt64 COMMENT 'answers 400 to 499',
    server_errors  UInt64 COMMENT 'answers 500 and above',
    limited        UInt64 COMMENT 'denied for being over a limit',
    blocked        UInt64 COMMENT 'denied for a block',
    request_bytes  UInt64 COMMENT 'of the requests that tell',
    response_bytes UInt64,
    durations      UInt64 COMMENT 'requests that tell their duration',
    duration_us    UInt64 COMMENT 'their sum in microseconds, each rounded to one: whole numbers add up to the same in any order',
    duration_max   Nullable(Float32) COMMENT 'milliseconds; NULL where none tells',
    written_at DateTime('UTC') DEFAULT now() COMMENT 'retention counts from here: an imported log of long ago is not old' CODEC(Delta(4), ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYear(day)
ORDER BY (day, service, country, status_code, method, action)
TTL written_at + INTERVAL 5 YEAR
SETTINGS
    ttl_only_drop_parts = 1,
    default_compression_codec = 'ZSTD(1)',
    fsync_after_insert = 1,
    fsync_part_directory = 1;

CREATE VIEW IF NOT EXISTS service_days AS
SELECT * EXCEPT written_at FROM service_days_by_run
WHERE (day, run_id) IN (SELECT toDate(window_from), run_id FROM valid_runs WHERE job = 'daily');

CREATE TABLE IF NOT EXISTS route_days_by_run
(
    day            Date CODEC(Delta(2), ZSTD(1)),
    run_id         UInt64,
    service        LowCardinality(String),
    route          LowCardinality(String) COMMENT 'empty: the service names none',
    requests       UInt64 COMMENT 'answered by anyone, Vedette included',
    client_errors  UInt64 COMMENT 'answers 400 to 499',
    server_errors  UInt64 COMMENT 'answers 500 and above',
    limited        UInt64 COMMENT 'denied for being over a limit',
    blocked        UInt64 COMMENT 'denied for a block',
    request_bytes  UInt64 COMMENT 'of the requests that tell',
    response_bytes UInt64,
    durations      UInt64 COMMENT 'requests that tell their duration',
    duration_us    UInt64 COMMENT 'their sum in microseconds, each rounded to one: whole numbers add up to the same in any order',
    duration_max   Nullable(Float32) COMMENT 'milliseconds; NULL where none tells',
    written_at DateTime('UTC') DEFAULT now() COMMENT 'retention counts from here: an imported log of long ago is not old' CODEC(Delta(4), ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYear(day)
ORDER BY (day, service, route)
TTL written_at + INTERVAL 5 YEAR
SETTINGS
    ttl_only_drop_parts = 1,
    default_compression_codec = 'ZSTD(1)',
    fsync_after_insert = 1,
    fsync_part_directory = 1;

CREATE VIEW IF NOT EXISTS route_days AS
SELECT * EXCEPT written_at FROM route_days_by_run
WHERE (day, run_id) IN (SELECT toDate(window_from), run_id FROM valid_runs WHERE job = 'daily');
