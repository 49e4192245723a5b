-- Requests of both periods by hour, bucket and service, as in hours.sql, with what percentiles and numbers of addresses are made of.
SELECT
    hour,
    roundDown(toUnixTimestamp(hour), {edges:Array(UInt32)}) AS bucket,
    hour >= {from:DateTime('UTC')} AS current,
    service, requests, client_errors, server_errors, limited, blocked, duration_sketch, ip_sketch
FROM service_sketches
WHERE hour IN (SELECT hour FROM closed)
  AND hour >= {previous_from:DateTime('UTC')} AND hour < {to:DateTime('UTC')}
  AND (empty({services:Array(String)}) OR has({services:Array(String)}, service))
UNION ALL
SELECT
    toStartOfHour(timestamp) AS hour,
    roundDown(toUnixTimestamp(timestamp), {edges:Array(UInt32)}) AS bucket,
    timestamp >= {from:DateTime('UTC')} AS current,
    service,
    count() AS requests,
    countIf(status_code BETWEEN 400 AND 499) AS client_errors,
    countIf(status_code >= 500) AS server_errors,
    countIf(action = 'rate_limited') AS limited,
    countIf(action = 'blocked') AS blocked,
    quantilesDDStateIf(0.005, 0.5)(assumeNotNull(duration_ms), duration_ms IS NOT NULL) AS duration_sketch,
    uniqCombinedState(ip) AS ip_sketch
FROM request_logs
WHERE (timestamp >= {from:DateTime('UTC')} AND timestamp < {to:DateTime('UTC')}
    OR timestamp >= {previous_from:DateTime('UTC')} AND timestamp < {previous_to:DateTime('UTC')})
  AND toStartOfHour(timestamp) IN (SELECT hour FROM open)
  AND (empty({services:Array(String)}) OR has({services:Array(String)}, service))
GROUP BY hour, bucket, current, service
