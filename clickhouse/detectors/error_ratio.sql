-- Most of what it asks for fails: whoever knows a site finds what they look for, whoever guesses does not.
-- Different targets must fail, since one that fails always is a broken program or a dead link; what a session that ran out (401) or a limit of the
-- service's own (429) refuses is left out; and a third of the failures must be the client's (4xx), since an outage fails everybody with 5xx.
--
-- name: Error ratio
-- severity: MEDIUM
-- window: 1h
-- unit: share of requests
-- parameter: share Float64 = 0.5 [0.05, 1] of requests for pages that fail
-- parameter: requests UInt32 = 11 [5, 100000] requests for pages, fewer say nothing
-- parameter: targets UInt32 = 5 [1, 1000] different things (path and query) that failed
WITH
    error AND page AND status_code != 429 AND (status_code != 401 OR method = 'POST') AS evidence
SELECT
    round(countIf(evidence) / greatest(1, countIf(page)), 3) AS observed,
    {share:Float64} AS threshold,
    countIf(page) AS page_requests,
    countIf(evidence) AS failed,
    arrayUniq(groupArrayIf(cityHash64(path, query), evidence)) AS failed_targets,
    countIf(evidence AND client_error) AS client_errors
HAVING page_requests >= {requests:UInt32} AND failed_targets >= {targets:UInt32} AND client_errors * 3 >= failed
