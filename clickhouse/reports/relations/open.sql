-- The other hours that touch the time from the beginning of the period before to the end of the period: these are read from raw rows. Named
-- one by one, since the engine finds hours by their names, while it reads all to leave out some.
SELECT toStartOfHour({previous_from:DateTime('UTC')}) + toIntervalHour(number) AS hour
FROM numbers(toUInt64(intDiv(toUnixTimestamp({to:DateTime('UTC')}) - toUnixTimestamp(toStartOfHour({previous_from:DateTime('UTC')})) + 3599, 3600)))
WHERE hour NOT IN (SELECT hour FROM closed)
