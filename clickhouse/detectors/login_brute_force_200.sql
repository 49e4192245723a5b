-- Sends one password after the other to a login that says no with 200, as WordPress and Joomla do: a rule on 401 and 403 never sees it.
-- Logins that lead on (3xx) have worked and do not count; where as many work as fail, many people are. Logging in is also nearly all that it does, while people go on to what they came
-- for; and where the service names its users, an address from which many get in is an office. WordPress's own service (Jetpack)
-- speaks through xmlrpc.php all day and is left out.
--
-- name: Login brute force answered with 200
-- severity: HIGH
-- window: 1h
-- unit: attempts
-- parameter: attempts UInt32 = 20 [3, 100000] requests to log in that did not lead on
-- parameter: at_once UInt32 = 6 [3, 10000] or within ten seconds
-- parameter: share Float64 = 0.33 [0, 1] of its requests for pages, at least, are such: tools may fetch the form each time
-- reference: https://app.crowdsec.net/hub/author/crowdsecurity/configurations/http-bf-wordpress_bf
WITH
    served AND login AND status_code NOT BETWEEN 300 AND 399 AND NOT (position(lower_path, 'xmlrpc') > 0 AND position(lower_user_agent, 'jetpack') > 0) AS evidence,
    groupArrayIf(toUInt16(toMinute(timestamp) * 60 + toSecond(timestamp)), evidence) AS seconds
SELECT
    countIf(evidence) AS observed,
    if(in_ten_seconds >= {at_once:UInt32}, least({at_once:UInt32}, {attempts:UInt32}), {attempts:UInt32}) AS threshold,
    arrayMax(arrayCumSum(arrayMap(x -> if(x % 2 = 1, 1, -1), arraySort(arrayConcat(arrayMap(s -> s * 2 + 1, seconds), arrayMap(s -> (s + 10) * 2, seconds)))))) AS in_ten_seconds,
    countIf(page) AS page_requests,
    countIf(served AND login AND status_code BETWEEN 300 AND 399) AS succeeded,
    arrayUniq(groupArrayIf(cityHash64(user_id), evidence AND user_id != '' AND status_code < 300)) AS users
HAVING observed >= {share:Float64} * page_requests AND users * 2 <= observed AND succeeded < observed
