-- Mails that are to be sent, one task for each (report, subscription, recipient): a row for every change of state. Nothing is ever
-- handed to a mail server that is not `sending` here first, so that a process that dies with the answer outstanding leaves `unknown`
-- behind and not a second mail.
CREATE TABLE IF NOT EXISTS deliveries
(
    id              String COMMENT 'made of report, subscription and recipient, so that a re-run makes no second',
    report_id       String,
    kind            LowCardinality(String) COMMENT 'such as DAILY or INCIDENT',
    subscription_id String COMMENT 'empty: asked for by hand',
    recipient       String COMMENT 'address',
    content         String COMMENT 'JSON: what the mail is made from, so that it can be made after a restart',
    attempt         UInt16 COMMENT '1, 2, …: the one that is to come (queued), or the one this row speaks of',
    state           Enum8('queued' = 1, 'sending' = 2, 'unknown' = 3, 'failed' = 4, 'bounced' = 5, 'suppressed' = 6, 'sent' = 7) COMMENT 'sending: from just before the end of the message is sent until there is an answer',
    owner           String COMMENT 'the process that wrote this row',
    queued_at       DateTime64(3, 'UTC') COMMENT 'the same in all rows of a task',
    due_at          DateTime64(3, 'UTC') COMMENT 'when the attempt may begin',
    error           String COMMENT 'why it is not sent yet, or never; of a sent one the answer of the mail server',
    recorded_at     DateTime64(3, 'UTC') COMMENT 'for people; what counts is told by attempt and state, since clocks of processes differ'
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(queued_at)
ORDER BY (report_id, id, attempt, state)
TTL toDateTime(queued_at) + INTERVAL 400 DAY
SETTINGS
    default_compression_codec = 'ZSTD(1)',
    non_replicated_deduplication_window = 1000,
    -- That a mail is being sent must outlive a power cut, or it is sent twice.
    fsync_after_insert = 1,
    fsync_part_directory = 1;
