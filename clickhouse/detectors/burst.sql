-- Sends a hundred requests for pages within five minutes: one every three seconds, for longer than anybody clicks.
-- Files are left out, since one gallery loads more of them in a second; and the people behind one shared address are told from each
-- other by user agent and user, or an office at nine in the morning is a flood.
--
-- name: Burst
-- severity: MEDIUM
-- window: 1h
-- unit: requests
-- parameter: requests UInt32 = 100 [10, 1000000] requests for pages by one user agent and user within five minutes
-- reference: https://docs.aws.amazon.com/waf/latest/developerguide/waf-rule-statement-type-rate-based.html
WITH
    served AND page AS evidence,
    -- Seconds of the hour behind who it was: two clients never come within five minutes of each other.
    cityHash64(user_agent, user_id) % 500000000000000 * 8192 + (toMinute(timestamp) * 60 + toSecond(timestamp)) AS moment,
    if(countIf(evidence) >= {requests:UInt32}, groupArrayIf(moment, evidence), []) AS moments
SELECT
    -- One more at each request, one less five minutes after it: the highest point is the most within any five minutes.
    arrayMax(arrayCumSum(arrayMap(x -> if(x % 2 = 1, 1, -1), arraySort(arrayConcat(arrayMap(s -> s * 2 + 1, moments), arrayMap(s -> (s + 300) * 2, moments)))))) AS observed,
    {requests:UInt32} AS threshold,
    countIf(evidence) AS page_requests
