-- Goes on after it was told to slow down. A page that loads twenty things at once runs into a limit twenty times in one second and then
-- waits as it is told; so seconds with a refusal are counted, not refusals. Only answers that Vedette's own limits gave.
--
-- name: Limit violator
-- severity: MEDIUM
-- window: 1h
-- unit: seconds
-- parameter: seconds UInt32 = 5 [2, 3600] different seconds in which a limit refused it
-- reference: https://app.crowdsec.net/hub/author/crowdsecurity/configurations/nginx-req-limit-exceeded
WITH action = 'rate_limited' AS evidence
SELECT
    arrayUniq(groupArrayIf(toUnixTimestamp(timestamp), evidence)) AS observed,
    {seconds:UInt32} AS threshold,
    countIf(evidence) AS refusals
