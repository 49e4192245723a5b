-- Small things that people change (API keys now; policies, blocks, verdicts later): every version ever written, the
-- newest one counts. The log of who changed what and when comes free.
CREATE TABLE IF NOT EXISTS store_versions
(
    kind       LowCardinality(String) COMMENT 'such as api_key',
    id         String,
    version    UInt64 COMMENT '1, 2, … for each (kind, id)',
    body       String COMMENT 'JSON object; empty: removed',
    changed_at DateTime64(3, 'UTC'),
    changed_by String COMMENT 'API key id, "cli" or "system"'
)
ENGINE = MergeTree
ORDER BY (kind, id, version)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;
