-- What each detector found, and how often it was right by what people said.
--
-- title: Anomaly detection
-- window: hours that touch the period; verdicts: all there are by its building
-- compared with: the period before
-- kinds: DAILY, WEEKLY, MONTHLY
-- order: 30

-- statement: detectors
SELECT
    toString(detector) AS id,
    countIf(current) AS findings,
    countIf(NOT current) AS previous,
    uniqExactIf(address, current) AS addresses
FROM flags
GROUP BY id
ORDER BY findings DESC, previous DESC, id

-- statement: totals
SELECT countIf(current) AS findings, countIf(NOT current) AS previous, uniqExactIf(address, current) AS addresses, uniqExactIf(address, NOT current) AS addresses_before
FROM flags

-- statement: verdicts
-- Of the newest verdict on each address.
SELECT countIf(verdict = 'CONFIRMED') AS confirmed, countIf(verdict = 'FALSE_POSITIVE') AS false_positives
FROM
(
    SELECT id, JSONExtractString(body, 'status') AS verdict
    FROM store_versions
    WHERE kind = 'verdict'
    ORDER BY id, version DESC, changed_at, changed_by, body
    LIMIT 1 BY id
)
