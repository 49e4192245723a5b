-- Is refused again and again within seconds: a tool goes through names, numbers or passwords and does not mind the answer.
-- Left out is what honest clients run into: missing pictures of a page, an app that asks on after its session has run out (401), a limit of the
-- service's own (429), and a program that asks for the one thing which is no longer there. Fourteen in 90 seconds is what Wazuh
-- takes for an attack; AWS's fifty a minute shows in `in_a_minute`.
--
-- name: Burst of client errors
-- severity: MEDIUM
-- window: 1h
-- unit: errors
-- parameter: errors UInt32 = 14 [5, 100000] answers 400 to 499 within 90 seconds
-- parameter: targets UInt32 = 5 [1, 1000] different things (path and query) that were refused in the hour
-- reference: https://documentation.wazuh.com/current/user-manual/ruleset/index.html
WITH
    client_error AND page AND status_code != 429 AND (status_code != 401 OR method = 'POST') AS evidence,
    groupArrayIf(toUInt16(toMinute(timestamp) * 60 + toSecond(timestamp)), evidence) AS seconds
SELECT
    arrayMax(arrayCumSum(arrayMap(x -> if(x % 2 = 1, 1, -1), arraySort(arrayConcat(arrayMap(s -> s * 2 + 1, seconds), arrayMap(s -> (s + 90) * 2, seconds)))))) AS observed,
    {errors:UInt32} AS threshold,
    arrayMax(arrayCumSum(arrayMap(x -> if(x % 2 = 1, 1, -1), arraySort(arrayConcat(arrayMap(s -> s * 2 + 1, seconds), arrayMap(s -> (s + 60) * 2, seconds)))))) AS in_a_minute,
    arrayUniq(groupArrayIf(cityHash64(path, query), evidence)) AS refused
HAVING refused >= {targets:UInt32}
