-- Asks for page after page that does not exist: a wordlist is being tried. Visitors meet a dead link now and then, so different paths are
-- counted and not requests; and a crawler that knows a site from before it was rebuilt finds most of its pages, so the misses must be a
-- fair share of what was asked for. A list from end to end (250 paths and more) scores as severe.
--
-- name: Not-found probing
-- severity: MEDIUM
-- window: 1h
-- unit: paths
-- parameter: paths UInt32 = 11 [3, 100000] different pages that were answered 400, 403 or 404
-- parameter: share Float64 = 0.2 [0, 1] of all requests for pages that were answered so
-- reference: https://app.crowdsec.net/hub/author/crowdsecurity/configurations/http-probing
WITH served AND page AND status_code IN (400, 403, 404) AS evidence
SELECT
    arrayUniq(groupArrayIf(cityHash64(path), evidence)) AS observed,
    {paths:UInt32} AS threshold,
    countIf(evidence) AS hits,
    countIf(page) AS page_requests
HAVING hits >= {share:Float64} * page_requests
