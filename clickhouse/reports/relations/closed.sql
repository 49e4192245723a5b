-- Hours that are closed and lie whole within one bucket of a period: the roll-ups count them exactly. What else there is (hours still
-- open, parts of an hour at an edge) is counted from raw rows, see open.sql. {edges}: where buckets begin and periods end, in seconds, in order.
SELECT window_from AS hour
FROM valid_runs
WHERE job = 'hourly'
  AND (window_from >= {from:DateTime('UTC')} AND window_from < {to:DateTime('UTC')}
    OR window_from >= {previous_from:DateTime('UTC')} AND window_from < {previous_to:DateTime('UTC')})
  AND roundDown(toUnixTimestamp(window_from), {edges:Array(UInt32)}) = roundDown(toUnixTimestamp(window_from) + 3599, {edges:Array(UInt32)})
