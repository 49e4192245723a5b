-- Latency, and how many different addresses, paths and user agents, by service.
-- table: service_sketches_by_run
-- window: 1h
SELECT
    toDateTime({from:DateTime64(3)}) AS hour,
    {run_id:UInt64} AS run_id,
    service,
    count() AS requests,
    countIf(status_code BETWEEN 400 AND 499) AS client_errors,
    countIf(status_code >= 500) AS server_errors,
    countIf(action = 'rate_limited') AS limited,
    countIf(action = 'blocked') AS blocked,
    sum(ifNull(request_bytes, 0)) AS request_bytes,
    sum(ifNull(response_bytes, 0)) AS response_bytes,
    count(duration_ms) AS durations,
    sum(toUInt64(round(ifNull(duration_ms, 0) * 1000))) AS duration_us,
    max(duration_ms) AS duration_max,
    quantilesDDStateIf(0.005, 0.5)(assumeNotNull(duration_ms), duration_ms IS NOT NULL) AS duration_sketch,
    uniqCombinedState(ip) AS ip_sketch,
    uniqCombinedState(path) AS path_sketch,
    uniqCombinedStateIf(toString(user_agent), user_agent != '') AS user_agent_sketch
FROM requests
GROUP BY service
