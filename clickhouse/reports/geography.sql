-- Where requests came from, and which countries were not there before.
--
-- title: Countries
-- window: the period
-- compared with: the period before
-- kinds: DAILY, WEEKLY, MONTHLY
-- order: 40

-- statement: countries
SELECT
    country,
    sumIf(h.requests, h.current) AS requests,
    sumIf(h.requests, NOT h.current) AS previous,
    sumIf(h.client_errors + h.server_errors, h.current) AS errors,
    sumIf(h.limited + h.blocked, h.current) AS denied
FROM hours AS h
GROUP BY country
ORDER BY requests DESC, previous DESC, country
