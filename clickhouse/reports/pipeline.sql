-- Whether Vedette itself did its work: hours closed, closed again for late rows, failed, still open.
--
-- title: State of the pipeline
-- window: hours that touch the period, over all services
-- compared with: the period before
-- kinds: HOURLY, DAILY, WEEKLY, MONTHLY
-- order: 80

-- statement: hours
-- Late: more rows came after it had been closed, and it was closed again with them. Rows: when it was closed last.
SELECT
    current,
    countIf(succeeded > 0) AS closed,
    countIf(most > least) AS late,
    countIf(succeeded = 0 AND failures > 0) AS failed,
    sum(most) AS rows
FROM
(
    SELECT
        current,
        window_from,
        countIf(status = 'succeeded') AS succeeded,
        countIf(status = 'failed') AS failures,
        maxIf(window_rows, status = 'succeeded') AS most,
        minIf(window_rows, status = 'succeeded') AS least
    FROM job_runs
    ARRAY JOIN [true, false] AS current
    WHERE job = 'hourly'
      AND if(current,
        window_from > {from:DateTime('UTC')} - INTERVAL 1 HOUR AND window_from < {to:DateTime('UTC')},
        window_from > {previous_from:DateTime('UTC')} - INTERVAL 1 HOUR AND window_from < {previous_to:DateTime('UTC')})
    GROUP BY current, window_from
)
GROUP BY current

-- statement: open
-- Hours with rows that no run has closed.
SELECT uniqExact(toStartOfHour(timestamp)) AS hours
FROM request_logs
WHERE timestamp >= {from:DateTime('UTC')} AND timestamp < {to:DateTime('UTC')}
  AND toStartOfHour(timestamp) IN (SELECT hour FROM open WHERE hour NOT IN (SELECT window_from FROM valid_runs WHERE job = 'hourly'))

-- statement: failures
SELECT toUnixTimestamp(window_from) AS hour, attempt, error
FROM job_runs
WHERE job = 'hourly' AND status = 'failed'
  AND window_from > {from:DateTime('UTC')} - INTERVAL 1 HOUR AND window_from < {to:DateTime('UTC')}
  AND window_from NOT IN (SELECT window_from FROM valid_runs WHERE job = 'hourly')
ORDER BY window_from DESC, run_id DESC
LIMIT 100
