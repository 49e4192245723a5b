-- How much was asked for, how much of it failed, and how long answers took.
--
-- title: Requests
-- window: the period
-- compared with: the period before
-- kinds: HOURLY, DAILY, WEEKLY, MONTHLY
-- order: 10

-- statement: totals
-- The percentile and the number of addresses are estimated within 1 %, as everywhere in Vedette.
SELECT
    current,
    sum(s.requests) AS requests,
    sum(s.client_errors + s.server_errors) AS errors,
    quantilesDDMerge(0.005, 0.95)(duration_sketch)[1] AS p95,
    uniqCombinedMerge(ip_sketch) AS addresses
FROM sketches AS s
GROUP BY current

-- statement: services
SELECT
    service,
    sumIf(s.requests, s.current) AS requests,
    sumIf(s.requests, NOT s.current) AS previous,
    sumIf(s.client_errors + s.server_errors, s.current) AS errors,
    quantilesDDMergeIf(0.005, 0.95)(duration_sketch, s.current)[1] AS p95,
    uniqCombinedMergeIf(ip_sketch, s.current) AS addresses
FROM sketches AS s
GROUP BY service
ORDER BY requests DESC, previous DESC, service

-- statement: series
SELECT bucket, sum(h.requests) AS requests
FROM hours AS h
GROUP BY bucket
ORDER BY bucket

-- statement: busiest
SELECT toUnixTimestamp(hour) AS hour, sumIf(h.requests, h.current) AS requests
FROM hours AS h
GROUP BY hour
HAVING requests > 0
ORDER BY requests DESC, hour
LIMIT 1
