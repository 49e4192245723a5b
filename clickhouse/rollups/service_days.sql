-- The hours of a day by service, country, status, method and action.
-- table: service_days_by_run
-- window: 1d
SELECT
    toDate({from:DateTime64(3)}) AS day,
    {run_id:UInt64} AS run_id,
    service, country, status_code, method, action,
    sum(h.requests) AS requests,
    sum(h.client_errors) AS client_errors,
    sum(h.server_errors) AS server_errors,
    sum(h.limited) AS limited,
    sum(h.blocked) AS blocked,
    sum(h.request_bytes) AS request_bytes,
    sum(h.response_bytes) AS response_bytes,
    sum(h.durations) AS durations,
    sum(h.duration_us) AS duration_us,
    max(h.duration_max) AS duration_max
FROM service_hours AS h
WHERE hour >= {from:DateTime64(3)} AND hour < {to:DateTime64(3)}
GROUP BY service, country, status_code, method, action
