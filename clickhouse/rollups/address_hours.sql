-- What each address did.
-- table: address_hours_by_run
-- window: 1h
SELECT
    toDateTime({from:DateTime64(3)}) AS hour,
    {run_id:UInt64} AS run_id,
    address,
    min(a.ip) AS ip,
    sum(a.requests) AS requests,
    sum(a.pages) AS pages,
    uniqExactMerge(a.paths) AS paths,
    sum(a.errors) AS errors,
    sum(a.server_errors) AS server_errors,
    sum(a.denied) AS denied,
    sum(a.response_bytes) AS response_bytes,
    arraySlice(arraySort(groupUniqArrayArray(a.services)), 1, 20) AS services,
    countIf(a.user_agent != '') AS user_agents,
    argMax(a.user_agent, (a.requests, a.user_agent)) AS user_agent,
    arraySlice(arraySort(groupUniqArrayArray(a.referers)), 1, 20) AS referers,
    tupleElement(max(a.place), 1) AS country,
    tupleElement(max(a.place), 2) AS city,
    tupleElement(max(a.place), 3) AS asn,
    tupleElement(max(a.place), 4) AS as_organization,
    min(a.first_seen) AS first_seen,
    max(a.last_seen) AS last_seen
FROM
(
    -- By user agent first, so that the one most used is found without a list of them all for each address.
    SELECT
        address,
        r.user_agent AS user_agent,
        min(r.ip) AS ip,
        count() AS requests,
        countIf(page) AS pages,
        uniqExactStateIf(path, page) AS paths,
        countIf(error) AS errors,
        countIf(server_error) AS server_errors,
        countIf(NOT served) AS denied,
        sum(ifNull(r.response_bytes, 0)) AS response_bytes,
        groupUniqArray(r.service) AS services,
        groupUniqArrayIf(referer_host, referer_host NOT IN ('', own_host)) AS referers,
        -- Of several places one, not the city of one with the country of another; known ones before unknown.
        max((r.country, r.city, r.asn, r.as_organization)) AS place,
        min(timestamp) AS first_seen,
        max(timestamp) AS last_seen
    FROM
    (
        SELECT *, domainWithoutWWW(lower(referer)) AS referer_host, replaceRegexpAll(lower(host), '^www\\.|:\\d+$', '') AS own_host
        FROM requests
    ) AS r
    GROUP BY address, user_agent
) AS a
GROUP BY address
