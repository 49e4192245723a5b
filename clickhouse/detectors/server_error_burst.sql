-- Meets one server error after the other where others do not: has found an input that the service cannot take, and repeats it.
-- In an outage everybody fails, so an error counts only while of what others asked of the service in those ten minutes less than one in
-- fifty failed, and in that minute and the ones beside it too, since an outage of two minutes is little in ten; a path that fails for
-- others too is broken, not attacked; and with nobody else there to compare with, nothing is said.
--
-- name: Burst of server errors
-- severity: MEDIUM
-- window: 1h
-- unit: errors
-- evidence: server_error
-- parameter: errors UInt32 = 11 [3, 10000] answers of 500 and above within ten minutes
-- parameter: outage Float64 = 0.02 [0.001, 1] of the others' requests that fail: then the service is unwell
-- parameter: others UInt32 = 10 [1, 10000] requests by others in those ten minutes to compare with
-- reference: https://documentation.wazuh.com/current/user-manual/ruleset/index.html
WITH
    -- By the minute, with sums of its ten minutes, and of it and the minutes before and after.
    everybody AS
    (
        SELECT
            service, minute,
            sum(asked) OVER ten AS ten_asked, sum(failed) OVER ten AS ten_failed, sum(asked) OVER near AS near_asked, sum(failed) OVER near AS near_failed
        FROM
        (
            SELECT service, toStartOfMinute(timestamp) AS minute, count() AS asked, countIf(server_error) AS failed
            FROM requests WHERE served GROUP BY service, minute
        )
        WINDOW
            ten AS (PARTITION BY service, toStartOfTenMinutes(minute)),
            near AS (PARTITION BY service ORDER BY minute RANGE BETWEEN 60 PRECEDING AND 60 FOLLOWING)
    ),
    own AS
    (
        SELECT
            address, service, minute, failed,
            sum(asked) OVER ten AS ten_asked, sum(failed) OVER ten AS ten_failed, sum(asked) OVER near AS near_asked, sum(failed) OVER near AS near_failed
        FROM
        (
            SELECT address, service, toStartOfMinute(timestamp) AS minute, count() AS asked, countIf(server_error) AS failed
            FROM requests WHERE served AND address IN (SELECT address FROM requests WHERE server_error GROUP BY address HAVING count() >= {errors:UInt32})
            GROUP BY address, service, minute
        )
        WINDOW
            ten AS (PARTITION BY address, service, toStartOfTenMinutes(minute)),
            near AS (PARTITION BY address, service ORDER BY minute RANGE BETWEEN 60 PRECEDING AND 60 FOLLOWING)
    ),
    -- Minutes in which the service was well for the others. Near by, one failure may be chance.
    odd AS
    (
        SELECT o.address AS address, o.service AS service, o.minute AS minute
        FROM own AS o
        INNER JOIN everybody AS e ON e.service = o.service AND e.minute = o.minute
        WHERE o.failed > 0
            AND e.ten_asked - o.ten_asked >= {others:UInt32}
            AND e.ten_failed - o.ten_failed < {outage:Float64} * (e.ten_asked - o.ten_asked)
            AND (e.near_failed - o.near_failed < 2 OR e.near_failed - o.near_failed < {outage:Float64} * (e.near_asked - o.near_asked))
    ),
    -- Paths that fail for at least two addresses, and for as many as they serve.
    broken AS
    (
        SELECT service, path
        FROM requests
        WHERE served AND (service, path) IN (SELECT service, path FROM requests WHERE server_error)
        GROUP BY service, path
        HAVING uniqExactIf(address, server_error) >= 2 AND uniqExactIf(address, server_error) * 2 > uniqExact(address)
    ),
    moments AS
    (
        SELECT address, groupArray(toUInt16(toMinute(timestamp) * 60 + toSecond(timestamp))) AS seconds
        FROM requests
        WHERE server_error AND (address, service, toStartOfMinute(timestamp)) IN (SELECT address, service, minute FROM odd)
            AND (service, path) NOT IN (SELECT service, path FROM broken)
        GROUP BY address
    )
SELECT
    address,
    arrayMax(arrayCumSum(arrayMap(x -> if(x % 2 = 1, 1, -1), arraySort(arrayConcat(arrayMap(s -> s * 2 + 1, seconds), arrayMap(s -> (s + 600) * 2, seconds)))))) AS observed,
    {errors:UInt32} AS threshold,
    length(seconds) AS in_the_hour
FROM moments
