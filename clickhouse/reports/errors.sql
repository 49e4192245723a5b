-- What services failed to answer (5xx), by route, and which routes did not fail before.
--
-- title: Server errors
-- window: the period
-- compared with: the period before
-- kinds: HOURLY, DAILY, WEEKLY, MONTHLY
-- order: 70

-- statement: routes
SELECT
    service,
    route,
    sumIf(r.server_errors, r.current) AS errors,
    sumIf(r.server_errors, NOT r.current) AS previous,
    sumIf(r.requests, r.current) AS requests
FROM routes AS r
GROUP BY service, route
HAVING errors > 0 OR previous > 0
ORDER BY errors DESC, previous DESC, service, route

-- statement: series
SELECT bucket, sum(h.server_errors) AS errors, sum(h.requests) AS requests
FROM hours AS h
GROUP BY bucket
ORDER BY bucket
