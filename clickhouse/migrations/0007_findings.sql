-- What detectors found: one row for each (address, detector, window). With `observed` and `threshold` it says why, with the
-- window and the detector's evidence it leads to the rows that prove it.
CREATE TABLE IF NOT EXISTS findings_by_run
(
    hour            DateTime('UTC') COMMENT 'the hour that was closed' CODEC(Delta(4), ZSTD(1)),
    run_id          UInt64,
    address         IPv6 COMMENT 'as in address_hours',
    ip              IPv6 COMMENT 'the lowest address of it that was seen',
    detector        LowCardinality(String),
    severity        Enum8('LOW' = 1, 'MEDIUM' = 2, 'HIGH' = 3, 'CRITICAL' = 4),
    mode            Enum8('REPORT_ONLY' = 1, 'FLAG' = 2, 'FLAG_AND_BLOCK' = 3) COMMENT 'of the detector at that time; REPORT_ONLY flags nobody',
    repeated        Bool COMMENT 'the same detector had flagged the address within the 24 hours before: nobody is told again',
    window_from     DateTime('UTC') COMMENT 'what the detector looked at: [window_from, window_to)',
    window_to       DateTime('UTC'),
    observed        Float64 COMMENT 'in the unit of the detector',
    threshold       Float64,
    score           Float32 COMMENT '0 to 100',
    requests        UInt32 COMMENT 'of the address in the window',
    errors          UInt32,
    services        Array(LowCardinality(String)),
    country         LowCardinality(String),
    city            LowCardinality(String),
    asn             UInt32,
    as_organization LowCardinality(String),
    user_agent      LowCardinality(String) COMMENT 'the one most used',
    referers        Array(String) COMMENT 'hosts of foreign referers',
    target          String COMMENT 'the path most asked for among the evidence; empty: none',
    first_seen      DateTime64(3, 'UTC'),
    last_seen       DateTime64(3, 'UTC'),
    details         String COMMENT 'flat JSON object: what else the detector says',
    parameters      String COMMENT 'flat JSON object: of the detector at that time',
    written_at DateTime('UTC') DEFAULT now() COMMENT 'retention counts from here: an imported log of long ago is not old' CODEC(Delta(4), ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, address, detector)
TTL written_at + INTERVAL 400 DAY
SETTINGS
    default_compression_codec = 'ZSTD(1)',
    non_replicated_deduplication_window = 1000,
    -- The run's record, written after them, is fsynced: a run that counts must have its findings.
    fsync_after_insert = 1,
    fsync_part_directory = 1;

CREATE VIEW IF NOT EXISTS findings AS
SELECT * EXCEPT written_at FROM findings_by_run
WHERE (hour, run_id) IN (SELECT window_from, run_id FROM valid_runs WHERE job = 'hourly');
