-- Meets one server error after the other where others do not: has found an input that the service cannot take, and repeats it.
-- In an outage everybody fails, so an error counts only while of what others asked of the service in those ten minutes less than one in
-- fifty failed; a path that fails for others too is broken, not attacked; and with nobody else there to compare with, nothing is said.
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
    slots AS
    (
        SELECT service, toStartOfTenMinutes(timestamp) AS slot, count() AS all_requests, countIf(server_error) AS all_errors
        FROM requests WHERE served GROUP BY service, slot
    ),
    own_slots AS
    (
        SELECT address, service, toStartOfTenMinutes(timestamp) AS slot, count() AS own_requests, countIf(server_error) AS own_errors
        FROM requests WHERE served AND address IN (SELECT address FROM requests WHERE server_error GROUP BY address HAVING count() >= {errors:UInt32})
        GROUP BY address, service, slot
        HAVING own_errors > 0
    ),
    -- Ten minutes in which the service was well for the others.
    odd AS
    (
        SELECT o.address AS address, o.service AS service, o.slot AS slot
        FROM own_slots AS o
        INNER JOIN slots AS s ON s.service = o.service AND s.slot = o.slot
        WHERE s.all_requests - o.own_requests >= {others:UInt32}
            AND s.all_errors - o.own_errors < {outage:Float64} * (s.all_requests - o.own_requests)
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
        WHERE server_error AND (address, service, toStartOfTenMinutes(timestamp)) IN (SELECT address, service, slot FROM odd)
            AND (service, path) NOT IN (SELECT service, path FROM broken)
        GROUP BY address
    )
SELECT
    address,
    arrayMax(arrayCumSum(arrayMap(x -> if(x % 2 = 1, 1, -1), arraySort(arrayConcat(arrayMap(s -> s * 2 + 1, seconds), arrayMap(s -> (s + 600) * 2, seconds)))))) AS observed,
    {errors:UInt32} AS threshold,
    length(seconds) AS in_the_hour
FROM moments
