-- Addresses all over the world that act as one: the same user agent, sent from the same foreign page, and nearly everything they ask for fails.
-- One hour never shows enough of them, so a day is looked at. A dead link on a popular page sends many people with a common browser into
-- the same error, but to one path; these try different ones.
--
-- name: Fingerprint swarm
-- severity: HIGH
-- window: 24h
-- unit: addresses
-- evidence: served AND referer != ''
-- parameter: addresses UInt32 = 5 [2, 100000] different addresses
-- parameter: errors Float64 = 0.8 [0.3, 1] of all their requests fail
-- parameter: paths UInt32 = 3 [2, 1000] different paths that failed for them together
-- reference: https://docs.datadoghq.com/security/application_security/threats/attacker_clustering/
WITH
    visitors AS
    (
        SELECT
            address,
            argMax(h.user_agent, (h.requests, h.user_agent)) AS agent,
            sum(h.requests) AS answered,
            sum(h.errors) AS failed,
            arrayJoin(groupUniqArrayArray(h.referers)) AS referer_host
        FROM address_hours AS h
        GROUP BY address
    ),
    groups AS
    (
        SELECT agent, referer_host, groupUniqArrayIf(visitors.address, failed * 2 >= answered) AS members
        FROM visitors
        WHERE agent != ''
        GROUP BY agent, referer_host
        HAVING length(members) >= {addresses:UInt32} AND sum(failed) >= {errors:Float64} * sum(answered)
    ),
    failures AS
    (
        SELECT address, path FROM requests WHERE error AND page AND address IN (SELECT arrayJoin(members) FROM groups) GROUP BY address, path
    ),
    swarms AS
    (
        SELECT agent, referer_host, groupUniqArray(g.member) AS members
        FROM (SELECT agent, referer_host, arrayJoin(members) AS member FROM groups) AS g
        INNER JOIN failures AS f ON f.address = g.member
        GROUP BY agent, referer_host
        HAVING uniqExact(f.path) >= {paths:UInt32} AND length(members) >= {addresses:UInt32}
    )
SELECT
    address,
    max(length(members)) AS observed,
    {addresses:UInt32} AS threshold,
    argMax(concat(referer_host, ' ', agent), (length(members), referer_host, agent)) AS group_key,
    max(length(members)) AS group_size
FROM swarms
ARRAY JOIN members AS address
GROUP BY address
