-- What limits came to. The figures are those of `rateLimitEffectiveness`; only the picture is counted here.
--
-- title: Rate limits
-- window: the period
-- compared with: the period before
-- kinds: DAILY, WEEKLY, MONTHLY
-- order: 50

-- statement: series
SELECT
    roundDown(toUnixTimestamp(timestamp), {edges:Array(UInt32)}) AS bucket,
    sum(count) AS limited
FROM decisions
WHERE outcome = 'limited' AND window_seconds > 0
  AND (timestamp >= {from:DateTime('UTC')} AND timestamp < {to:DateTime('UTC')}
    OR timestamp >= {previous_from:DateTime('UTC')} AND timestamp < {previous_to:DateTime('UTC')})
  AND toStartOfHour(timestamp) >= toStartOfHour({previous_from:DateTime('UTC')}) AND toStartOfHour(timestamp) < {to:DateTime('UTC')}
  AND (empty({services:Array(String)}) OR has({services:Array(String)}, service))
GROUP BY bucket
ORDER BY bucket
