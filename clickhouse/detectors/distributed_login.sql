-- Dozens of addresses try one login a few times each and do nothing else: one attacker with many addresses, each too seldom for any
-- count of its own. A person who mistypes a password loaded a page with its files before, and most get in after; so those count
-- who in 24 hours never got in, loaded no file and asked for one other thing at most for each failure (tools fetch the form), and
-- whose user agent mostly fails at logins.
-- WordPress and Joomla answer a failed login with 200.
--
-- name: Distributed login
-- severity: HIGH
-- window: 24h
-- unit: addresses
-- evidence: login AND served
-- parameter: addresses UInt32 = 20 [5, 100000] different addresses at one path
-- parameter: failures UInt32 = 3 [1, 100] failed logins of each of them at most
-- reference: https://app.crowdsec.net/hub/author/crowdsecurity/configurations/magento-ccs
WITH
    posts AS
    (
        SELECT
            address,
            service,
            path,
            user_agent,
            countIf(status_code IN (401, 403) OR (status_code = 200 AND match(lower_path, '/(?:wp-login\\.php|administrator/(?:index\\.php)?)$'))) AS failures,
            count() - failures AS entries
        FROM requests
        WHERE served AND login AND (status_code < 400 OR status_code IN (401, 403))
        GROUP BY address, service, path, user_agent
    ),
    judged AS
    (
        SELECT
            address,
            concat(service, ' ', path) AS door,
            failures,
            sum(failures) OVER (PARTITION BY address) AS address_failures,
            sum(entries) OVER (PARTITION BY address) AS address_entries,
            sum(failures > 0) OVER (PARTITION BY user_agent) AS agent_failing,
            sum(entries > 0) OVER (PARTITION BY user_agent) AS agent_entering
        FROM posts
    ),
    everything AS
    (
        SELECT address, sum(h.requests) AS all_requests FROM address_hours AS h GROUP BY address
        HAVING all_requests <= 2 * {failures:UInt32} AND sum(h.pages) = all_requests
    ),
    swarms AS
    (
        SELECT door, groupUniqArray(j.address) AS members
        FROM judged AS j
        INNER JOIN everything AS e ON e.address = j.address
        WHERE j.failures > 0 AND j.address_failures <= {failures:UInt32} AND j.address_entries = 0
            AND j.agent_entering < j.agent_failing AND e.all_requests <= 2 * j.address_failures
        GROUP BY door
        HAVING length(members) >= {addresses:UInt32}
    )
SELECT
    address,
    max(length(members)) AS observed,
    {addresses:UInt32} AS threshold,
    argMax(door, (length(members), door)) AS group_key,
    max(length(members)) AS group_size
FROM swarms
ARRAY JOIN members AS address
GROUP BY address
