-- Calls itself something else with every few requests, so that no count by user agent catches up with it.
-- Many people behind one address have many browsers too, but each of them opens several pages, browsers load files with them,
-- and a service that names its users tells them apart.
--
-- name: User agent rotation
-- severity: MEDIUM
-- window: 1h
-- unit: user agents
-- parameter: user_agents UInt32 = 5 [3, 10000] different user agents
-- parameter: share Float64 = 0.3 [0.05, 1] different ones for each request for a page
-- parameter: requests UInt32 = 15 [5, 100000] requests for pages, fewer say nothing
-- reference: https://app.crowdsec.net/hub/author/crowdsecurity/configurations/http-dos-swithcing-ua
WITH served AND page AND user_agent != '' AS evidence
SELECT
    arrayUniq(groupArrayIf(toUInt32(cityHash64(user_agent) % 4294967296), evidence)) AS observed,
    {user_agents:UInt32} AS threshold,
    countIf(evidence) AS page_requests,
    countIf(served AND NOT page) AS files,
    arrayUniq(groupArrayIf(toUInt32(cityHash64(user_id) % 4294967296), served AND status_code < 400 AND user_id != '')) AS users
HAVING page_requests >= {requests:UInt32} AND observed >= {share:Float64} * page_requests AND files * 10 <= page_requests AND users * 2 < observed
