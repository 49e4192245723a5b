-- Several addresses of one network were flagged within a day: its owner attacks, or rents to those who do, and takes turns.
-- A /24 of IPv4 and a /48 of IPv6 are what one customer commonly gets. In a whole provider (ASN) many strangers live side by side, so there
-- only those count who were flagged by the same detector under the same user agent, and more of them.
--
-- name: Network swarm
-- severity: HIGH
-- window: 24h
-- unit: addresses
-- parameter: addresses UInt32 = 5 [2, 256] flagged addresses of one /24 or /48
-- parameter: provider_addresses UInt32 = 20 [5, 100000] flagged addresses of one ASN with the same detector and user agent
-- reference: https://app.crowdsec.net/hub/author/crowdsecurity/configurations/ban-defcon-drop_range
WITH
    flagged AS
    (
        SELECT DISTINCT
            address,
            address BETWEEN toIPv6('::ffff:0.0.0.0') AND toIPv6('::ffff:255.255.255.255') AS v4,
            concat(replaceOne(IPv6NumToString(tupleElement(IPv6CIDRToRange(address, if(v4, 120, 48)), 1)), '::ffff:', ''), if(v4, '/24', '/48')) AS network,
            asn,
            detector,
            user_agent
        FROM findings
        -- Who took over an account, or only came back, says nothing of the network.
        WHERE mode != 'REPORT_ONLY' AND detector NOT IN ('network_swarm', 'repeat_offender', 'new_country', 'impossible_travel')
    ),
    swarms AS
    (
        SELECT network AS key, groupUniqArray(flagged.address) AS members, length(members) AS size, size / {addresses:UInt32} AS times
        FROM flagged GROUP BY network HAVING size >= {addresses:UInt32}
        UNION ALL
        SELECT concat('AS', asn, ' ', user_agent) AS key, groupUniqArray(flagged.address) AS members, length(members) AS size, size / {provider_addresses:UInt32} AS times
        FROM flagged WHERE asn != 0 GROUP BY asn, detector, user_agent HAVING size >= {provider_addresses:UInt32}
    )
SELECT
    address,
    -- Of several swarms the one that is furthest beyond its threshold.
    argMax(size, (times, key)) AS observed,
    toUInt32(round(observed / max(times))) AS threshold,
    argMax(key, (times, key)) AS group_key,
    argMax(size, (times, key)) AS group_size
FROM swarms
ARRAY JOIN members AS address
GROUP BY address
