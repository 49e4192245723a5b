-- Fails to log in on one path, again and again: passwords are being tried. People give up, or get in, after a few.
-- Any path counts that refuses a POST with 401 or 403, since not every login is called one. An address from which as many logins
-- succeed as fail is an office or a network of many people, not somebody who guesses.
--
-- name: Login brute force
-- severity: HIGH
-- window: 1h
-- unit: failures
-- parameter: failures UInt32 = 20 [3, 100000] failed logins on one path in the hour
-- parameter: per_minute UInt32 = 6 [2, 10000] or within 60 seconds
-- reference: https://app.crowdsec.net/hub/author/crowdsecurity/configurations/http-generic-bf
-- reference: https://developers.cloudflare.com/waf/rate-limiting-rules/best-practices/
WITH
    served AND method = 'POST' AND status_code IN (401, 403) AS evidence,
    -- Seconds of the hour behind the path: two paths never come within an hour of each other.
    cityHash64(service, path) % 500000000000000 * 8192 + (toMinute(timestamp) * 60 + toSecond(timestamp)) AS moment,
    groupArrayIf(moment, evidence) AS moments
SELECT
    arrayMax(arrayCumSum(arrayMap(x -> if(x % 2 = 1, 1, -1), arraySort(arrayConcat(arrayMap(s -> s * 2 + 1, moments), arrayMap(s -> (s + 3600) * 2, moments)))))) AS observed,
    if(in_a_minute >= {per_minute:UInt32}, least({per_minute:UInt32}, {failures:UInt32}), {failures:UInt32}) AS threshold,
    arrayMax(arrayCumSum(arrayMap(x -> if(x % 2 = 1, 1, -1), arraySort(arrayConcat(arrayMap(s -> s * 2 + 1, moments), arrayMap(s -> (s + 60) * 2, moments)))))) AS in_a_minute,
    arrayUniq(groupArrayIf(cityHash64(user_id), evidence AND user_id != '')) AS users,
    countIf(served AND login AND status_code < 400) AS succeeded
HAVING succeeded < observed
