-- Where each user was seen, by successful requests.
-- table: user_hours_by_run
-- window: 1h
SELECT
    toDateTime({from:DateTime64(3)}) AS hour,
    {run_id:UInt64} AS run_id,
    user_id,
    address,
    -- Of several places one, not the country of one with the coordinates of another; known ones before unknown.
    tupleElement(max((r.country, r.latitude, r.longitude)), 1) AS country,
    tupleElement(max((r.country, r.latitude, r.longitude)), 2) AS latitude,
    tupleElement(max((r.country, r.latitude, r.longitude)), 3) AS longitude,
    count() AS requests,
    min(timestamp) AS first_seen,
    max(timestamp) AS last_seen
FROM requests AS r
WHERE user_id != '' AND status_code < 400 AND served
GROUP BY user_id, address
