-- Requests of both periods by hour, bucket, service and route, as in hours.sql.
SELECT
    hour,
    roundDown(toUnixTimestamp(hour), {edges:Array(UInt32)}) AS bucket,
    hour >= {from:DateTime('UTC')} AS current,
    service, route, requests, client_errors, server_errors, limited, blocked
FROM route_hours
WHERE hour IN (SELECT hour FROM closed)
  AND hour >= {previous_from:DateTime('UTC')} AND hour < {to:DateTime('UTC')}
  AND (empty({services:Array(String)}) OR has({services:Array(String)}, service))
UNION ALL
SELECT
    toStartOfHour(timestamp) AS hour,
    roundDown(toUnixTimestamp(timestamp), {edges:Array(UInt32)}) AS bucket,
    timestamp >= {from:DateTime('UTC')} AS current,
    service, route,
    count() AS requests,
    countIf(status_code BETWEEN 400 AND 499) AS client_errors,
    countIf(status_code >= 500) AS server_errors,
    countIf(action = 'rate_limited') AS limited,
    countIf(action = 'blocked') AS blocked
FROM request_logs
WHERE (timestamp >= {from:DateTime('UTC')} AND timestamp < {to:DateTime('UTC')}
    OR timestamp >= {previous_from:DateTime('UTC')} AND timestamp < {previous_to:DateTime('UTC')})
  AND toStartOfHour(timestamp) IN (SELECT hour FROM open)
  AND (empty({services:Array(String)}) OR has({services:Array(String)}, service))
GROUP BY hour, bucket, current, service, route
