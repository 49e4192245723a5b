-- What each job did for each window: one row for every change of state of a run. Rows that a run wrote elsewhere carry its
-- `run_id` and count only once the run has succeeded, so a run that died half-way, or ran again, neither doubles nor loses.
CREATE TABLE IF NOT EXISTS job_runs
(
    job           LowCardinality(String) COMMENT 'such as hourly',
    window_from   DateTime('UTC') COMMENT 'the window is [window_from, window_to)',
    window_to     DateTime('UTC'),
    run_id        UInt64 COMMENT 'rises with time',
    status        Enum8('queued' = 1, 'running' = 2, 'succeeded' = 3, 'failed' = 4, 'skipped' = 5),
    attempt       UInt16 COMMENT '1, 2, … for each (job, window)',
    requested_by  LowCardinality(String) COMMENT 'API key id, "cli" or "schedule"',
    scheduled_for DateTime64(3, 'UTC') COMMENT 'when the window was due',
    started_at    Nullable(DateTime64(3, 'UTC')),
    finished_at   Nullable(DateTime64(3, 'UTC')) COMMENT 'NULL: not yet, or it was cut off',
    window_rows   UInt64 COMMENT 'rows that the window had when it was read; more later: it is run again',
    rows_read     UInt64,
    rows_written  UInt64,
    error         String COMMENT 'why it failed, and what happens next; empty: it did not',
    recorded_at   DateTime64(6, 'UTC') COMMENT 'of several rows of a run the latest counts'
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(window_from)
ORDER BY (job, window_from, run_id, recorded_at)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

-- The run that counts for each window: the latest that succeeded. Readers of rows by run follow it.
CREATE VIEW IF NOT EXISTS valid_runs AS
SELECT job, window_from, argMax(r.run_id, (r.finished_at, r.run_id)) AS run_id, max(r.finished_at) AS finished_at
FROM job_runs AS r
WHERE status = 'succeeded'
GROUP BY job, window_from;
